//! The cgroups that hold a container's processes: made before its first process, removed after its
//! last, in every hierarchy that the host has mounted below `/sys/fs/cgroup`.
//!
//! On v1 (and hybrid) the first process enters by writing `0` to each `tasks` file itself: moving
//! oneself, one thread, is the one move for which the kernel need not stop the world. On v2 the
//! process is born inside (`CLONE_INTO_CGROUP`).
//!
//! Nothing outside `/sys/fs/cgroup` is ever written: a path is cleaned of `..` before it is used.

mod device;
mod device_filter;
pub(crate) mod stats;
mod v1;
mod v2;

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use oci_spec::runtime::LinuxResources;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::error::{Doing, Error, Result};
use crate::id::ContainerId;
use crate::kernel_file;

const ROOT: &str = "/sys/fs/cgroup";
/// Where a hybrid host mounts cgroup v2, below [`ROOT`].
const UNIFIED: &str = "unified";
const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// The directory in one hierarchy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Group {
    /// `memory`, `cpu,cpuacct`, `systemd`; empty on v2.
    pub(crate) hierarchy: String,
    /// Below `/sys/fs/cgroup`.
    pub(crate) path: PathBuf,
}

/// All directories of a container.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Cgroup {
    unified: bool,
    groups: Vec<Group>,
}

impl Cgroup {
    /// Where the container belongs: an absolute `linux.cgroupsPath` below each hierarchy's root, a
    /// relative one (or, without any, the id) below the runtime's own cgroup, as runc has it.
    pub(crate) fn locate(path: Option<&Path>, id: &ContainerId) -> Result<Self> {
        let path = path.filter(|path| !path.as_os_str().is_empty());
        let wanted = path.unwrap_or(Path::new(id.as_str()));
        let own =
            kernel_file::read("/proc/self/cgroup").doing(|| "read /proc/self/cgroup".into())?;
        let unified = is_v2(Path::new(ROOT)).doing(|| format!("look at {ROOT}"))?;
        let groups =
            own.lines().filter_map(|line| hierarchy(line, unified)).map(|(hierarchy, current)| {
                let root = Path::new(ROOT).join(&hierarchy);
                let below = if wanted.is_absolute() {
                    clean(wanted)
                } else {
                    clean(Path::new(current)).join(clean(wanted))
                };
                Group { hierarchy, path: root.join(below) }
            });
        let groups = groups.filter(Group::is_mounted).collect();
        Ok(Self { unified, groups })
    }

    /// Makes the directories. One that has processes is refused: the container's end would be theirs.
    pub(crate) fn make(&self) -> Result<()> {
        let mut made = Vec::new();
        let all = self.groups.iter().try_for_each(|group| {
            made.extend(group.make()?.then_some(&group.path));
            Ok(())
        });
        if all.is_err() {
            made.iter().for_each(|path| drop(fs::remove_dir(path)));
        }
        all
    }

    /// Sets the limits of a container that is being made.
    pub(crate) fn limit(&self, resources: Option<&LinuxResources>) -> Result<()> {
        let none = LinuxResources::default();
        let resources = resources.unwrap_or(&none);
        if self.unified {
            v2::apply(self, resources, true)
        } else {
            v1::apply(self, resources, true)
        }
    }

    /// Changes the limits of a container that exists; what `resources` leaves open stays.
    pub(crate) fn update(&self, resources: &LinuxResources) -> Result<()> {
        if self.unified {
            v2::apply(self, resources, false)
        } else {
            v1::apply(self, resources, false)
        }
    }

