//! Cgroups that systemd manages: a transient scope for each container, whose limits systemd knows as
//! properties of the unit, so that it does not undo them.
//!
//! Nothing here is touched without `--systemd-cgroup`: no bus is opened, no process made. libcgroups'
//! client is not used: it starts units with fixed properties, does not wait for the job, and knows none
//! of the annotations.
//!
//! A scope cannot be made empty, so a process that only waits holds it until the container's first one
//! was born inside ([`Holder`]).

mod bus;
mod devices;
mod properties;
mod text;
mod value;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;
use rustix::process::{Pid, WaitOptions};
use serde::{Deserialize, Serialize};

use self::bus::{Bus, Failure, Reader};
use self::value::Value;
use super::device;
use crate::error::{Doing, Error, Result};
use crate::id::ContainerId;
use crate::syscalls::{self, Cloned};

const MANAGER: [&str; 3] =
    ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];

/// A container's unit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Unit {
    /// `prefix-name.scope`.
    pub(crate) name: String,
    /// `machine.slice`; empty for the manager's default.
    slice: String,
    /// The bus of the user's manager; None for the system's.
    pub(crate) user_bus: Option<String>,
}

/// The process that keeps a new scope alive; it ends with this value.
pub(crate) struct Holder(Pid);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = syscalls::kill(self.0.as_raw_nonzero().get(), libc::SIGKILL);
        let _ = rustix::process::waitpid(Some(self.0), WaitOptions::empty());
    }
}

impl Unit {
    /// The unit of `linux.cgroupsPath`, which has the form `slice:prefix:name` here, and its path below
    /// each hierarchy's root.
    pub(crate) fn locate(
        path: Option<&Path>,
        id: &ContainerId,
        user_bus: Option<String>,
    ) -> Result<(Self, PathBuf)> {
        if !Path::new("/run/systemd/system").is_dir() {
            let reason = "systemd is not running on this host: it cannot manage cgroups";
            return Err(Error::spec("--systemd-cgroup", reason));
        }
        let text = path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        let parts: Vec<&str> = text.split(':').collect();
        let (slice, prefix, name) = match (text.is_empty(), parts.as_slice()) {
            (true, _) => ("", "tare-runtime", id.as_str()),
            (false, &[slice, prefix, name]) => (slice, prefix, name),
            _ => {
                let reason = format!(
                    "expected the form \"slice:prefix:name\" for systemd's cgroups, got {text:?}"
                );
                return Err(Error::spec("linux.cgroupsPath", reason));
            }
        };
        if prefix.contains('/') || name.contains('/') || name.is_empty() {
            return Err(Error::spec("linux.cgroupsPath", format!("{text:?} names no unit")));
        }
        let name = match name.ends_with(".slice") {
            true => name.to_owned(),
            false => format!("{prefix}-{name}.scope"),
        };
        let slice = match (slice, &user_bus) {
            ("", None) => "system.slice",
            ("", Some(_)) => "user.slice",
            (slice, _) => slice,
        };
        let mut below = expand_slice(slice)?;
        let unit = Self { name, slice: slice.to_owned(), user_bus };
        if unit.user_bus.is_some() {
            let manager = unit.connect()?.manager("ControlGroup")?;
            below = Path::new(manager.trim_start_matches('/')).join(below);
        }
        let path = below.join(&unit.name);
        Ok((unit, path))
    }

    /// Makes the unit with the limits that systemd has properties for.
    pub(super) fn start(
        &self,
        path: &Path,
        resources: &LinuxResources,
        unified: bool,
        annotations: &HashMap<String, String>,
    ) -> Result<Holder> {
        let mut manager = self.connect()?;
        let holder = hold()?;
        let mut all = self.description(path, holder.0);
        all.extend(properties::of_annotations(annotations)?);
        all.extend(properties::of_oom_group(resources));
        all.extend(devices::properties(&device::rules(resources)?));
        all.extend(properties::of_resources(resources, path, unified, manager.version()?)?);
        let arguments = [
            Value::text(&self.name),
            Value::text("replace"),
            Value::properties(&all),
            Value::Array("(sa(sv))".into(), Vec::new()),
        ];
        manager.subscribe().map_err(|failure| self.failed("watch", &failure))?;
        let started = match manager.job("StartTransientUnit", &arguments) {
            // A failed unit of an earlier container may still have the name.
            Err(Failure::Refused(name, _)) if name.ends_with(".UnitExists") => {
                manager.reset_failed(&self.name);
                manager.job("StartTransientUnit", &arguments)
            }
            started => started,
        };
        match started.map_err(|failure| self.failed("start", &failure))?.as_str() {
            "done" => Ok(holder),
            result => {
                manager.reset_failed(&self.name);
                Err(Error::Init(format!("systemd could not start {}: {result}", self.name)))
            }
        }
    }

