//! `tare init -- COMMAND…`: the first process of a container run with `--init`.
//!
//! A process with number 1 gets no signal that it has no handler for, and inherits every orphan. This
//! one starts the command, passes signals on to it, collects the orphans, and ends as the command does.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use cli::ErrorExt as _;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use signal_hook::consts::{SIGCHLD, SIGCONT};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;

use crate::signals;

/// Runs the command to its end. Exit code as a shell has it: 127 not found, 126 not executable.
pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let (program, rest) = arguments.split_first().context("init needs a command").exit_code(125)?;
    let mut signals = SignalsInfo::<WithOrigin>::new(signals::FORWARDED.iter().chain(&[SIGCHLD]))
        .context("cannot handle signals")?;
    let child = match Command::new(program).args(rest).spawn() {
        Ok(child) => child,
        Err(error) => return Err(not_started(program, error)),
    };
    let child = Pid::from_child(&child);
    for origin in signals.forever() {
        if origin.signal == SIGCHLD {
            if let Some(code) = collect(child) {
                return Ok(ExitCode::from(code));
            }
        } else if !from_terminal(origin.cause, origin.signal)
            && let Some(signal) = Signal::from_named_raw(origin.signal)
        {
            // It may have ended just now.
            let _ = kill_process(child, signal);
        }
    }
    Ok(ExitCode::FAILURE)
}

/// The terminal sends its signals to the whole process group, so the command has them already.
fn from_terminal(cause: Cause, signal: i32) -> bool {
    matches!(cause, Cause::Kernel) && signal != SIGCONT
}

/// Collects all that ended; the code of the command if it is among them.
fn collect(child: Pid) -> Option<u8> {
    let mut code = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == child {
            code = Some(exit_code(status));
        }
    }
    code
}

/// The exit code that a shell would show: 128 and the signal's number for a death by signal.
pub(crate) fn exit_code(status: WaitStatus) -> u8 {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 255,
    };
    u8::try_from(code).unwrap_or(255)
}

fn not_started(program: &OsString, error: std::io::Error) -> anyhow::Error {
    let code = if error.kind() == ErrorKind::NotFound { 127 } else { 126 };
    let error =
        anyhow::Error::new(error).context(format!("cannot execute {}", program.to_string_lossy()));
    cli::coded(error, code)
}
