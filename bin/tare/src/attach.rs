//! A process in a container, as our child: start it, copy its streams, pass on signals, collect it.
//!
//! ```text
//!   ours                          thread                        container
//!   stdin  ──────────────────────▶ copy ─▶ pipe or terminal ──▶ stdin
//!   stdout ◀─┬──────────────────── copy ◀─ pipe or terminal ◀── stdout (and stderr of a terminal)
//!   stderr ◀─┼──────────────────── copy ◀─ pipe ◀────────────── stderr
//!            └─▶ log
//! ```
//!
//! The container never gets our own streams: a descriptor of the host's terminal would let it type
//! commands there, and one of a host file would let it open that again.

mod console;
mod copy;
mod streams;

use std::fs::File;
use std::process::ExitStatus;
use std::time::SystemTime;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, wait};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use console::Console;
pub(crate) use console::{RawMode, size};
use copy::Copies;
use streams::Ends;
pub(crate) use streams::{Input, Output, Plan};

use crate::init::exit_code;
use crate::log::Log;
use crate::runtime::Runtime;
use crate::signals;

/// How often the user must ask before the container is killed.
const PATIENCE: u32 = 3;

/// A process that runs in a container, our child.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) pid: Pid,
    signals: Signals,
    ends: Option<Ends>,
    /// The container's terminal, to change its size.
    terminal: Option<File>,
    plan: Plan,
}

/// What the runtime is to start: the words of its command line but for `--pid-file`,
/// `--console-socket` and the container's id, which come after them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start<'a> {
    pub(crate) words: &'a [&'a std::ffi::OsStr],
    pub(crate) pid_file: &'a std::path::Path,
    pub(crate) id: &'a str,
    /// Where the runtime says what went wrong, in JSON, when standard error is not ours to read.
    pub(crate) log: Option<&'a std::path::Path>,
}

impl Attached {
    /// Starts the process; when this returns, it runs, and the runtime is gone.
    ///
    /// The error carries docker's exit code (125 to 127).
    pub(crate) fn start(runtime: &Runtime, start: Start<'_>, plan: Plan) -> anyhow::Result<Self> {
        let signals = Signals::new(signals::FORWARDED.iter().chain(&[SIGCHLD, signals::RESIZED]))
            .context("cannot handle signals")?;
        set_child_subreaper(Some(rustix::process::getpid()))
            .context("cannot become the parent of the container's first process")?;
        let console = plan.tty.then(Console::listen).transpose()?;
        let mut command = match start.log {
            Some(log) => runtime.logging_command(log, start.words),
            None => runtime.command(start.words),
        };
        command.arg("--pid-file").arg(start.pid_file);
        if let Some(console) = &console {
            command.arg("--console-socket").arg(console.path());
        }
        command.arg(start.id);
        let ends = Ends::new(&plan, &mut command)?;
        let status = runtime.status(&mut command)?;
        drop(command);
        let pid = started(runtime, status, &ends, start)?;
        let terminal = console.map(Console::receive).transpose()?;
        let copy = terminal.as_ref().map(File::try_clone).transpose();
        let copy = copy.context("cannot copy a descriptor")?;
        let ends = Some(ends.with_terminal(terminal));
        Ok(Self { pid, signals, ends, terminal: copy, plan })
    }

    /// Copies streams until the process ends and its output is read; its exit code.
    pub(crate) fn run(mut self, log: Option<&Log>) -> anyhow::Result<u8> {
        let ours = self.plan.input == Input::Ours && self.terminal.is_some();
        let raw = if ours { RawMode::enter() } else { None };
        let copies =
            self.ends.take().map(|ends| Copies::start(ends, &self.plan, log)).transpose()?;
        let code = self.wait()?;
        if let Some(copies) = copies {
            copies.finish();
        }
        drop(raw);
        Ok(code)
    }

    fn wait(&mut self) -> anyhow::Result<u8> {
        let mut asked = 0;
        loop {
            // Before the wait for signals: the process may have ended before our handler was there.
            if let Some(code) = self.collect()? {
                return Ok(code);
            }
            for signal in self.signals.wait().collect::<Vec<_>>() {
                match signal {
                    SIGCHLD => {}
                    signals::RESIZED => self.resize(),
                    signal => {
                        asked += u32::from(signal == SIGINT || signal == SIGTERM);
                        self.forward(if asked >= PATIENCE { 9 } else { signal });
                    }
                }
            }
        }
    }

    /// Collects every child that ended: as subreaper we get strangers too.
    fn collect(&self) -> anyhow::Result<Option<u8>> {
        loop {
            match wait(WaitOptions::NOHANG).context("cannot wait for the container")? {
                Some((pid, status)) if pid == self.pid => return Ok(Some(exit_code(status))),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    fn forward(&self, signal: i32) {
        // The number cannot belong to another process: we have not collected this one.
        if let Some(signal) = Signal::from_named_raw(signal) {
            let _ = kill_process(self.pid, signal);
        }
    }

    fn resize(&self) {
        if let Some(terminal) = &self.terminal {
            console::copy_size(terminal);
        }
    }
}

fn started(
    runtime: &Runtime,
    status: ExitStatus,
    ends: &Ends,
    start: Start<'_>,
) -> anyhow::Result<Pid> {
    if !status.success() {
        let said = match start.log {
            Some(log) => crate::runtime::logged(log),
            None => ends.what_was_said(),
        };
        return Err(runtime.start_error(status, &said));
    }
    let text = std::fs::read_to_string(start.pid_file)
        .with_context(|| format!("cannot read {}", start.pid_file.display()))?;
    text.trim()
        .parse()
        .ok()
        .and_then(Pid::from_raw)
        .with_context(|| format!("{} holds no process number: {text:?}", start.pid_file.display()))
}

/// The record of the process, for others to find it.
pub(crate) fn process_record(pid: Pid) -> crate::container::Process {
    let pid = pid.as_raw_nonzero().get();
    // One that is a zombie already still has its entry in /proc: we have not collected it.
    crate::container::Process::of_pid(pid).unwrap_or(crate::container::Process {
        pid,
        start_ticks: 0,
        started: SystemTime::now(),
    })
}
