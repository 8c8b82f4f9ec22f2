//! `Delete`: a container or an exec that has ended is forgotten, and its end is told for the last time.

use containerd_shim_protos::api::{DeleteRequest, DeleteResponse};
use containerd_shim_protos::events::task::TaskDelete;
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;

use super::container::{Process, Stage};
use super::{Answer, Answered, Caller, Tasks};
use crate::events::Topic;
use crate::reaper::Exit;
use crate::wire::{self, Refusal, Reply};

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
            let process = self.container_mut(&id)?.execs.remove(&exec);
            let process = process.ok_or_else(|| Refusal::not_found("the process is gone"))?;
            return Ok(Answer::Now(self.gone(&id, &exec, process)));
        }
        let delete = ["delete".into(), "--force".into(), id.clone().into()];
        let started = self.container(&id)?.runtime.start(&delete, None)?;
        self.when_ended(started, Some(caller), move |tasks, outcome| {
            outcome?;
            tasks.deleted(&id)
        });
        Ok(Answer::Later)
    }

    /// The runtime has forgotten the container.
    fn deleted(&mut self, id: &str) -> Reply {
        let bundle = self.container(id)?.bundle.clone();
        rootfs::unmount_listed(&bundle.join("rootfs")).map_err(anyhow::Error::new)?;
        // One that never ran was killed by the runtime just now.
        let pid = self.container(id)?.init.pid;
        self.claim(pid);
        let Some(container) = self.containers.remove(id) else { return Ok(Vec::new()) };
        for (exec, process) in container.execs {
            self.gone(id, &exec, process);
        }
        Ok(self.gone(id, "", container.init))
    }

    /// Tells all who want to know of a process that it is gone.
    fn gone(&mut self, id: &str, exec: &str, mut process: Process) -> Vec<u8> {
        process.turn();
        let exit = process.exit.unwrap_or_else(Exit::killed);
        let mut event = TaskDelete::new();
        event.container_id = id.to_owned();
        event.id = if exec.is_empty() { id.to_owned() } else { exec.to_owned() };
        event.pid = process.pid;
        event.exit_status = exit.status;
        event.exited_at = Some(Timestamp::from(exit.at)).into();
        self.events.publish(Topic::DELETE, &event);
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
