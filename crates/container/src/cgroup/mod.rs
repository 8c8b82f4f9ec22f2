//! The cgroups that hold a container's processes: made before its first process, removed after its
//! last, in every hierarchy that the host has mounted below `/sys/fs/cgroup`.
//!
//! On v1 (and hybrid) the first process enters by writing `0` to each `tasks` file itself: moving
//! oneself, one thread, is the one move for which the kernel need not stop the world. On v2 the
//! process is born inside (`CLONE_INTO_CGROUP`).
//!
//! Nothing outside `/sys/fs/cgroup` is ever written: a path is cleaned of `..` before it is used.

mod convert;
mod device;
mod device_filter;
mod place;
pub(crate) mod stats;
pub(crate) mod systemd;
mod tree;
mod v1;
mod v2;
pub(crate) mod wanted;
mod write;

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags};
use serde::{Deserialize, Serialize};

pub(crate) use self::place::Driver;
use self::systemd::{Holder, Unit};
use crate::error::{Doing, Error, Result};

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
    /// The unit of systemd's that it is, with `--systemd-cgroup`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<Unit>,
}

impl Cgroup {
    /// Makes the directories. One that has processes is refused: the container's end would be theirs.
    /// What is returned must live until the container's first process is inside.
    pub(crate) fn make(
        &self,
        resources: &LinuxResources,
        annotations: &HashMap<String, String>,
    ) -> Result<Option<Holder>> {
        if let Some(unit) = &self.unit {
            self.groups
                .iter()
                .filter(|group| group.path.exists())
                .try_for_each(Group::check_unused)?;
            let path =
                self.groups.first().map(|group| group.path.as_path()).unwrap_or(Path::new(ROOT));
            let holder = unit.start(path, resources, self.unified, annotations)?;
            let all = self.groups.iter().try_for_each(|group| match self.unified {
                true => v2::make(&group.path, resources).map(drop),
                false => fs::create_dir_all(&group.path)
                    .doing(|| format!("make the cgroup {}", group.path.display())),
            });
            return all.inspect_err(|_| drop(unit.stop())).map(|()| Some(holder));
        }
        let mut made = Vec::new();
        let all = self.groups.iter().try_for_each(|group| {
            let new =
                if self.unified { v2::make(&group.path, resources)? } else { group.make()? };
            if new {
                made.push(&group.path);
                return Ok(());
            }
            group.check_open()?;
            group.check_unused()
        });
        if all.is_err() {
            made.iter().for_each(|path| drop(fs::remove_dir(path)));
        }
        all.map(|()| None)
    }

    /// Sets the limits of a container that is being made. `lenient`: without the right to filter
    /// devices it goes without a filter.
    pub(crate) fn limit(&self, resources: &LinuxResources, lenient: bool) -> Result<()> {
        self.apply(&self.as_systemd_has_it(resources), true, lenient)
    }

    /// Changes the limits of a container that exists; what `resources` leaves open stays. Devices are
    /// not changed, as with runc: others may have added theirs.
    pub(crate) fn update(&self, resources: &LinuxResources) -> Result<()> {
        if let (Some(unit), Some(group)) = (&self.unit, self.group("cpu").or(self.groups.first())) {
            unit.update(&group.path, resources, self.unified)?;
        }
        self.apply(&self.as_systemd_has_it(resources), false, true)
    }

    fn apply(&self, resources: &LinuxResources, fresh: bool, lenient: bool) -> Result<()> {
        match self.groups.first() {
            Some(group) if self.unified => v2::apply(&group.path, resources, fresh, lenient),
            Some(_) => v1::apply(self, resources, fresh, lenient),
            None => Err(Error::spec("linux.resources", "the container has no cgroup")),
        }
    }

    /// systemd rounds the quota, ends idleness with a weight, and would write its own values again at any
    /// time: the files get the same.
    fn as_systemd_has_it(&self, resources: &LinuxResources) -> LinuxResources {
        let mut resources = resources.clone();
        let (Some(_), Some(group)) = (&self.unit, self.group("cpu")) else { return resources };
        let knows_idle = self.unified && group.path.join("cpu.idle").exists();
        if let Some(mut cpu) = resources.cpu().clone() {
            let period = cpu.period().filter(|&period| period != 0);
            let period =
                period.or(convert::current(&group.path, self.unified).1).unwrap_or(100_000);
            if let Some(quota) = cpu.quota().filter(|&quota| quota > 0) {
                cpu.set_quota(Some(convert::rounded_quota(quota, period)));
            }
            if knows_idle && cpu.idle().is_none() && cpu.shares().is_some_and(|shares| shares != 0)
            {
                cpu.set_idle(Some(0));
            }
            resources.set_cpu(Some(cpu));
        }
        if let Some(mut files) = resources.unified().clone().filter(|_| knows_idle) {
            if files.get("cpu.idle").is_some_and(|idle| idle.trim() == "1") {
                files.remove("cpu.weight");
            } else if files.contains_key("cpu.weight") {
                files.insert("cpu.idle".into(), "0".into());
            }
            resources.set_unified(Some(files));
        }
        resources
    }

    /// Gives the container its own cgroup (v2): it may make others below.
    pub(crate) fn delegate(&self, uid: u32) -> Result<()> {
        match self.groups.first().filter(|_| self.unified) {
            Some(group) => v2::delegate(&group.path, uid),
            None => Ok(()),
        }
    }

