//! A container and its processes, as far as the shim knows them.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::Instant;

use rustix::event::PollFlags;
use serde_json::Value;

use super::Caller;
use crate::oom::OomWatch;
use crate::options::Options;
use crate::reaper::Exit;
use crate::runtime::Runtime;
use crate::stats::Groups;
use crate::stdio::{Copied, Input, Kept, Paths};
use crate::terminal::Terminal;
use crate::wire::Refusal;

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The runtime makes it.
    Making,
    /// It waits for `Start`.
    Created,
    /// The runtime starts it.
    Starting,
    Running,
    Stopped,
}

/// A container.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) bundle: PathBuf,
    pub(crate) runtime: Runtime,
    pub(crate) options: Options,
    /// Its processes end with the first one.
    pub(crate) own_pids: bool,
    pub(crate) paused: bool,
    pub(crate) init: Process,
    pub(crate) execs: BTreeMap<String, Process>,
    /// The checkpoint that it is to be made from, as long as it is not.
    pub(crate) restore: Option<PathBuf>,
    /// Where its resources are counted.
    pub(crate) groups: Option<Groups>,
    pub(crate) oom: Option<OomWatch>,
    /// The first process has ended, but others of the container have not: its end is told last.
    pub(crate) init_exit: Option<Exit>,
}

/// A container's first process, or one of its execs.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) stage: Stage,
    /// 0 before it is known.
    pub(crate) pid: u32,
    pub(crate) paths: Paths,
    pub(crate) kept: Kept,
    pub(crate) terminal: Option<Terminal>,
    /// Input and output that the shim carries.
    pub(crate) input: Input,
    pub(crate) copied: Vec<Copied>,
    /// How it ended, once it has.
    pub(crate) exit: Option<Exit>,
    /// Who wants to know.
    pub(crate) waiters: Vec<Caller>,
    /// An exec's process as runtime-spec has it.
    pub(crate) spec: Value,
    /// The logging program that takes its output, by pid.
    pub(crate) logger: Option<u32>,
}

impl Container {
    pub(crate) fn new(bundle: PathBuf, runtime: Runtime, options: Options, init: Process) -> Self {
        Self {
            bundle,
            runtime,
            options,
            own_pids: false,
            paused: false,
            init,
            execs: BTreeMap::new(),
            restore: None,
            groups: None,
            oom: None,
            init_exit: None,
        }
    }

    /// Looks up the cgroups of the first process, and watches its memory. Nothing depends on it but
    /// statistics and the event of a lack of memory: a failure is only logged.
    pub(crate) fn find_groups(&mut self) {
        let watch = |groups: Groups| {
            let oom = OomWatch::new(&groups)?;
            anyhow::Ok((groups, oom))
        };
        match Groups::of_process(self.init.pid).and_then(watch) {
            Ok((groups, oom)) => (self.groups, self.oom) = (Some(groups), oom),
            Err(error) => crate::log::error(&format!("{error:#}")),
        }
    }

    /// Whether one of its execs runs, as far as anyone knows.
    pub(crate) fn has_running_execs(&self) -> bool {
        let runs = |process: &Process| matches!(process.stage, Stage::Starting | Stage::Running);
        self.execs.values().any(runs)
    }

    pub(crate) fn process(&self, exec: &str) -> Result<&Process, Refusal> {
        match exec.is_empty() {
            true => Ok(&self.init),
            false => self.execs.get(exec).ok_or_else(|| no_exec(exec)),
        }
    }

    pub(crate) fn process_mut(&mut self, exec: &str) -> Result<&mut Process, Refusal> {
        match exec.is_empty() {
            true => Ok(&mut self.init),
            false => self.execs.get_mut(exec).ok_or_else(|| no_exec(exec)),
        }
    }

    pub(crate) fn processes(&self) -> impl Iterator<Item = &Process> {
        std::iter::once(&self.init).chain(self.execs.values())
    }

    pub(crate) fn processes_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        std::iter::once(&mut self.init).chain(self.execs.values_mut())
    }

    /// Its processes with their names: empty for the first.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&str, &Process)> {
        let execs = self.execs.iter().map(|(name, process)| (name.as_str(), process));
        std::iter::once(("", &self.init)).chain(execs)
    }
}

fn no_exec(exec: &str) -> Refusal {
    Refusal::not_found(format!("process {exec:?} does not exist"))
}

impl Process {
    pub(crate) fn new(stage: Stage, paths: Paths) -> Self {
        Self {
            stage,
            pid: 0,
            paths,
            kept: Kept::default(),
            terminal: None,
            input: Input::default(),
            copied: Vec::new(),
            exit: None,
            waiters: Vec::new(),
            spec: Value::Null,
            logger: None,
        }
    }

    /// Goes from one stage to another.
    ///
    /// # Errors
    /// It is in neither.
    pub(crate) fn advance(&mut self, from: Stage, to: Stage) -> Result<(), Refusal> {
        if self.stage != from {
            let message = format!("the process is {:?}, not {from:?}", self.stage);
            return Err(Refusal::state(message.to_lowercase()));
        }
        self.stage = to;
        Ok(())
    }

    /// Begins to carry its input, now that it runs.
    pub(crate) fn feed(&mut self) {
        if let Err(error) = self.input.begin(&mut self.kept) {
            crate::log::error(&format!("{error:#}"));
        }
    }

    /// Carries what its streams and its terminal say, and lets go of what is needed no more: a reader sees the end of
    /// the output when the process has ended and all of it has been passed on.
    pub(crate) fn turn(&mut self) {
        if let Some(terminal) = &mut self.terminal {
            terminal.turn();
        }
        self.input.turn();
        self.copied.retain_mut(|copied| {
            copied.pump.turn();
            !copied.pump.is_done()
        });
        // The last words of a terminal come a moment after the end.
        let all_said = self.terminal.as_ref().is_none_or(Terminal::is_done);
        if self.stage == Stage::Stopped && all_said {
            self.terminal = None;
            self.input = Input::default();
            self.kept = Kept::default();
        }
    }

    /// Whether it is one of a container's further processes.
    pub(crate) fn is_exec(&self) -> bool {
        !self.spec.is_null()
    }

    /// Whether all that it has said by now has been passed on, after a [`Process::turn`].
    pub(crate) fn is_passed_on(&self) -> bool {
        let lags = self.copied.iter().any(|copied| copied.pump.is_full());
        !lags && self.terminal.as_ref().is_none_or(Terminal::is_passed_on)
    }

    /// When [`Process::turn`] is to be called at the latest.
    pub(crate) fn due(&self) -> Option<Instant> {
        let ended = self.stage == Stage::Stopped;
        self.terminal.as_ref().filter(|_| ended).and_then(Terminal::quiet_at)
    }

    pub(crate) fn interests(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let copied = self.copied.iter().filter_map(|copied| copied.pump.interest());
        let carried = self.input.interest().into_iter().chain(copied);
        self.terminal.iter().flat_map(Terminal::interest).chain(carried)
    }
}
