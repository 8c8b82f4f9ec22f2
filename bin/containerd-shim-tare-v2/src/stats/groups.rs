//! Where a process's cgroups are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Context;

/// The mounts of cgroups, which stay as they are: looked up once, since the table has every container's.
static MOUNTS: OnceLock<String> = OnceLock::new();

/// The directories of a process's cgroups.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    /// Version 1, by controller.
    controllers: BTreeMap<String, PathBuf>,
    /// Version 2.
    unified: Option<PathBuf>,
}

impl Groups {
    /// Looks them up.
    ///
    /// # Errors
    /// There is no such process.
    pub(crate) fn of_process(pid: u32) -> anyhow::Result<Self> {
        let name = format!("/proc/{pid}/cgroup");
        let membership = fs::read_to_string(&name).with_context(|| format!("read {name}"))?;
        Ok(Self::locate(&membership, mounts()?))
    }

    /// Where a cgroup of this path is, in each hierarchy that has it.
    ///
    /// # Errors
    /// The mount table cannot be read.
    pub(crate) fn of_path(path: &str) -> anyhow::Result<Vec<PathBuf>> {
        let found = mounts()?.lines().filter_map(|line| {
            let point = line.split(' ').nth(4)?;
            Some(Path::new(point).join(path.trim_start_matches('/')))
        });
        Ok(found.filter(|it| it.join("cgroup.procs").exists()).collect())
    }

    /// Joins cgroups(7)'s `/proc/<pid>/cgroup` (`id:controllers:path`) with the mount table
    /// (`… root mountpoint … - type source options`).
    fn locate(membership: &str, mounts: &str) -> Self {
        let mut groups = Self::default();
        for line in mounts.lines() {
            let Some((before, after)) = line.split_once(" - ") else { continue };
            let place: Vec<_> = before.split(' ').collect();
            let kind: Vec<_> = after.split(' ').collect();
            let ([_, _, _, root, point, ..], [kind, _, options]) = (&place[..], &kind[..]) else {
                continue;
            };
            for entry in membership.lines() {
                let mut parts = entry.splitn(3, ':').skip(1);
                let (Some(names), Some(path)) = (parts.next(), parts.next()) else { continue };
                let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
                let directory = Path::new(point).join(below);
                if *kind == "cgroup2" && names.is_empty() {
                    groups.unified = Some(directory);
                } else if *kind == "cgroup" {
                    let here = |name: &&str| options.split(',').any(|option| option == *name);
                    let names = names.split(',').filter(here);
                    groups.controllers.extend(names.map(|it| (it.to_owned(), directory.clone())));
                }
            }
        }
        groups
    }

    /// Whether the resources are counted by cgroups of version 1.
    pub(crate) fn has_controllers(&self) -> bool {
        ["memory", "pids", "cpuacct"].iter().any(|name| self.controllers.contains_key(*name))
    }

    /// The cgroup of a controller of version 1.
    pub(crate) fn controller(&self, name: &str) -> Option<&Path> {
        self.controllers.get(name).map(PathBuf::as_path)
    }

    /// The cgroup of version 2.
    pub(crate) fn unified(&self) -> Option<&Path> {
        self.unified.as_deref()
    }
}

/// The lines of the mount table that are about cgroups.
fn mounts() -> anyhow::Result<&'static str> {
    if let Some(mounts) = MOUNTS.get() {
        return Ok(mounts);
    }
    let name = "/proc/self/mountinfo";
    let table = fs::read_to_string(name).with_context(|| format!("read {name}"))?;
    let cgroups = table.lines().filter(|line| line.contains(" - cgroup"));
    let cgroups = cgroups.flat_map(|line| [line, "\n"]).collect();
    Ok(MOUNTS.get_or_init(|| cgroups))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_and_unified() {
        let mounts = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            33 31 0:30 /pod /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
            1 1 8:1 / / rw - ext4 /dev/sda rw\n";
        let hybrid = Groups::locate("4:memory:/a\n3:cpu,cpuacct:/pod/b\n0::/c\n", mounts);
        assert!(hybrid.has_controllers());
        assert_eq!(hybrid.controller("memory"), Some(Path::new("/sys/fs/cgroup/memory/a")));
        assert_eq!(hybrid.controller("cpuacct"), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct/b")));
        assert_eq!(hybrid.unified(), Some(Path::new("/sys/fs/cgroup/unified/c")));
        let unified =
            Groups::locate("0::/c:d\n", "1 1 0:3 / /cg rw shared:1 - cgroup2 cgroup2 rw\n");
        assert!(!unified.has_controllers());
        assert_eq!(unified.unified(), Some(Path::new("/cg/c:d")));
    }
}
