# What sessions are written with. Standard output is the transcript that is compared.
#
# R is the runtime, W the session's folder, G the name of its cgroup. The container is called box.

PRELUDE=${BASH_SOURCE[0]} ROOT=$W/state B=$W/bundle C=/$G/box
cd "$B" || exit
umask 022
: >"$W/err"

# Calls the runtime; tells its exit code when it failed, and whether it said anything.
r() {
    local IFS=$'\x1f' code=0
    printf '%s\n' "${*//$'\n'/ }" >>"$W/calls"
    unset IFS
    "$R" --root "$ROOT" "$@" 2>"$W/err" || code=$?
    [ "$code" = 0 ] || echo "[exit $code]"
    [ ! -s "$W/err" ] || echo "[with a message]"
    return 0
}
# The same without telling: for what comes before the matter.
quietly() { r "$@" >/dev/null; }
# For words that are wrong: runc tells its help on standard output.
wrongly() { r "$@" >/dev/null; }
# Whether the last call's message has these words (an extended regular expression, in any case).
says() {
    local words
    for words in "$@"; do
        if grep -qiE -- "$words" "$W/err"; then echo "says $words"; else echo "does not say $words"; fi
    done
}
# What the container itself wrote to standard error.
errors() { cat "$W/err"; }
# The container in the background.
up() { quietly run --detach "$@" box; }
status() { "$R" --root "$ROOT" state "${1:-box}" 2>/dev/null | jq -r .status; }
# Waits for a status.
await() {
    local try
    for try in {1..400}; do
        [ "$(status box)" = "$1" ] && return
        sleep 0.025
    done
    echo "never $1"
}
# Waits until a command succeeds.
until_true() {
    local try
    for try in {1..400}; do
        "$@" >/dev/null 2>&1 && return
        sleep 0.025
    done
    echo "never true: $*"
}
pid() { "$R" --root "$ROOT" state "${1:-box}" | jq .pid; }
# A state as it can be compared.
state() { r state "${1:-box}" | jq -S 'del(.ociVersion) | .pid |= (. > 0) | .created |= (sub("[0-9.:T-]+Z$"; "Z"))'; }
# Calls the runtime as a service manager does that passes so many sockets: `listening 1 run box`.
listening() {
    printf '#!/bin/bash\nLISTEN_FDS=%s LISTEN_PID=$$ exec %q "$@"\n' "$1" "$R" >"$W/listener"
    chmod +x "$W/listener"
    R=$W/listener r "${@:2}"
}
# Values of the container's cgroup: `limits memory.limit_in_bytes memory.max`. What is not there is left out.
limits() {
    local file path
    for file in "$@"; do
        for path in "/sys/fs/cgroup/${file%%.*}$C" "/sys/fs/cgroup$C"; do
            [ ! -e "$path/$file" ] || echo "$file: $(tr '\n' ';' <"$path/$file")"
        done
    done
}
# All limits that a configuration can set.
all_limits() {
    limits memory.{limit_in_bytes,memsw.limit_in_bytes,soft_limit_in_bytes,swappiness,oom_control,use_hierarchy} \
        memory.{max,low,high,swap.max} \
        cpu.{shares,cfs_quota_us,cfs_period_us,cfs_burst_us,idle,rt_runtime_us,rt_period_us} cpu.{weight,max,max.burst} \
        cpuset.{cpus,mems} pids.{max,limit} blkio.{bfq.weight,weight} blkio.throttle.{read,write}_{bps,iops}_device \
        io.max io.weight | sed -E '/^memory.oom_control/s/oom_kill .*//'
    allowed_devices
}
# The device rules of v1, whose order says nothing.
allowed_devices() {
    [ ! -e "/sys/fs/cgroup/devices$C" ] || echo "devices: $(sort "/sys/fs/cgroup/devices$C/devices.list" | paste -sd ';')"
}
# The cgroups that the container has, by controller.
groups() {
    (cd /sys/fs/cgroup && find . -maxdepth 3 -type d -path "*$G*" 2>/dev/null | sort)
}
# A description to change: `edit FILTER`.
edit() { jq "$1" config.json >config.new && mv config.new config.json; }
# A second bundle beside the first, named by its number.
another() { mkdir -p "$W/$1" && jq --arg root "$B/rootfs" --arg path "/$G/$1" \
    '.root.path = $root | .linux.cgroupsPath = $path' config.json >"$W/$1/config.json"; }
# Python helpers at the other end of sockets.
receive() { /usr/bin/python3 "${PRELUDE%/*}/receive.py" "$@"; }
# A container in the background whose streams criu can take along.
still() { printf '%s\x1f%s\x1f%s\n' run --detach box >>"$W/calls"; "$R" --root "$ROOT" run --detach box >/dev/null 2>&1 </dev/null; }
restored() { r restore --detach --bundle "$B" "$@" box >/dev/null </dev/null; }
# The count may have been stopped between emptying its file and writing it.
count_beyond() { [ "$(cat rootfs/count)" -gt "${1:-0}" ]; }
