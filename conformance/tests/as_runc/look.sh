#!/bin/sh
# look WHAT...: prints what a process in a container can see of itself, without what differs between two runs.
# Lies in the containers' /bin.

status() {
    grep -E '^(Umask|Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Speculation|SigBlk|Cpus_allowed|Mems_allowed|THP|Threads|Coredump)' \
        /proc/self/status
}
# Mount point, root, options, propagation, type, source and its options. Peer groups lose their numbers. How paths
# are masked is left out.
mounts() { raw_mounts | sed -E 's,^([^ ]+) /null .*,\1 masked,; s,^([^ ]+) / ro.* tmpfs (tmpfs|none) ro(\,[^ ]*(nr_inodes=1|uid=)[^ ]*)?$,\1 masked,'; }
raw_mounts() {
    awk '{
        spread = ""
        for (i = 7; $i != "-"; i++) { sub(/:[0-9]+/, "", $i); spread = spread " " $i }
        print $5, ($4 ~ /^\/(.*\/)?(rootfs|tmp|work)/ ? "..." : $4), $6, "[" spread " ]", $(i + 1), $(i + 2), $(i + 3)
    }' /proc/self/mountinfo | sed -E 's/,?inode64//; s/(size=)[0-9]{7,}k/\1N/; s/\[[0-9]+\]/[N]/' | sort
}
limits() { sed -E 's/ +/ /g' /proc/self/limits; }
namespaces() { for name in /proc/self/ns/*; do echo "${name##*/} $(readlink "$name")"; done; }
devices() { find /dev -exec ls -ld {} + | awk '{ date = ($5 ~ /,/) ? 7 : 6; $date = $(date + 1) = $(date + 2) = ""; if (!/^[bc]/) $5 = ""; $2 = ""; print }' | sort -k 5; }
# Those beyond the standard streams; the streams themselves.
# (Pipes are this script's own.)
descriptors() { all_descriptors | grep -v '^[012] ' | grep -vE 'look$| pipe$'; }
streams() { all_descriptors | grep '^[012] '; }
all_descriptors() {
    for fd in /proc/$$/fd/*; do
        target=$(readlink "$fd") && echo "${fd##*/} ${target%%:\[*}"
    done
}
# Signals that are ignored: QUIT, USR1 and TERM, as bits.
ignored() { printf '%x\n' $((0x$(awk '/^SigIgn/ { print $2 }' /proc/1/status) & 0x4204)); }
ids() { id; cat /proc/self/uid_map /proc/self/gid_map; cat /proc/self/setgroups; }
attributes() {
    cat /proc/self/attr/current 2>/dev/null || echo "no label"
    cat /proc/self/oom_score_adj
    cat /proc/self/personality 2>/dev/null || echo "personality cannot be read"
}
# The session, terminal and group: whether they are this process's own.
places() { awk '{ sub(/.*\) /, ""); print "leader", ($3 > 0), ($4 > 0), "terminal", $5, "nice", $17, "policy", $39 }' /proc/1/stat; }
environment() { tr '\0' '\n' </proc/1/environ; }
cgroup() { cat /proc/self/cgroup; }

for what in "$@"; do
    echo "-- $what"
    "$what"
done
