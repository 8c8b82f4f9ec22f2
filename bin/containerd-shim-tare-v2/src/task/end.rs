//! The end of processes: `Kill`, `Wait`, and what is done when one has ended.

use containerd_shim_protos::api::{KillRequest, WaitRequest, WaitResponse};
use containerd_shim_protos::events::task::{TaskExit, TaskOOM};
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::container::{Container, Stage};
use super::{Answer, Answered, Caller, Tasks};
use crate::events::Topic;
use crate::reaper::Exit;
use crate::wire::{self, Refusal};

impl Tasks {
    pub(super) fn wait(&mut self, request: &WaitRequest, caller: Caller) -> Answered {
        let process = self.process_mut(&request.id, &request.exec_id)?;
        match process.exit {
            Some(exit) => Ok(Answer::Now(waited(exit))),
            None => {
                process.waiters.push(caller);
                Ok(Answer::Later)
            }
        }
    }

    pub(super) fn kill(&mut self, request: &KillRequest, caller: Caller) -> Answered {
        let container = self.container(&request.id)?;
        let process = container.process(&request.exec_id)?;
        // Another process may have its number by now.
        let reaped = self.unclaimed.contains_key(&process.pid)
            || request.exec_id.is_empty() && container.init_exit.is_some();
        match process.stage {
            Stage::Making => return Err(Refusal::state("the container is being made")),
            Stage::Stopped if !request.all => return Err(finished()),
            _ if reaped && !request.all => return Err(finished()),
            _ => {}
        }
        // A runtime does the same, but for what only it knows: all of a cgroup, and how to thaw it.
        let plain = !request.all && !container.paused && is_named(request);
        if plain || !request.exec_id.is_empty() {
            signal(process.pid, request.signal)?;
            return Ok(Answer::empty());
        }
        let mut arguments = vec!["kill".into()];
        arguments.extend(request.all.then(|| "--all".into()));
        arguments.extend([request.id.clone().into(), request.signal.to_string().into()]);
        let started = self.container(&request.id)?.runtime.start(&arguments, None)?;
        let (id, deadly) = (request.id.clone(), request.signal == Signal::KILL.as_raw() as u32);
        self.when_ended(started, Some(caller), move |tasks, outcome| {
            let ended = |it: &Container| it.init.stage == Stage::Stopped || it.init_exit.is_some();
            let gone = tasks.container(&id).map_or(true, ended);
            match outcome {
                // It was killed, and taken away from under the runtime's hands.
                Err(_) if gone && deadly => Ok(Vec::new()),
                Err(_) if gone => Err(finished()),
                outcome => {
                    outcome?;
                    Ok(Vec::new())
                }
            }
        });
        Ok(Answer::Later)
    }

    /// A process has ended, and perhaps is one that is known: then it is told, once it has begun.
    pub(super) fn claim(&mut self, pid: u32) {
        let Some(&exit) = self.unclaimed.get(&pid) else { return };
        let begun = |stage| matches!(stage, Stage::Created | Stage::Running);
        let found = self.containers.iter().find_map(|(id, container)| {
            let (exec, _) = container.named().find(|(_, it)| it.pid == pid && begun(it.stage))?;
            Some((id.clone(), exec.to_owned()))
        });
        if let Some((id, exec)) = found {
            self.unclaimed.remove(&pid);
            self.ended(&id, &exec, exit);
        }
    }

    fn ended(&mut self, id: &str, exec: &str, exit: Exit) {
        let Ok(container) = self.container_mut(id) else { return };
        // Whoever hears of the end wants to know its reason already.
        if container.oom.as_mut().is_some_and(|watch| watch.has_killed(true)) {
            self.tell_oom(id);
        }
        match exec.is_empty() {
            true => self.init_ended(id, exit),
            false => self.tell_end(id, exec, exit),
        }
        self.end_init(id);
    }

