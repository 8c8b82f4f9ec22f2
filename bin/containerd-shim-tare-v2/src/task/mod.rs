//! The task service: containers and their processes, as containerd asks for them.
//!
//! ```text
//!   Create ─▶ Making ─▶ Created ──Start──▶ Starting ─▶ Running ─▶ Stopped ──Delete──▶ gone
//!   Exec   ─────────────▶┘                                  (a process ends)
//! ```
//!
//! A request that needs the runtime starts it and is answered when it has ended: until then others are
//! served. The end of a process that the runtime is still making or starting is kept back until it has
//! reported, so that nothing is told to have ended before it was told to have begun.

mod checkpoint;
mod container;
mod control;
mod create;
mod delete;
mod end;
mod exec;
mod query;
mod sandbox;
mod start;
mod streams;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use containerd_shim_protos::api::Empty;
use rustix::event::PollFlags;

use crate::events::Publisher;
use crate::logger::Loggers;
use crate::oom::OomWatch;
use crate::reaper::Exit;
use crate::runtime::Started;
use crate::wire::{self, Refusal, Reply};
use container::{Container, Process};
use delete::Deleting;
use sandbox::Sandbox;
use streams::Awaited;

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) connection: u64,
    pub(crate) stream: u32,
}

/// What a request leads to.
enum Answer {
    Now(Vec<u8>),
    /// Somebody else answers.
    Later,
}

impl Answer {
    fn empty() -> Self {
        Self::Now(wire::encode(&Empty::new()))
    }
}

type Answered = Result<Answer, Refusal>;

/// What is done when a runtime has ended.
type Then = Box<dyn FnOnce(&mut Tasks, anyhow::Result<String>)>;

/// All containers of this shim.
pub(crate) struct Tasks {
    namespace: String,
    containers: BTreeMap<String, Container>,
    /// Runtimes that have not ended, by pid.
    runtimes: BTreeMap<u32, (Started, Then)>,
    /// Ends of processes that nobody knows yet: a runtime is about to tell of them.
    unclaimed: BTreeMap<u32, Exit>,
    /// Runtimes have ended, but logging programs are not ready.
    awaited: Vec<Awaited>,
    deleting: Vec<Deleting>,
    loggers: Loggers,
    sandbox: Option<Sandbox>,
    /// What is to be sent.
    pub(crate) answers: Vec<(Caller, Reply)>,
    pub(crate) events: Publisher,
    /// containerd needs this shim no more.
    pub(crate) told_to_end: bool,
}

impl Tasks {
    /// No containers.
    pub(crate) fn new(namespace: &str, events: Publisher) -> Self {
        Self {
            namespace: namespace.to_owned(),
            containers: BTreeMap::new(),
            runtimes: BTreeMap::new(),
            unclaimed: BTreeMap::new(),
            awaited: Vec::new(),
            deleting: Vec::new(),
            loggers: Loggers::default(),
            sandbox: None,
            answers: Vec::new(),
            events,
            told_to_end: false,
        }
    }

    /// Whether there is nothing to look after.
    pub(crate) fn is_empty(&self) -> bool {
        let sandbox = self.sandbox.as_ref().is_some_and(Sandbox::is_up);
        self.containers.is_empty() && self.loggers.is_empty() && !sandbox
    }

    /// Whether nobody waits for what a runtime does.
    pub(crate) fn is_quiet(&self) -> bool {
        self.runtimes.is_empty() && self.awaited.is_empty() && self.deleting.is_empty()
    }

    /// Does what a request asks, now or later.
    pub(crate) fn call(&mut self, method: &str, payload: &[u8], caller: Caller) {
        crate::log::debug(&format!("{method} {caller:?}"));
        let answered = self.dispatch(method, payload, caller);
        self.answered(caller, answered);
    }

    fn answered(&mut self, caller: Caller, answered: Answered) {
        match answered {
            Ok(Answer::Later) => {}
            Ok(Answer::Now(payload)) => self.answers.push((caller, Ok(payload))),
            Err(refusal) => self.answers.push((caller, Err(refusal))),
        }
    }

