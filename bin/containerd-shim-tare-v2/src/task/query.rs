//! What is asked of containers: `State`, `Pids`, `Stats`, `Connect`.

use containerd_shim_protos::api::{
    ConnectRequest, ConnectResponse, PidsRequest, PidsResponse, ProcessInfo, StateRequest,
    StateResponse, StatsRequest, StatsResponse, Status,
};
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;
use containerd_shim_protos::shim::oci::ProcessDetails;

use super::container::{Container, Process, Stage};
use super::{Answer, Answered, Caller, Tasks};
use crate::stats;
use crate::wire::{self, Refusal};

impl Tasks {
    pub(super) fn state(&self, request: &StateRequest) -> Answered {
        let container = self.container(&request.id)?;
        let process = container.process(&request.exec_id)?;
        let mut response = StateResponse::new();
        response.id.clone_from(&request.id);
        response.exec_id.clone_from(&request.exec_id);
        response.bundle = container.bundle.display().to_string();
        response.pid = process.pid;
        response.status = status(container, process).into();
        response.stdin.clone_from(&process.paths.stdin);
        response.stdout.clone_from(&process.paths.stdout);
        response.stderr.clone_from(&process.paths.stderr);
        response.terminal = process.paths.terminal;
        if let Some(exit) = process.exit {
            response.exit_status = exit.status;
            response.exited_at = Some(Timestamp::from(exit.at)).into();
        }
        Ok(Answer::Now(wire::encode(&response)))
    }

    pub(super) fn connect(&self, request: &ConnectRequest) -> Answered {
        let mut response = ConnectResponse::new();
        response.shim_pid = std::process::id();
        // A pod's shim is asked for the pod, or for any of its containers.
        response.task_pid = self.container(&request.id).map_or(0, |it| it.init.pid);
        Ok(Answer::Now(wire::encode(&response)))
    }

    pub(super) fn pids(&mut self, request: &PidsRequest, caller: Caller) -> Answered {
        let id = request.id.clone();
        let container = self.container(&id)?;
        if container.init.stage == Stage::Stopped {
            // Its number is all that is left of it. containerd 2.x, when it starts, deletes a task that has
            // none, and the exit status with it.
            let mut response = PidsResponse::new();
            response.processes.push(info(container, container.init.pid));
            return Ok(Answer::Now(wire::encode(&response)));
        }
        let ps = ["ps".into(), "--format".into(), "json".into(), id.clone().into()];
        let started = self.container(&id)?.runtime.start(&ps, None)?;
        self.when_ended(started, Some(caller), move |tasks, outcome| {
            let container = tasks.container(&id)?;
            let pids: Option<Vec<u32>> = serde_json::from_str(&outcome?)
                .map_err(|error| Refusal::failed(format!("read the runtime's list: {error}")))?;
            let mut response = PidsResponse::new();
            let pids = pids.unwrap_or_default();
            response.processes = pids.into_iter().map(|pid| info(container, pid)).collect();
            Ok(wire::encode(&response))
        });
        Ok(Answer::Later)
    }

    pub(super) fn stats(&self, request: &StatsRequest) -> Answered {
        let container = self.container(&request.id)?;
        let Some(groups) = &container.groups else {
            return Err(Refusal::not_found(format!("container {:?} has no cgroup", request.id)));
        };
        let mut response = StatsResponse::new();
        response.stats = Some(stats::of_groups(groups)?).into();
        Ok(Answer::Now(wire::encode(&response)))
    }
}

fn status(container: &Container, process: &Process) -> Status {
    match process.stage {
        Stage::Making | Stage::Created | Stage::Starting => Status::CREATED,
        Stage::Running if container.paused => Status::PAUSED,
        Stage::Running => Status::RUNNING,
        Stage::Stopped => Status::STOPPED,
    }
}

/// A process with the name of the exec that it is, if it is one.
fn info(container: &Container, pid: u32) -> ProcessInfo {
    let mut info = ProcessInfo::new();
    info.pid = pid;
    if let Some((name, _)) = container.execs.iter().find(|(_, process)| process.pid == pid) {
        let mut details = ProcessDetails::new();
        details.exec_id.clone_from(name);
        let mut any = Any::new();
        any.type_url = "containerd.runc.v1.ProcessDetails".to_owned();
        any.value = wire::encode(&details);
        info.info = Some(any).into();
    }
    info
}
