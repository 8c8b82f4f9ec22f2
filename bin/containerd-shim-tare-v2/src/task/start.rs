//! `Start`: the program of a created container, or an exec.

use std::ffi::OsString;
use std::io::Write;

use anyhow::Context;
use containerd_shim_protos::api::{StartRequest, StartResponse};
use containerd_shim_protos::events::task::{TaskExecStarted, TaskStart};

use super::container::{Container, Stage};
use super::streams::{Prepared, prepare};
use super::{Answer, Answered, Caller, Tasks};
use crate::bundle;
use crate::events::Topic;
use crate::reaper::Exit;
use crate::runtime::{Started, memory, name_of};
use crate::wire::{self, Refusal, Reply};

impl Tasks {
    pub(super) fn start(&mut self, request: &StartRequest, caller: Caller) -> Answered {
        match request.exec_id.is_empty() {
            true => self.start_init(request.id.clone(), caller),
            false => self.start_exec(request.id.clone(), request.exec_id.clone(), caller),
        }
    }

    fn start_init(&mut self, id: String, caller: Caller) -> Answered {
        let container = self.container_mut(&id)?;
        container.init.advance(Stage::Created, Stage::Starting)?;
        if let Some(image) = container.restore.clone() {
            return self.restore(id, &image, caller);
        }
        let started = container
            .runtime
            .start(&["start".into(), id.clone().into()], None)
            .inspect_err(|_| container.init.stage = Stage::Created)?;
        self.when_ended(started, Some(caller), move |tasks, outcome| {
            if outcome.is_err() {
                let process = tasks.process_mut(&id, "")?;
                process.stage = Stage::Created;
                let pid = process.pid;
                tasks.claim(pid);
            }
            outcome?;
            tasks.started(&id)
        });
        Ok(Answer::Later)
    }

    /// Tells of a container that runs now.
    pub(super) fn started(&mut self, id: &str) -> Reply {
        let process = self.process_mut(id, "")?;
        process.stage = Stage::Running;
        process.feed();
        let pid = process.pid;
        let mut event = TaskStart::new();
        event.container_id = id.to_owned();
        event.pid = pid;
        self.events.publish(Topic::START, &event);
        self.claim(pid);
        Ok(started_response(pid))
    }

    fn start_exec(&mut self, id: String, exec: String, caller: Caller) -> Answered {
        let namespace = self.namespace.clone();
        let container = self.container_mut(&id)?;
        if container.init.stage != Stage::Running || container.init_exit.is_some() {
            return Err(Refusal::state(format!("container {id:?} does not run")));
        }
        container.process_mut(&exec)?.advance(Stage::Created, Stage::Starting)?;
        let (started, prepared) = match run_exec(container, &id, &exec, &namespace) {
            Ok(it) => it,
            Err(refusal) => {
                self.failed_to_start(&id, &exec);
                return Err(refusal);
            }
        };
        let (container, name) = (id.clone(), exec.clone());
        let then = move |tasks: &mut Self, outcome, prepared| {
            let reply = tasks.exec_started(&id, &exec, outcome, prepared);
            if reply.is_err() {
                tasks.failed_to_start(&id, &exec);
            }
            reply
        };
        self.when_made((&container, &name), started, prepared, caller, then);
        Ok(Answer::Later)
    }

    fn exec_started(
        &mut self,
        id: &str,
        exec: &str,
        outcome: anyhow::Result<String>,
        prepared: Prepared,
    ) -> Reply {
        outcome?;
        let container = self.container_mut(id)?;
        let file = container.bundle.join(format!("{exec}.pid"));
        let pid = bundle::read_pid(&file)?;
        let _ = std::fs::remove_file(&file);
        let process = container.process_mut(exec)?;
        process.pid = pid;
        process.advance(Stage::Starting, Stage::Running)?;
        prepared.connect(process)?;
        process.feed();
        let mut event = TaskExecStarted::new();
        event.container_id = id.to_owned();
        event.exec_id = exec.to_owned();
        event.pid = pid;
        self.events.publish(Topic::EXEC_STARTED, &event);
        self.claim(pid);
        Ok(started_response(pid))
    }

    /// An exec that never ran has ended all the same: its waiters are told, and it can be deleted.
    fn failed_to_start(&mut self, id: &str, exec: &str) {
        if let Ok(process) = self.process_mut(id, exec) {
            process.stage = Stage::Stopped;
            let exit = *process.exit.get_or_insert(Exit { status: 255, ..Exit::killed() });
            self.answer_waiters(id, exec, exit);
            self.end_init(id);
        }
    }
}

/// Starts the runtime's `exec`, whose standard streams become the process's.
fn run_exec(
    container: &Container,
    id: &str,
    exec: &str,
    namespace: &str,
) -> Result<(Started, Prepared), Refusal> {
    let process = container.process(exec)?;
    let mut spec = memory()?;
    spec.write_all(process.spec.to_string().as_bytes()).context("write the process")?;
    let mut arguments: Vec<OsString> = vec!["exec".into(), "--detach".into()];
    arguments.extend(["--process".into(), name_of(&spec).into()]);
    let pid_file = container.bundle.join(format!("{exec}.pid"));
    arguments.extend(["--pid-file".into(), pid_file.into()]);
    let (streams, prepared) = prepare(container, process, exec, namespace, &mut arguments)?;
    arguments.push(id.into());
    let mut started = container.runtime.start(&arguments, streams)?;
    started.keep(spec);
    Ok((started, prepared))
}

fn started_response(pid: u32) -> Vec<u8> {
    let mut response = StartResponse::new();
    response.pid = pid;
    wire::encode(&response)
}