    /// Moves a process in where its user may not do so alone, but the user's systemd may.
    pub(crate) fn attach(&self, pid: rustix::process::Pid) -> Result<()> {
        match &self.unit {
            Some(unit) if unit.user_bus.is_some() => {
                let path = self.groups.first().map(|group| group.path.as_path());
                unit.attach(pid, path.unwrap_or(Path::new(ROOT)))
            }
            _ => Ok(()),
        }
    }

    /// Kills every process at once, as far as the kernel can: `cgroup.kill` of v2.
    pub(crate) fn kill(&self) {
        for group in self.groups.iter().filter(|group| self.unified || group.hierarchy == UNIFIED) {
            let _ = write::write(&group.path.join("cgroup.kill"), "1");
        }
    }

    /// Where `exec` puts a process: on v2 a cgroup that hands controllers down takes none, so it goes
    /// where the container's first process went.
    pub(crate) fn for_exec(&self, first: i32) -> Self {
        let mut changed = self.clone();
        if let Some(group) = changed.groups.first_mut().filter(|_| self.unified) {
            let handed = fs::read_to_string(group.path.join("cgroup.subtree_control"));
            let place =
                handed.is_ok_and(|handed| !handed.trim().is_empty()).then(|| place::of(first));
            if let Some(path) = place.flatten() {
                group.path = path;
            }
        }
        changed
    }

    /// On v2, and the hybrid's v2 part, the directory to be born in.
    pub(crate) fn birth_place(&self) -> Result<Option<OwnedFd>> {
        if self.unit.as_ref().is_some_and(|unit| unit.user_bus.is_some()) {
            return Ok(None);
        }
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
        let refused = |reason: String| Err(Error::spec("--cgroup", reason));
        if Path::new(path).components().any(|part| part == std::path::Component::ParentDir) {
            return refused(format!("bad sub cgroup path: {path}"));
        }
        let names = controllers.map(|names| names.split(',').collect::<Vec<_>>());
        if let Some(unknown) = names.iter().flatten().find(|name| self.group(name).is_none()) {
            return refused(format!("unknown controller {unknown:?}"));
        }
        for group in &mut self.groups {
            let has = |name: &&str| group.hierarchy.split(',').any(|have| have == *name);
            if names.as_ref().is_some_and(|names| !names.iter().any(has)) {
                continue;
            }
            group.path.push(place::clean(Path::new(path)));
            if !group.path.is_dir() {
                let place = group.path.display();
                // In runc's words, though nothing has been written yet.
                let reason =
                    format!("error adding pid to cgroup {place}: no such file or directory");
                return refused(reason);
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
        tree::collect(&group.path, &mut found)
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
        // systemd keeps a unit that failed until it is told to forget it.
        if self.unit.is_some() {
            return false;
        }
        self.groups.iter().all(|group| match fs::remove_dir(&group.path) {
            Err(error) => error.kind() == ErrorKind::NotFound,
            Ok(()) => true,
        })
    }

    /// Removes the directories with what is below them. Processes inside must be dead; the kernel
    /// may need a moment to notice.
    pub(crate) fn remove(&self) -> Result<()> {
        let mut failure = self.unit.as_ref().map_or(Ok(()), Unit::stop);
        for group in &self.groups {
            if let Err(error) = tree::remove_tree(&group.path) {
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
        Ok(false)
    }

    /// A directory that was there already may be somebody else's.
    fn check_open(&self) -> Result<()> {
        let door = self.path.join("cgroup.procs");
        rustix::fs::accessat(CWD, &door, Access::WRITE_OK, AtFlags::EACCESS)
            .doing(|| format!("write {}", door.display()))
    }

    /// A directory that was there already must be empty and not frozen.
    fn check_unused(&self) -> Result<()> {
        let mut processes = Vec::new();
        tree::collect(&self.path, &mut processes)
            .doing(|| format!("list the processes of {}", self.path.display()))?;
        let refused = |reason: String| {
            Err(Error::spec("linux.cgroupsPath", format!("{}: {reason}", self.path.display())))
        };
        if !processes.is_empty() {
            let count = processes.len();
            return refused(format!("container's cgroup is not empty: {count} process(es) found"));
        }
        let frozen = ["freezer.state", "cgroup.freeze"].iter().any(|file| {
            let state = fs::read_to_string(self.path.join(file)).unwrap_or_default();
            !matches!(state.trim(), "" | "THAWED" | "0")
        });
        if frozen { refused("container's cgroup unexpectedly frozen".into()) } else { Ok(()) }
    }

    fn is_mounted(&self) -> bool {
        let root = self.root();
        if self.hierarchy == UNIFIED { place::is_v2(&root).unwrap_or(false) } else { root.is_dir() }
    }

    /// Where the hierarchy is mounted.
    pub(crate) fn root(&self) -> PathBuf {
        Path::new(ROOT).join(&self.hierarchy)
    }
}

fn door(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .doing(|| format!("open {}", path.display()))
}

/// A device's limits of remote memory access, as `rdma.max` has them.
fn rdma(device: &str, limit: &oci_spec::runtime::LinuxRdma) -> String {
    let handles = limit.hca_handles().map(|count| format!(" hca_handle={count}"));
    let objects = limit.hca_objects().map(|count| format!(" hca_object={count}"));
    format!("{device}{}{}", handles.unwrap_or_default(), objects.unwrap_or_default())
}
