//! `kill`: signals to a container.

use std::path::Path;

use crate::cgroup::Cgroup;
use crate::error::{Doing, Error, Result};
use crate::id::ContainerId;
use crate::signals::Signal;
use crate::state::{Record, StateDir, Status};
use crate::syscalls;

/// Sends a signal to the container's first process; with `all` to all its processes, and then it is no
/// error that there is none.
///
/// Without a pid namespace of its own a container's other processes outlive the first, so SIGKILL
/// always goes to all of them.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::NotRunning`] when the container is stopped.
pub fn kill(root: &Path, id: &ContainerId, signal: Signal, all: bool) -> Result<()> {
    let dir = StateDir::new(root, id);
    let record = dir.load()?;
    let deadly = signal == Signal::KILL;
    if all {
        return signal_all(&record.cgroup, signal).map(drop);
    }
    if deadly && record.shares_pids && signal_all(&record.cgroup, signal)? {
        return Ok(());
    }
    signal_first(&dir, &record, signal)?;
    if deadly && record.cgroup.is_frozen() {
        // On v1 a frozen process takes even its death only when it thaws.
        record.cgroup.freeze(false)?;
    }
    Ok(())
}

fn signal_first(dir: &StateDir, record: &Record, signal: Signal) -> Result<()> {
    if dir.status(record) == Status::Stopped {
        return Err(Error::NotRunning);
    }
    syscalls::kill(record.pid, signal.number())
        .doing(|| format!("signal process {} of container {}", record.pid, record.id))
}

/// Whether there was any process. One that is killed must not escape by a child that it makes
/// meanwhile, so they are frozen, where that can be done.
fn signal_all(cgroup: &Cgroup, signal: Signal) -> Result<bool> {
    if signal != Signal::KILL {
        return signal_each(cgroup, signal);
    }
    let frozen = cgroup.freeze(true).is_ok();
    let signalled = signal_each(cgroup, signal);
    if frozen {
        cgroup.freeze(false)?;
    }
    signalled
}

fn signal_each(cgroup: &Cgroup, signal: Signal) -> Result<bool> {
    if cgroup.groups().iter().all(|group| !group.path.exists()) {
        return Ok(false);
    }
    let processes = cgroup.processes()?;
    for pid in &processes {
        match syscalls::kill(*pid, signal.number()) {
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => {
                return Err(error).doing(|| format!("signal process {pid}"));
            }
            _ => {}
        }
    }
    Ok(!processes.is_empty())
}
