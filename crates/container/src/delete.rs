//! `delete`, and the end of a container in general.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::cgroup::Cgroup;
use crate::error::{Doing, Error, Result};
use crate::hooks::{self, Point};
use crate::id::ContainerId;
use crate::process_stat::ProcessStat;
use crate::state::{Record, StateDir, Status};
use crate::syscalls;

/// How long killed processes may take to disappear.
const PATIENCE: Duration = Duration::from_secs(10);

/// Removes a stopped container; with `force` one in any state, and then a missing one is no error.
///
/// # Errors
/// [`Error::NotStopped`] without `force`.
pub fn delete(root: &Path, id: &ContainerId, force: bool) -> Result<()> {
    let dir = StateDir::new(root, id);
    let record = match dir.load() {
        Err(Error::NotFound(_)) if force => return forget(&dir),
        record => record?,
    };
    match dir.status(&record) {
        Status::Stopped => {}
        // Like runc: a container that never ran holds nothing that could be lost.
        Status::Created => stop(&record)?,
        _ if force => stop(&record)?,
        status => return Err(Error::NotStopped { id: id.to_string(), status: status.as_str() }),
    }
    destroy(&dir, &record)
}

/// What a creation left that was killed before it could take back or tell what it had made.
fn forget(dir: &StateDir) -> Result<()> {
    if let Some(cgroup) = dir.noted_cgroup() {
        empty(&cgroup)?;
        cgroup.remove()?;
    }
    dir.remove()
}

/// Kills the first process and waits until it is gone. A frozen one takes its death when it thaws.
pub(crate) fn stop(record: &Record) -> Result<()> {
    syscalls::kill(record.pid, libc::SIGKILL)
        .or_else(
            |error| if error.raw_os_error() == Some(libc::ESRCH) { Ok(()) } else { Err(error) },
        )
        .doing(|| format!("kill process {}", record.pid))?;
    if record.cgroup.is_frozen() {
        record.cgroup.freeze(false)?;
    }
    let gone = || match ProcessStat::of(record.pid) {
        Some(stat) => stat.start_time != record.start_time || stat.is_dead(),
        None => true,
    };
    wait_until(gone)
        .then_some(())
        .ok_or(Error::NotStopped { id: record.id.clone(), status: Status::Running.as_str() })
}

/// Takes away all that a stopped container held: stray processes, cgroups, state; then the poststop
/// hooks, whose failure does not bring anything back.
pub(crate) fn destroy(dir: &StateDir, record: &Record) -> Result<()> {
    // Nearly every container is empty by now, which the kernel tells by letting its cgroups go.
    if !record.cgroup.remove_if_empty() {
        empty(&record.cgroup)?;
        record.cgroup.remove()?;
    }
    record.rdt.remove();
    dir.remove()?;
    let state = record.state(Status::Stopped);
    hooks::run_all(record.config.hooks.as_ref(), Point::Poststop, &state)
}

/// Kills what is left in the cgroups: without a pid namespace of its own, a container's other
/// processes outlive the first.
pub(crate) fn empty(cgroup: &Cgroup) -> Result<()> {
    let left = || cgroup.processes().unwrap_or_default();
    if left().is_empty() {
        return Ok(());
    }
    cgroup.kill();
    let none = wait_until(|| {
        let left = left();
        for pid in &left {
            let _ = syscalls::kill(*pid, libc::SIGKILL);
        }
        left.is_empty()
    });
    if none { Ok(()) } else { Err(Error::Init("the container's processes do not die".into())) }
}

fn wait_until(mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(100);
    loop {
        if done() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
