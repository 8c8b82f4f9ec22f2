//! `Delete`: a container or an exec that has ended is forgotten, and its end is told for the last time.

use std::time::{Duration, Instant};

use containerd_shim_protos::api::{DeleteRequest, DeleteResponse};
use containerd_shim_protos::events::task::TaskDelete;
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;

use super::container::{Process, Stage};
use super::{Answer, Answered, Caller, Tasks};
use crate::events::Topic;
use crate::reaper::Exit;
use crate::wire::{self, Refusal, Reply};

/// So long a reader may take for what an exec has said before it is deleted: as with containerd's own shim.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// An exec that is to be deleted when its reader has got all.
pub(super) struct Deleting {
    id: String,
    exec: String,
    caller: Caller,
    pub(super) until: Instant,
}

impl Tasks {
    pub(super) fn delete(&mut self, request: &DeleteRequest, caller: Caller) -> Answered {
        let (id, exec) = (request.id.clone(), request.exec_id.clone());
        match self.process(&id, &exec)?.stage {
            Stage::Stopped | Stage::Created => {}
            stage => {
                let message = format!("the process is {stage:?}, it cannot be deleted");
                return Err(Refusal::state(message.to_lowercase()));
            }
        }
        if !exec.is_empty() {
            self.deleting.push(Deleting { id, exec, caller, until: Instant::now() + LAST_WORDS });
            return Ok(Answer::Later);
        }
        let delete = ["delete".into(), "--force".into(), id.clone().into()];
        let started = self.container(&id)?.runtime.start(&delete, None)?;
        self.after(started, move |tasks, outcome| {
            let loggers = tasks.container(&id).map_or(Vec::new(), |container| {
                container.processes().filter_map(|process| process.logger).collect()
            });
            let reply = outcome.map_err(Refusal::from).and_then(|_| tasks.deleted(&id));
            match reply {
                Ok(reply) => tasks.loggers.answer_after(loggers, caller, Ok(reply)),
                Err(refusal) => tasks.answers.push((caller, Err(refusal))),
            }
        });
        Ok(Answer::Later)
    }

    /// Deletes the execs whose last words have been passed on.
    pub(super) fn turn_deleting(&mut self) {
        for deleting in std::mem::take(&mut self.deleting) {
            let process = self.process(&deleting.id, &deleting.exec);
            match process.is_ok_and(|it| !it.is_passed_on()) && Instant::now() < deleting.until {
                true => self.deleting.push(deleting),
                false => self.delete_exec(&deleting),
            }
        }
    }

    fn delete_exec(&mut self, Deleting { id, exec, caller, .. }: &Deleting) {
        let container = self.containers.get_mut(id);
        let Some(process) = container.and_then(|container| container.execs.remove(exec)) else {
            let refusal = Refusal::not_found("the process is gone");
            return self.answers.push((*caller, Err(refusal)));
        };
        let loggers = process.logger.into_iter().collect();
        let reply = Ok(self.gone(process));
        self.loggers.answer_after(loggers, *caller, reply);
    }

    /// The runtime has forgotten the container.
    fn deleted(&mut self, id: &str) -> Reply {
        let bundle = self.container(id)?.bundle.clone();
        rootfs::unmount_listed(&bundle.join("rootfs")).map_err(anyhow::Error::new)?;
        // One that never ran was killed by the runtime just now.
        let pid = self.container(id)?.init.pid;
        self.claim(pid);
        self.end_init(id);
        let Some(container) = self.containers.remove(id) else { return Ok(Vec::new()) };
        for process in container.execs.into_values() {
            self.gone(process);
        }
        self.tell_gone(id, &container.init);
        Ok(self.gone(container.init))
    }

    fn tell_gone(&mut self, id: &str, init: &Process) {
        let exit = init.exit.unwrap_or_else(Exit::killed);
        let mut event = TaskDelete::new();
        event.container_id = id.to_owned();
        event.pid = init.pid;
        event.exit_status = exit.status;
        event.exited_at = Some(Timestamp::from(exit.at)).into();
        self.events.publish(Topic::DELETE, &event);
    }

    /// Answers all who want to know of a process that it is gone.
    fn gone(&mut self, mut process: Process) -> Vec<u8> {
        process.turn();
        let exit = process.exit.unwrap_or_else(Exit::killed);
        let mut response = DeleteResponse::new();
        response.pid = process.pid;
        response.exit_status = exit.status;
        response.exited_at = Some(Timestamp::from(exit.at)).into();
        let response = wire::encode(&response);
        self.answers
            .extend(process.waiters.into_iter().map(|it| (it, Ok(super::end::waited(exit)))));
        response
    }
}