    fn dispatch(&mut self, method: &str, payload: &[u8], caller: Caller) -> Answered {
        match method {
            "Create" => self.create(wire::decode(payload)?, caller),
            "Start" => self.start(&wire::decode(payload)?, caller),
            "Exec" => self.exec(wire::decode(payload)?),
            "State" => self.state(&wire::decode(payload)?),
            "Wait" => self.wait(&wire::decode(payload)?, caller),
            "Kill" => self.kill(&wire::decode(payload)?, caller),
            "Delete" => self.delete(&wire::decode(payload)?, caller),
            "Pids" => self.pids(&wire::decode(payload)?, caller),
            "Stats" => self.stats(&wire::decode(payload)?),
            "Connect" => self.connect(&wire::decode(payload)?),
            "Pause" => self.pause(wire::decode(payload)?, caller),
            "Resume" => self.resume(wire::decode(payload)?, caller),
            "Update" => self.update(&wire::decode(payload)?, caller),
            "ResizePty" => self.resize(&wire::decode(payload)?),
            "CloseIO" => self.close_io(&wire::decode(payload)?),
            "Checkpoint" => self.checkpoint(&wire::decode(payload)?, caller),
            "Shutdown" => self.shutdown(&wire::decode(payload)?),
            other => Err(Refusal::unimplemented(other)),
        }
    }

    /// Goes on with the request when a runtime has ended; its answer goes to the caller.
    fn when_ended(
        &mut self,
        started: Started,
        caller: Option<Caller>,
        then: impl FnOnce(&mut Self, anyhow::Result<String>) -> Reply + 'static,
    ) {
        let answer = move |tasks: &mut Self, outcome| {
            let reply = then(tasks, outcome);
            match (caller, reply) {
                (Some(caller), reply) => tasks.answers.push((caller, reply)),
                (None, Err(refusal)) => crate::log::error(&refusal.message),
                (None, Ok(_)) => {}
            }
        };
        self.after(started, answer);
    }

    /// Goes on when a runtime has ended.
    fn after(
        &mut self,
        started: Started,
        then: impl FnOnce(&mut Self, anyhow::Result<String>) + 'static,
    ) {
        self.runtimes.insert(started.pid, (started, Box::new(then)));
    }

    /// Children have ended: runtimes first, because they may have made the others.
    pub(crate) fn reaped(&mut self, ended: Vec<(u32, Exit)>) {
        let (runtimes, mut others): (Vec<_>, Vec<_>) =
            ended.into_iter().partition(|(pid, _)| self.runtimes.contains_key(pid));
        others.retain(|(pid, _)| !self.loggers.ended(*pid));
        self.unclaimed.extend(others.iter().copied());
        for (pid, exit) in runtimes {
            if let Some((started, then)) = self.runtimes.remove(&pid) {
                then(self, started.end(exit.status));
            }
        }
        for (pid, _) in others {
            self.claim(pid);
        }
        if self.runtimes.is_empty() && self.awaited.is_empty() {
            // What is left were orphans that the shim only adopted.
            self.unclaimed.clear();
        }
    }

    /// Carries what terminals say, and events; looks after all that is due.
    pub(crate) fn turn(&mut self) {
        self.turn_awaited();
        self.processes_mut().for_each(Process::turn);
        self.turn_deleting();
        self.loggers.turn();
        self.answers.extend(self.loggers.answers());
        self.turn_watches();
        self.events.turn();
    }

    /// When [`Tasks::turn`] is to be called at the latest.
    pub(crate) fn due(&self) -> Option<Instant> {
        let processes = self.containers.values().flat_map(Container::processes);
        let deleting = self.deleting.iter().map(|it| it.until);
        let awaited = self.awaited.iter().map(|it| it.until).chain(deleting);
        let own = self.events.due().into_iter().chain(self.loggers.due()).chain(awaited);
        processes.filter_map(Process::due).chain(own).min()
    }

    /// What to poll for.
    pub(crate) fn interests(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let processes = self.containers.values().flat_map(Container::processes);
        let watches = self.containers.values().filter_map(|it| it.oom.as_ref());
        let awaited = self.awaited.iter().map(|it| (it.ready.as_fd(), PollFlags::IN));
        let own = self.events.interest().into_iter().chain(awaited);
        processes.flat_map(Process::interests).chain(watches.map(OomWatch::interest)).chain(own)
    }

    fn processes_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        self.containers.values_mut().flat_map(Container::processes_mut)
    }

    fn container(&self, id: &str) -> Result<&Container, Refusal> {
        self.containers.get(id).ok_or_else(|| no_container(id))
    }

    fn container_mut(&mut self, id: &str) -> Result<&mut Container, Refusal> {
        self.containers.get_mut(id).ok_or_else(|| no_container(id))
    }

    /// A container's process: an exec, or the first one where `exec` is empty.
    fn process(&self, id: &str, exec: &str) -> Result<&Process, Refusal> {
        self.container(id)?.process(exec)
    }

    fn process_mut(&mut self, id: &str, exec: &str) -> Result<&mut Process, Refusal> {
        self.container_mut(id)?.process_mut(exec)
    }
}

fn no_container(id: &str) -> Refusal {
    Refusal::not_found(format!("container {id:?} does not exist"))
}