    fn init_ended(&mut self, id: &str, exit: Exit) {
        if let Ok(container) = self.container_mut(id) {
            container.init_exit = Some(exit);
            self.end_others(id);
        }
    }

    /// The first process's end is told when that of all others has been, as containerd expects it.
    pub(super) fn end_init(&mut self, id: &str) {
        let Ok(container) = self.container_mut(id) else { return };
        if container.has_running_execs() {
            return;
        }
        if let Some(exit) = container.init_exit.take() {
            self.tell_end(id, "", exit);
        }
    }

    fn tell_end(&mut self, id: &str, exec: &str, exit: Exit) {
        let Ok(process) = self.process_mut(id, exec) else { return };
        process.stage = Stage::Stopped;
        process.exit = Some(exit);
        let mut event = TaskExit::new();
        event.container_id = id.to_owned();
        event.id = if exec.is_empty() { id.to_owned() } else { exec.to_owned() };
        event.pid = process.pid;
        event.exit_status = exit.status;
        event.exited_at = Some(Timestamp::from(exit.at)).into();
        self.events.publish(Topic::EXIT, &event);
        self.answer_waiters(id, exec, exit);
    }

    /// Tells of processes that the kernel has killed for want of memory.
    pub(super) fn turn_watches(&mut self) {
        let killed = self.containers.iter_mut().filter_map(|(id, container)| {
            let watch = container.oom.as_mut()?;
            watch.has_killed(false).then(|| id.clone())
        });
        killed.collect::<Vec<_>>().iter().for_each(|id| self.tell_oom(id));
    }

    fn tell_oom(&mut self, id: &str) {
        let mut event = TaskOOM::new();
        event.container_id = id.to_owned();
        self.events.publish(Topic::OOM, &event);
    }

    /// Without a pid namespace of its own, what a container has started outlives its first process.
    fn end_others(&mut self, id: &str) {
        let Ok(container) = self.container(id) else { return };
        if container.own_pids {
            return;
        }
        let kill = ["kill".into(), "--all".into(), id.into(), "KILL".into()];
        match container.runtime.start(&kill, None) {
            // It fails where nobody is left.
            Ok(started) => self.when_ended(started, None, |_, _| Ok(Vec::new())),
            Err(error) => crate::log::error(&format!("{error:#}")),
        }
    }

    pub(super) fn answer_waiters(&mut self, id: &str, exec: &str, exit: Exit) {
        let Ok(process) = self.process_mut(id, exec) else { return };
        let waiters = std::mem::take(&mut process.waiters);
        self.answers.extend(waiters.into_iter().map(|caller| (caller, Ok(waited(exit)))));
    }
}

pub(super) fn waited(exit: Exit) -> Vec<u8> {
    let mut response = WaitResponse::new();
    response.exit_status = exit.status;
    response.exited_at = Some(Timestamp::from(exit.at)).into();
    wire::encode(&response)
}

/// Whether the signal is none of the real-time signals, which only a runtime sends.
fn is_named(request: &KillRequest) -> bool {
    i32::try_from(request.signal).ok().and_then(Signal::from_named_raw).is_some()
}

/// In the words by which containerd and docker know it.
fn finished() -> Refusal {
    Refusal::not_found("process already finished")
}

/// Signals a process of ours. It has not been reaped, so nobody else has its number.
fn signal(pid: u32, number: u32) -> Result<(), Refusal> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let Some(pid) = pid else { return Err(Refusal::state("the process has not been started")) };
    let signal = i32::try_from(number).ok().and_then(Signal::from_named_raw);
    let Some(signal) = signal else {
        return Err(Refusal::invalid(format!("signal {number} cannot be sent")));
    };
    match kill_process(pid, signal) {
        Ok(()) => Ok(()),
        Err(Errno::SRCH) => Err(finished()),
        Err(error) => {
            Err(Refusal::failed(format!("signal process {}: {error}", pid.as_raw_nonzero())))
        }
    }
}
