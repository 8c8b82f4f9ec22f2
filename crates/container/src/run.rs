//! `create`, `start` and `run`.

use std::path::Path;

use crate::delete::destroy;
use crate::error::{Doing, Error, Result};
use crate::foreground::stay;
use crate::hooks::{self, Point};
use crate::id::ContainerId;
use crate::launch::{CreateOptions, Launched, launch};
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

/// Starts the program of a created container.
///
/// # Errors
/// When the container is in another state, or when its program cannot be executed.
pub fn start(root: &Path, id: &ContainerId) -> Result<()> {
    let dir = StateDir::new(root, id);
    let record = dir.load()?;
    let status = dir.status(&record);
    if status != Status::Created {
        return Err(Error::WrongState { verb: "start", status: status.as_str() });
    }
    let report = starting::tell(&dir)?;
    if !report.is_empty() {
        return Err(Error::Init(report));
    }
    after_start(&record)
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
    if !run.detach && !run.no_subreaper {
        rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1))
            .doing(|| "become a subreaper".into())?;
    }
    let mut launched = launch(root, id, options, true)?;
    if let Err(error) = begin(&launched) {
        let _ = syscalls::kill(launched.record.pid, libc::SIGKILL);
        let _ = rustix::process::waitpid(
            Some(launched.child.pid),
            rustix::process::WaitOptions::empty(),
        );
        let _ = destroy(&launched.dir, &launched.record);
        return Err(error);
    }
    if run.detach {
        return Ok(0);
    }
    let code = stay(&launched.child, launched.master.take(), &launched.signals)?;
    if !run.keep {
        match destroy(&launched.dir, &launched.record) {
            // The program's end is what the caller asked for (runtime-spec, runtime.md "Lifecycle").
            Err(error @ Error::Hook { .. }) => crate::notice::warn(&error.to_string()),
            destroyed => destroyed?,
        }
    }
    Ok(code)
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
