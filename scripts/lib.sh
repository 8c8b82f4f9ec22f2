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

# A criu that can work on this kernel, in TARE_CRIU: Debian's own, or where that is too old for the
# kernel that of the newest stable Debian, unpacked into a cache with the libraries that it needs.
need_criu() {
    local cache root libraries
    need_packages criu
    export TARE_CRIU=criu
    as_root criu check >/dev/null 2>&1 && return 0
    need_packages mmdebstrap
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/tare/criu
    root=$cache/root libraries=$root/usr/lib/$(uname -m)-linux-gnu
    if [ ! -x "$cache/criu" ]; then
        say "unpacking a newer criu"
        mkdir -p "$cache"
        as_root rm -rf "$root"
        as_root mmdebstrap --quiet --variant=extract --include=criu stable "$root" \
            http://deb.debian.org/debian >/dev/null || return 0
        # Its own loader and libraries: this Debian's are older.
        cat >"$cache/criu" <<EOF
#!/bin/sh
exec $(echo "$libraries"/ld-linux-*.so.*) --library-path $libraries $root/usr/sbin/criu "\$@"
EOF
        chmod +x "$cache/criu"
    fi
    # Where this one cannot work either the tests say so, and check that the runtime does.
    if as_root "$cache/criu" check >/dev/null 2>&1; then TARE_CRIU=$cache/criu; fi
}

# Packages of Debian's newest suites, and all that they need, unpacked below a folder: FOLDER PACKAGE...
unpack_newest() {
    local folder=$1 suite package apt
    shift
    as_root rm -rf "$folder/sid" "$folder/apt"
    mkdir -p "$folder/sid" "$folder/apt/lists/partial" "$folder/apt/archives/partial"
    for suite in sid experimental; do
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main"
    done >"$folder/apt/sources.list"
    # With no package installed, as far as apt knows, it fetches the libraries too.
    apt=(apt-get -qq -o "Dir::Etc::SourceList=$folder/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$folder/apt/lists" -o Dir::State::Status=/dev/null
        -o "Dir::Cache=$folder/apt" -o APT::Sandbox::User=root -o Acquire::Languages=none)
    "${apt[@]}" update
    "${apt[@]}" install --yes --download-only --no-install-recommends -t experimental "$@"
    for package in "$folder"/apt/archives/*.deb; do dpkg-deb --extract "$package" "$folder/sid"; done
    rm -rf "$folder/apt"
}

# A program that unpack_newest unpacked, with its own loader and libraries, which start it wherever it is:
# FOLDER PROGRAM OUTPUT.
newest_program() {
    local path loader libraries=$1/sid/usr/lib/$(uname -m)-linux-gnu
    path=$(find "$1/sid/usr" -name "$2" -type f -perm -1 | head -n 1)
    [ -n "$path" ] || die "the newest Debian has no $2"
    loader=$(find -L "$libraries" -maxdepth 1 -name 'ld-linux-*' | head -n 1)
    patchelf --set-interpreter "$loader" --set-rpath "$libraries" --output "$3" "$path"
}

# containerd 2.x with its ctr, its shim, runc and crun, in $containerd/programs; made once.
containerd=/var/tmp/tare-containerd
need_containerd() {
    local program
    need_packages ca-certificates debian-archive-keyring patchelf
    [ ! -e "$containerd/complete" ] || return 0
    say "making a folder with containerd 2.x"
    mkdir -p "$containerd/programs"
    unpack_newest "$containerd" containerd runc crun
    for program in containerd ctr containerd-shim-runc-v2 runc crun; do
        newest_program "$containerd" "$program" "$containerd/programs/$program"
    done
    touch "$containerd/complete"
}

# Where build_programs and build_runtime put what they make: all programs in one place, as they are installed.
released() { printf '%s/programs' "${CARGO_TARGET_DIR:-$top/target}"; }

# The five programs, optimised and static.
build_programs() {
    cargo build --release --manifest-path "$top/Cargo.toml"
    install -D -t "$(released)" "$(programs release)"/{tare,tare-build,tare-store}
    build_runtime
}

# Those of the five that start once for every container and every step: tare-runtime and the shim.
#
# They are linked with musl: at each start glibc asks the processor about its caches, which takes a
# millisecond in a virtual machine, where each question leaves the machine, and half a megabyte. The other
# programs keep glibc, whose allocator serves several threads better.
build_runtime() {
    local target
    target=$(musl_target) || target=$(rustc --print host-tuple)
    LIBSECCOMP_LIB_PATH=$(lone_libseccomp) cargo build --release --manifest-path "$top/Cargo.toml" \
        --target "$target" --package tare-runtime --package containerd-shim-tare-v2
    install -D -t "$(released)" \
        "${CARGO_TARGET_DIR:-$top/target}/$target/release"/{tare-runtime,containerd-shim-tare-v2}
}

# The name of this machine's target with musl, for which rustup has a standard library; else false.
musl_target() {
    local target
    target=$(rustc --print host-tuple | sed 's/-gnu$/-musl/')
    [ -d "$(rustc --print target-libdir --target "$target")" ] && echo "$target" && return
    rustup target add "$target" >&2 && echo "$target" && return
    say "no musl for this compiler: tare-runtime and the shim start a millisecond later with glibc"
    return 1
}

# A directory with Debian's libseccomp.a alone: beside it lies glibc, which the linker would take for musl.
lone_libseccomp() {
    local dir=${CARGO_TARGET_DIR:-$top/target}/libseccomp
    mkdir -p "$dir"
    ln -sf "$(gcc -print-file-name=libseccomp.a)" "$dir/"
    echo "$dir"
}

# Where cargo leaves the programs of a profile: release or debug.
programs() { printf '%s/%s/%s' "${CARGO_TARGET_DIR:-$top/target}" "$(rustc --print host-tuple)" "$1"; }

# What conformance/oci-suite/build needs from Debian: Go, and the libraries that the suite uses.
suite_packages=(
    busybox-static golang-go golang-github-blang-semver-dev golang-github-google-uuid-dev
    golang-github-hashicorp-go-multierror-dev golang-github-mrunalp-fileutils-dev
    golang-github-opencontainers-selinux-dev golang-github-opencontainers-specs-dev
    golang-github-sirupsen-logrus-dev golang-gocapability-dev
    golang-github-urfave-cli-dev golang-github-xeipuuv-gojsonschema-dev golang-golang-x-sys-dev
)
