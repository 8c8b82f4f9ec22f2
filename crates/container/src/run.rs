//! `create`, `start` and `run`.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open};

use crate::delete::destroy;
use crate::error::{Doing, Error, Result};
use crate::foreground::stay;
use crate::hooks::{self, Point};
use crate::id::ContainerId;
use crate::launch::{CreateOptions, Launched, launch};
use crate::notify::Ear;
use crate::state::{Record, StateDir, Status};
use crate::sync::Message;
use crate::{notice, starting, syscalls};

/// How `run` stays with the container; runc's flags of the same names.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Return as soon as the program runs.
    pub detach: bool,
    /// Keep the stopped container's state.
    pub keep: bool,
    /// Do not adopt processes that the container orphans.
    pub no_subreaper: bool,
}

/// Makes a container and leaves it waiting for [`start`].
///
/// # Errors
/// Whatever is wrong with the bundle, or what the kernel refuses; nothing of the container is left then.
pub fn create(root: &Path, id: &ContainerId, options: &CreateOptions) -> Result<()> {
    let launched = launch(root, id, options, false)?;
    launched.channel.send(&Message::Proceed)
}

/// Starts the program of a created container; where a service manager listens at `notify_socket`, waits
/// until it is ready.
///
/// # Errors
/// When the container is in another state, or when its program cannot be executed.
pub fn start(root: &Path, id: &ContainerId, notify_socket: Option<&Path>) -> Result<()> {
    let dir = StateDir::new(root, id);
    let record = dir.load()?;
    let status = dir.status(&record);
    if status != Status::Created {
        return Err(Error::WrongState { verb: "start", status: status.as_str() });
    }
    let pid = Pid::from_raw(record.pid).ok_or(Error::NotRunning)?;
    let ear = listen(&dir, notify_socket)?;
    let process = match &ear {
        None => None,
        Some(_) => Some(pidfd_open(pid, PidfdFlags::empty()).doing(|| "open the process".into())?),
    };
    let report = starting::tell(&dir)?;
    if !report.is_empty() {
        return Err(Error::Init(report));
    }
    after_start(&record)?;
    match (ear, process) {
        (Some(ear), Some(process)) => ear.wait(process.as_fd(), record.pid, None),
        _ => Ok(()),
    }
}

fn listen(dir: &StateDir, manager: Option<&Path>) -> Result<Option<Ear>> {
    manager.map_or(Ok(None), |manager| Ear::open(dir, manager))
}

/// A failing poststart hook stops the container (runtime-spec, config.md "Poststart").
fn after_start(record: &Record) -> Result<()> {
    let ran =
        hooks::run(record.config.hooks.as_ref(), Point::Poststart, &record.state(Status::Running));
    if ran.is_err() {
        let _ = syscalls::kill(record.pid, libc::SIGKILL);
    }
    ran
}

/// Makes a container and runs its program. Returns the program's exit code, or 128 and the signal that
/// killed it; 0 when detached.
///
/// # Errors
/// As for [`create`] and [`start`]; nothing of the container is left then.
pub fn run(
    root: &Path,
    id: &ContainerId,
    options: &CreateOptions,
    run: &RunOptions,
) -> Result<i32> {
    if !run.detach && options.console_socket.is_some() {
        return Err(Error::spec("--console-socket", "needs --detach"));
    }
    if !run.detach && !run.no_subreaper {
        rustix::process::set_child_subreaper(Pid::from_raw(1))
            .doing(|| "become a subreaper".into())?;
    }
    let mut launched = launch(root, id, options, true)?;
    let ear = listen(&launched.dir, options.notify_socket.as_deref());
    let begun = ear.and_then(|ear| begin(&launched).map(|()| ear));
    let ear = begun.inspect_err(|_| take_back(&launched))?;
    if run.detach {
        let Some(ear) = ear else { return Ok(0) };
        return ear
            .wait(launched.child.pidfd.as_fd(), launched.record.pid, Some(&launched.signals))
            .map(|()| 0);
    }
    let signals = &launched.signals;
    let code = stay(&launched.child, launched.master.take(), ear.as_ref(), signals)?;
    if !run.keep {
        match destroy(&launched.dir, &launched.record) {
            // The program's end is what the caller asked for (runtime-spec, runtime.md "Lifecycle").
            Err(error @ Error::Hook { .. }) => crate::notice::warn(&error.to_string()),
            destroyed => destroyed?,
        }
    }
    Ok(code)
}

fn take_back(launched: &Launched) {
    let _ = syscalls::kill(launched.record.pid, libc::SIGKILL);
    let _ = rustix::process::waitpid(Some(launched.child.pid), WaitOptions::empty());
    let _ = destroy(&launched.dir, &launched.record);
}

/// Lets the program start, and hears whether it did.
fn begin(launched: &Launched) -> Result<()> {
    launched.channel.send(&Message::Proceed)?;
    loop {
        match launched.channel.receive_unless_ended(&launched.signals)? {
            Message::End => break,
            Message::Warning(text) => notice::warn(&text),
            Message::Debug(text) => notice::debug(|| text),
            Message::Failed(report) => return Err(Error::Init(report)),
            Message::NotExecuted(report) => return Err(Error::NotExecuted(report)),
            _ => {}
        }
    }
    after_start(&launched.record)
}
