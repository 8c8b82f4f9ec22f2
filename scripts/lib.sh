# What the scripts share. Sourced, never run.
#
# The scripts assume a Debian machine with nothing on it: what they need, they install.

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }
die() { printf '%s: error: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Runs a command as root: directly, or through sudo, which would choose a PATH of its own.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo env "PATH=$PATH" ${TARE_STORE:+"TARE_STORE=$TARE_STORE"} "$@"
    fi
}

# Installs the Debian packages named, as far as they are missing.
need_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed \
            || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# A Rust toolchain: the one on the PATH or in ~/.cargo where it is new enough, else rustup's stable.
need_rust() {
    local wanted have
    [ -f "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$top/Cargo.toml")
    have=$(rustc --version 2>/dev/null | cut -d' ' -f2 || true)
    if [ -n "$have" ] && [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -n 1)" = "$wanted" ]; then
        return 0
    fi
    need_packages ca-certificates curl
    say "installing Rust (wanted $wanted, found ${have:-none})"
    curl -sSf --proto '=https' https://sh.rustup.rs | sh -s -- -y -q --profile default
    . "$HOME/.cargo/env"
}

# What the build itself needs from Debian. (.cargo/config.toml knows where the static archives lie.)
need_build_packages() { need_packages build-essential libseccomp-dev libssl-dev pkg-config; }

# Where cargo leaves the programs of a profile: release or debug.
programs() { printf '%s/%s/%s' "${CARGO_TARGET_DIR:-$top/target}" "$(rustc --print host-tuple)" "$1"; }
