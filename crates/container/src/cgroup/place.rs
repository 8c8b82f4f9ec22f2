//! Where a container's cgroups lie: out of `linux.cgroupsPath`, the id and the runtime's own cgroup.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

use super::systemd::Unit;
use super::{CGROUP2_MAGIC, Cgroup, Group, ROOT, UNIFIED};
use crate::error::{Doing, Error, Result};
use crate::id::ContainerId;
use crate::kernel_file;

/// Who manages the cgroups.
#[derive(Clone, Debug, Default)]
pub(crate) struct Driver {
    /// systemd does; else the runtime itself.
    pub(crate) systemd: bool,
    /// The bus of the user's systemd; None for the system's.
    pub(crate) user_bus: Option<String>,
}

impl Cgroup {
    /// Where the container belongs. An absolute path lies below each hierarchy's root, a relative one
    /// (or, without any, the id) on v1 below the runtime's own cgroup and on v2 beside it, since one
    /// with processes can hand no controllers down: as runc has it. For systemd, see [`Unit::locate`].
    pub(crate) fn locate(path: Option<&Path>, id: &ContainerId, driver: &Driver) -> Result<Self> {
        let path = path.filter(|path| !path.as_os_str().is_empty());
        let own = own()?;
        let unified = is_v2(Path::new(ROOT)).doing(|| format!("look at {ROOT}"))?;
        let located = match driver.systemd {
            true => Some(Unit::locate(path, id, driver.user_bus.clone())?),
            false => None,
        };
        if driver.user_bus.is_some() && !unified {
            let reason = "systemd manages an ordinary user's cgroups only with cgroup v2";
            return Err(Error::spec("--systemd-cgroup", reason));
        }
        let wanted = path.unwrap_or(Path::new(id.as_str()));
        let below = |current: &str| match &located {
            Some((_, below)) => clean(below),
            None if wanted.is_absolute() => clean(wanted),
            None => {
                let current = Path::new(current);
                let beside = if unified { current.parent().unwrap_or(current) } else { current };
                clean(beside).join(clean(wanted))
            }
        };
        let groups = mounted(&own, unified, below);
        Ok(Self { unified, groups, unit: located.map(|(unit, _)| unit) })
    }

    /// What a container sees of its cgroups: those of the runtime, where it has none of its own.
    pub(crate) fn seen(&self) -> Result<Cow<'_, Self>> {
        if !self.groups.is_empty() {
            return Ok(Cow::Borrowed(self));
        }
        let unified = is_v2(Path::new(ROOT)).unwrap_or(false);
        let groups = mounted(&own()?, unified, |current| clean(Path::new(current)));
        Ok(Cow::Owned(Self { unified, groups, unit: None }))
    }
}

/// The runtime's own cgroups, a line for each hierarchy.
fn own() -> Result<String> {
    kernel_file::read("/proc/self/cgroup").doing(|| "read /proc/self/cgroup".into())
}

/// One directory in each mounted hierarchy that the runtime's `/proc/self/cgroup` names: where `place`
/// tells, from the runtime's own path there.
fn mounted(own: &str, unified: bool, place: impl Fn(&str) -> PathBuf) -> Vec<Group> {
    let groups = own.lines().filter_map(|line| hierarchy(line, unified));
    let groups = groups.map(|(hierarchy, current)| {
        let path = Path::new(ROOT).join(&hierarchy).join(place(current));
        Group { hierarchy, path }
    });
    groups.filter(Group::is_mounted).collect()
}

/// The directory of a process on v2.
pub(super) fn of(pid: i32) -> Option<PathBuf> {
    let text = kernel_file::read(format!("/proc/{pid}/cgroup")).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(Path::new(ROOT).join(clean(Path::new(path))))
}

/// Whether cgroup v2 is mounted there.
pub(super) fn is_v2(path: &Path) -> rustix::io::Result<bool> {
    rustix::fs::statfs(path).map(|stat| stat.f_type == CGROUP2_MAGIC)
}

/// A line of `/proc/<pid>/cgroup`: its directory's name below [`ROOT`] and the path inside.
fn hierarchy(line: &str, unified: bool) -> Option<(String, &str)> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    match (controllers, unified) {
        ("", true) => Some((String::new(), path)),
        // The hybrid's second hierarchy has no controllers, but a container has its place there too.
        ("", false) => Some((UNIFIED.into(), path)),
        (_, true) => None,
        (controllers, false) => Some((controllers.trim_start_matches("name=").to_owned(), path)),
    }
}

/// A relative path that cannot climb: `..` removes what stands before it, at the top nothing.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => cleaned.push(name),
            Component::ParentDir => {
                cleaned.pop();
            }
            _ => {}
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_cannot_climb() {
        for (path, cleaned) in
            [("/a/../../b", "b"), ("../../etc", "etc"), ("a/./b//c", "a/b/c"), ("/..", "")]
        {
            assert_eq!(clean(Path::new(path)), Path::new(cleaned));
        }
    }

    #[test]
    fn hierarchies_are_named_after_their_directories() {
        assert_eq!(hierarchy("4:cpu,cpuacct:/a", false), Some(("cpu,cpuacct".into(), "/a")));
        assert_eq!(hierarchy("9:name=systemd:/", false), Some(("systemd".into(), "/")));
        assert_eq!(hierarchy("0::/u", false), Some(("unified".into(), "/u")));
        assert_eq!(hierarchy("0::/u", true), Some((String::new(), "/u")));
        assert_eq!(hierarchy("4:cpu:/a", true), None);
    }
}
