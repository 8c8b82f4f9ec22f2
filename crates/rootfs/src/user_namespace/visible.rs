//! Whether a user namespace may mount procfs and sysfs anew: only where it sees whole ones already, as in no
//! container that hides parts of them (mount_namespaces(7), "Restrictions on mount namespaces"; the kernel calls
//! another one "too revealing").

use std::fs;

/// File systems that kernels mount on directories which are empty otherwise: they hide nothing.
const HARMLESS: [&str; 17] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "tracefs",
];

/// Whether a file system of this kind, `proc` or `sysfs`, can be mounted. Where that cannot be told, it is tried.
pub fn can_mount_anew(kind: &str) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.is_empty() || is_whole(&table, kind)
}

/// Whether a mount of the kind shows all of it, by mountinfo (proc_pid_mountinfo(5)).
fn is_whole(table: &str, kind: &str) -> bool {
    let mounts: Vec<_> = table.lines().filter_map(mount).collect();
    mounts.iter().any(|whole| {
        whole.kind == kind
            && whole.root == "/"
            && !mounts.iter().any(|above| {
                let below = above.place.strip_prefix(whole.place);
                below.is_some_and(|rest| rest.starts_with('/') && rest != "/fs/cgroup")
                    && !HARMLESS.contains(&above.kind)
            })
    })
}

struct Mount<'a> {
    root: &'a str,
    place: &'a str,
    kind: &'a str,
}

/// `ID PARENT DEVICE ROOT PLACE OPTIONS [TAG…] - KIND SOURCE OPTIONS`
fn mount(line: &str) -> Option<Mount<'_>> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(3);
    let (root, place) = (fields.next()?, fields.next()?);
    Some(Mount { root, place, kind: after.split(' ').next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: &str = "\
22 1 0:20 / /proc rw,relatime shared:1 - proc proc rw
23 1 0:21 / /sys rw,relatime - sysfs sysfs rw
24 22 0:22 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw
25 23 0:23 / /sys/fs/cgroup rw - tmpfs tmpfs rw
26 25 0:24 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
27 23 0:25 / /sys/kernel/debug rw - debugfs debugfs rw
";

    #[test]
    fn a_machine_shows_all_and_a_container_hides_some() {
        assert!(is_whole(MACHINE, "proc") && is_whole(MACHINE, "sysfs"));
        let masked = format!("{MACHINE}30 22 0:30 / /proc/acpi ro - tmpfs none ro\n");
        assert!(!is_whole(&masked, "proc") && is_whole(&masked, "sysfs"));
        let read_only = format!("{MACHINE}30 22 0:20 /sys /proc/sys ro - proc proc rw\n");
        assert!(!is_whole(&read_only, "proc"));
        let firmware = format!("{MACHINE}30 23 0:30 / /sys/firmware ro - tmpfs none ro\n");
        assert!(!is_whole(&firmware, "sysfs"));
        let another = format!("{masked}31 1 0:31 / /mnt/proc rw - proc proc rw\n");
        assert!(is_whole(&another, "proc"));
        assert!(!is_whole("", "proc"));
    }
}