    fn description(&self, path: &Path, holder: Pid) -> Vec<(String, Value)> {
        let holder = holder.as_raw_nonzero().get() as u32;
        let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut all = vec![("Description".to_owned(), Value::text(format!("container {id}")))];
        if self.name.ends_with(".slice") {
            all.push(("Wants".to_owned(), Value::texts([self.slice.clone()])));
        } else {
            all.push(("Slice".to_owned(), Value::text(&self.slice)));
            all.push(("Delegate".to_owned(), Value::Bool(true)));
            all.push(("PIDs".to_owned(), Value::Array("u".into(), vec![Value::U32(holder)])));
        }
        for name in ["MemoryAccounting", "CPUAccounting", "IOAccounting", "TasksAccounting"] {
            all.push((name.to_owned(), Value::Bool(true)));
        }
        all.push(("DefaultDependencies".to_owned(), Value::Bool(false)));
        all
    }

    /// Tells systemd of changed limits.
    pub(super) fn update(
        &self,
        path: &Path,
        resources: &LinuxResources,
        unified: bool,
    ) -> Result<()> {
        let mut manager = self.connect()?;
        let changed = properties::of_resources(resources, path, unified, manager.version()?)?;
        let arguments = [Value::text(&self.name), Value::Bool(true), Value::properties(&changed)];
        manager
            .bus
            .call(MANAGER, "SetUnitProperties", &arguments)
            .map(drop)
            .map_err(|failure| self.failed("change", &failure))
    }

    /// Moves a process into the unit, or a cgroup at `path` below it: what a user's manager may do and the
    /// user alone may not.
    pub(crate) fn attach(&self, pid: Pid, path: &Path) -> Result<()> {
        let pid = pid.as_raw_nonzero().get() as u32;
        let pids = Value::Array("u".into(), vec![Value::U32(pid)]);
        let arguments = [Value::text(&self.name), Value::text(self.below(path)), pids];
        self.connect()?
            .bus
            .call(MANAGER, "AttachProcessesToUnit", &arguments)
            .map(drop)
            .map_err(|failure| self.failed("move the process into", &failure))
    }

    /// A path as the unit sees it: `/inner`; empty for the unit's own.
    fn below(&self, path: &Path) -> String {
        let mut parts =
            path.iter().skip_while(|part| *part != self.name.as_str()).skip(1).peekable();
        match parts.peek() {
            Some(_) => {
                Path::new("/").join(parts.collect::<PathBuf>()).to_string_lossy().into_owned()
            }
            None => String::new(),
        }
    }

    /// Stops and forgets the unit; one that is gone is no error.
    pub(super) fn stop(&self) -> Result<()> {
        let mut manager = self.connect()?;
        manager.subscribe().map_err(|failure| self.failed("watch", &failure))?;
        let arguments = [Value::text(&self.name), Value::text("replace")];
        match manager.job("StopUnit", &arguments) {
            Ok(_) => {}
            Err(Failure::Refused(name, _)) if name.ends_with(".NoSuchUnit") => return Ok(()),
            Err(failure) => return Err(self.failed("stop", &failure)),
        }
        manager.reset_failed(&self.name);
        Ok(())
    }

    fn connect(&self) -> Result<Manager> {
        let address = self.user_bus.as_deref().unwrap_or(bus::SYSTEM);
        let bus = Bus::connect(address).map_err(|failure| {
            Error::spec("--systemd-cgroup", format!("connect to {address}: {failure}"))
        })?;
        Ok(Manager { bus })
    }

    fn failed(&self, verb: &str, failure: &Failure) -> Error {
        Error::Init(format!("unable to {verb} unit {:?}: {failure}", self.name))
    }
}