    /// On v2, and the hybrid's v2 part, the directory to be born in.
    pub(crate) fn birth_place(&self) -> Result<Option<OwnedFd>> {
        let v2 = |group: &&Group| self.unified || group.hierarchy == UNIFIED;
        let Some(group) = self.groups.iter().find(v2) else { return Ok(None) };
        rustix::fs::open(
            &group.path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map(Some)
        .doing(|| format!("open {}", group.path.display()))
    }

    /// On v1 the files to which a new process writes `0` to enter.
    pub(crate) fn doors(&self) -> Result<Vec<OwnedFd>> {
        self.v1_groups().map(|group| door(&group.path.join("tasks"))).collect()
    }

    /// The directories in v1 hierarchies.
    pub(crate) fn v1_groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| !self.unified && group.hierarchy != UNIFIED)
    }

    /// As [`Self::birth_place`] or [`Self::doors`], for `exec --cgroup`: sub-cgroups that exist
    /// already, each `path` or `controller:path`.
    pub(crate) fn below(&self, sub_cgroups: &[String]) -> Result<Self> {
        let mut changed = self.clone();
        for wanted in sub_cgroups {
            let (controllers, path) = match wanted.split_once(':') {
                Some((controllers, path)) => (Some(controllers), path),
                None => (None, wanted.as_str()),
            };
            if let (Some(names), true) = (controllers, self.unified) {
                return Err(Error::spec(
                    "--cgroup",
                    format!("{names:?}: cgroup v2 has one hierarchy"),
                ));
            }
            changed.descend(controllers, path)?;
        }
        Ok(changed)
    }

    fn descend(&mut self, controllers: Option<&str>, path: &str) -> Result<()> {
        let names = controllers.map(|names| names.split(',').collect::<Vec<_>>());
        for group in &mut self.groups {
            let has = |name: &&str| group.hierarchy.split(',').any(|have| have == *name);
            if names.as_ref().is_some_and(|names| !names.iter().any(has)) {
                continue;
            }
            let below = clean(Path::new(path));
            if Path::new(path).components().any(|part| part == Component::ParentDir) {
                return Err(Error::spec("--cgroup", format!("bad sub cgroup path: {path}")));
            }
            group.path.push(below);
            if !group.path.is_dir() {
                let reason = format!("{} does not exist", group.path.display());
                return Err(Error::spec("--cgroup", reason));
            }
        }
        Ok(())
    }

    /// The directory of a hierarchy by one of its controllers; on v2 there is only one.
    pub(crate) fn group(&self, controller: &str) -> Option<&Group> {
        self.groups
            .iter()
            .find(|group| self.unified || group.hierarchy.split(',').any(|name| name == controller))
    }

    /// All directories with their hierarchies' names.
    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Whether this is cgroup v2.
    pub(crate) fn is_unified(&self) -> bool {
        self.unified
    }

    /// Every process inside, those of sub-cgroups included, as the host numbers them.
    pub(crate) fn processes(&self) -> Result<Vec<i32>> {
        let group = ["pids", "memory", "cpu", "systemd"].iter().find_map(|name| self.group(name));
        let Some(group) = group.or(self.groups.first()) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        collect(&group.path, &mut found)
            .doing(|| format!("list the processes of {}", group.path.display()))?;
        Ok(found)
    }

    /// Whether the processes are frozen.
    pub(crate) fn is_frozen(&self) -> bool {
        let Some(group) = self.group("freezer") else { return false };
        if self.unified {
            fs::read_to_string(group.path.join("cgroup.freeze"))
                .is_ok_and(|text| text.trim() == "1")
        } else {
            fs::read_to_string(group.path.join("freezer.state"))
                .is_ok_and(|text| text.trim() != "THAWED")
        }
    }

    /// Stops or continues all processes, and waits until that is so.
    pub(crate) fn freeze(&self, frozen: bool) -> Result<()> {
        let group = self
            .group("freezer")
            .ok_or_else(|| Error::spec("pause", "this host has no freezer cgroup"))?;
        if self.unified { v2::freeze(&group.path, frozen) } else { v1::freeze(&group.path, frozen) }
    }

    /// Removes the directories if nothing is in them; says whether that is done.
    pub(crate) fn remove_if_empty(&self) -> bool {
        self.groups.iter().all(|group| match fs::remove_dir(&group.path) {
            Err(error) => error.kind() == ErrorKind::NotFound,
            Ok(()) => true,
        })
    }

    /// Removes the directories with what is below them. Processes inside must be dead; the kernel
    /// may need a moment to notice.
    pub(crate) fn remove(&self) -> Result<()> {
        let mut failure = Ok(());
        for group in &self.groups {
            if let Err(error) = remove_tree(&group.path) {
                failure =
                    Err(error).doing(|| format!("remove the cgroup {}", group.path.display()));
            }
        }
        failure
    }
}

impl Group {
    /// Whether the directory was missing.
    fn make(&self) -> Result<bool> {
        let doing = || format!("make the cgroup {}", self.path.display());
        match fs::create_dir(&self.path) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return fs::create_dir_all(&self.path).map(|()| true).doing(doing);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).doing(doing),
        }
        let mut processes = Vec::new();
        collect(&self.path, &mut processes).doing(doing)?;
        if processes.is_empty() {
            return Ok(false);
        }
        let reason =
            format!("{} is not empty: {} process(es) found", self.path.display(), processes.len());
        Err(Error::spec("linux.cgroupsPath", reason))
    }

    fn is_mounted(&self) -> bool {
        let root = self.root();
        if self.hierarchy == UNIFIED { is_v2(&root).unwrap_or(false) } else { root.is_dir() }
    }

    /// Where the hierarchy is mounted.
    pub(crate) fn root(&self) -> PathBuf {
        Path::new(ROOT).join(&self.hierarchy)
    }
}

fn is_v2(path: &Path) -> rustix::io::Result<bool> {
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
fn clean(path: &Path) -> PathBuf {
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

fn door(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .doing(|| format!("open {}", path.display()))
}

fn collect(path: &Path, found: &mut Vec<i32>) -> io::Result<()> {
    let listed = kernel_file::read(path.join("cgroup.procs"))?;
    found.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()));
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), found)?;
        }
    }
    Ok(())
}

/// How long a dying process may keep its cgroup busy.
const PATIENCE: Duration = Duration::from_secs(2);

fn remove_tree(path: &Path) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(200);
    loop {
        match fs::remove_dir(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ResourceBusy && Instant::now() < deadline => {
                for entry in fs::read_dir(path)?.flatten() {
                    if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                        remove_tree(&entry.path())?;
                    }
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            done => return done,
        }
    }
}

/// Writes one value to one file of a cgroup.
fn write(path: &Path, value: impl AsRef<[u8]>) -> Result<()> {
    let value = value.as_ref();
    fs::OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, value))
        .doing(|| format!("write {:?} to {}", String::from_utf8_lossy(value), path.display()))
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