/// systemd itself.
struct Manager {
    bus: Bus,
}

impl Manager {
    /// A property that is a string.
    fn manager(&mut self, name: &str) -> Result<String> {
        let place = [MANAGER[0], MANAGER[1], "org.freedesktop.DBus.Properties"];
        let arguments = [Value::text(MANAGER[2]), Value::text(name)];
        let answer = self.bus.call(place, "Get", &arguments).map_err(|failure| {
            Error::spec("--systemd-cgroup", format!("ask systemd for its {name}: {failure}"))
        })?;
        let mut body = Reader::new(&answer);
        let text = body.signature().and_then(|_| body.text());
        text.ok_or_else(|| Error::spec("--systemd-cgroup", format!("systemd tells no {name}")))
    }

    /// 252 of `252.39-1~deb12u1`.
    fn version(&mut self) -> Result<u32> {
        let text = self.manager("Version")?;
        let digits: String =
            text.trim_start_matches('v').chars().take_while(char::is_ascii_digit).collect();
        Ok(digits.parse().unwrap_or(0))
    }

    /// Has the ends of jobs told.
    fn subscribe(&mut self) -> Result<(), Failure> {
        let bus = ["org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"];
        let rule = "type='signal',sender='org.freedesktop.systemd1',\
                    interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";
        self.bus.call(bus, "AddMatch", &[Value::text(rule)])?;
        self.bus.call(MANAGER, "Subscribe", &[]).map(drop)
    }

    /// A call that makes a job, and the job's result.
    fn job(&mut self, member: &str, arguments: &[Value]) -> Result<String, Failure> {
        let answer = self.bus.call(MANAGER, member, arguments)?;
        let job = Reader::new(&answer).text().unwrap_or_default();
        self.bus.job_result(&job)
    }

    /// A unit that did not fail has nothing to forget.
    fn reset_failed(&mut self, name: &str) {
        let _ = self.bus.call(MANAGER, "ResetFailedUnit", &[Value::text(name)]);
    }
}

/// `a-b.slice` lies in `a.slice/a-b.slice` (systemd.slice(5)).
fn expand_slice(slice: &str) -> Result<PathBuf> {
    let wrong = || Error::spec("linux.cgroupsPath", format!("{slice:?} names no slice"));
    let name = slice.strip_suffix(".slice").filter(|_| !slice.contains('/')).ok_or_else(wrong)?;
    if name == "-" {
        return Ok(PathBuf::new());
    }
    let (mut path, mut prefix) = (PathBuf::new(), String::new());
    for part in name.split('-') {
        if part.is_empty() {
            return Err(wrong());
        }
        prefix.push_str(part);
        path.push(format!("{prefix}.slice"));
        prefix.push('-');
    }
    Ok(path)
}

/// A process that waits for its end, and ends when this one does.
fn hold() -> Result<Holder> {
    // SAFETY: no thread is started in this program before the container runs; the child only waits.
    match unsafe { syscalls::clone3(0, None) }
        .doing(|| "make a process that holds the unit".into())?
    {
        Cloned::Parent { pid, .. } => Ok(Holder(pid)),
        Cloned::Child => {
            let _ = rustix::process::set_parent_process_death_signal(Some(
                rustix::process::Signal::KILL,
            ));
            loop {
                std::thread::park();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_knows_what_lies_below() {
        let unit = Unit { name: "a-b.scope".into(), slice: "c.slice".into(), user_bus: None };
        for (path, below) in [
            ("/sys/fs/cgroup/c.slice/a-b.scope", ""),
            ("/sys/fs/cgroup/c.slice/a-b.scope/d/e", "/d/e"),
        ] {
            assert_eq!(unit.below(Path::new(path)), below);
        }
    }

    #[test]
    fn slices_lie_in_their_parents() {
        for (slice, path) in [
            ("machine.slice", "machine.slice"),
            ("a-b-c.slice", "a.slice/a-b.slice/a-b-c.slice"),
            ("-.slice", ""),
        ] {
            assert_eq!(expand_slice(slice).unwrap(), Path::new(path));
        }
        for wrong in ["", ".slice", "a--b.slice", "-a.slice", "a/b.slice", "a.scope"] {
            assert!(expand_slice(wrong).is_err(), "{wrong}");
        }
    }
}
