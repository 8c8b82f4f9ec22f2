//! The sandbox service of containerd 2.x: the shim as the place of a pod, before and after its containers.
//!
//! As with containerd's own shim a sandbox has no process of its own here: a pod's pause container is one of
//! its tasks. What is kept is whether the sandbox is up, so that the shim stays as long.

use std::time::SystemTime;

use containerd_shim_protos::protobuf::well_known_types::timestamp::Timestamp;
use containerd_shim_protos::sandbox_api::{
    CreateSandboxRequest, CreateSandboxResponse, PingRequest, PingResponse, PlatformRequest,
    PlatformResponse, SandboxMetricsRequest, SandboxMetricsResponse, SandboxStatusRequest,
    SandboxStatusResponse, ShutdownSandboxRequest, ShutdownSandboxResponse, StartSandboxRequest,
    StartSandboxResponse, StopSandboxRequest, StopSandboxResponse, WaitSandboxRequest,
    WaitSandboxResponse,
};

use image::Platform;

use super::{Answer, Answered, Caller, Tasks};
use crate::stats;
use crate::wire::{self, Refusal};

/// The sandbox that the shim is.
#[derive(Debug)]
pub(crate) struct Sandbox {
    id: String,
    created: SystemTime,
    started: bool,
    ended: Option<SystemTime>,
    waiters: Vec<Caller>,
}

impl Sandbox {
    fn new(id: String) -> Self {
        let created = SystemTime::now();
        Self { id, created, started: false, ended: None, waiters: Vec::new() }
    }

    /// Whether it needs the shim.
    pub(super) fn is_up(&self) -> bool {
        self.ended.is_none()
    }

    /// In CRI's words.
    fn state(&self) -> &'static str {
        if self.started && self.is_up() { "SANDBOX_READY" } else { "SANDBOX_NOTREADY" }
    }
}

impl Tasks {
    /// Does what a request to the sandbox service asks, now or later.
    pub(crate) fn call_sandbox(&mut self, method: &str, payload: &[u8], caller: Caller) {
        crate::log::debug(&format!("{method} {caller:?}"));
        let answered = self.dispatch_sandbox(method, payload, caller);
        self.answered(caller, answered);
    }

    fn dispatch_sandbox(&mut self, method: &str, payload: &[u8], caller: Caller) -> Answered {
        match method {
            "CreateSandbox" => self.create_sandbox(wire::decode(payload)?),
            "StartSandbox" => self.start_sandbox(&wire::decode(payload)?),
            "Platform" => platform(&wire::decode(payload)?),
            "StopSandbox" => self.stop_sandbox(&wire::decode(payload)?),
            "WaitSandbox" => self.wait_sandbox(&wire::decode(payload)?, caller),
            "SandboxStatus" => self.sandbox_status(&wire::decode(payload)?),
            "PingSandbox" => self.ping_sandbox(&wire::decode(payload)?),
            "ShutdownSandbox" => self.shutdown_sandbox(&wire::decode(payload)?),
            "SandboxMetrics" => self.sandbox_metrics(&wire::decode(payload)?),
            other => Err(Refusal::unimplemented(other)),
        }
    }

    fn create_sandbox(&mut self, request: CreateSandboxRequest) -> Answered {
        if let Some(sandbox) = &self.sandbox {
            return Err(Refusal::exists(format!("this shim is the sandbox {:?}", sandbox.id)));
        }
        self.sandbox = Some(Sandbox::new(request.sandbox_id));
        Ok(Answer::Now(wire::encode(&CreateSandboxResponse::new())))
    }

    fn start_sandbox(&mut self, request: &StartSandboxRequest) -> Answered {
        let sandbox = self.sandbox(&request.sandbox_id)?;
        if !sandbox.is_up() {
            return Err(Refusal::state(format!("sandbox {:?} has ended", request.sandbox_id)));
        }
        sandbox.started = true;
        let mut response = StartSandboxResponse::new();
        response.pid = std::process::id();
        response.created_at = Some(Timestamp::from(sandbox.created)).into();
        Ok(Answer::Now(wire::encode(&response)))
    }

    fn stop_sandbox(&mut self, request: &StopSandboxRequest) -> Answered {
        self.sandbox(&request.sandbox_id)?;
        self.end_sandbox();
        Ok(Answer::Now(wire::encode(&StopSandboxResponse::new())))
    }

    fn wait_sandbox(&mut self, request: &WaitSandboxRequest, caller: Caller) -> Answered {
        let sandbox = self.sandbox(&request.sandbox_id)?;
        match sandbox.ended {
            Some(at) => Ok(Answer::Now(waited(at))),
            None => {
                sandbox.waiters.push(caller);
                Ok(Answer::Later)
            }
        }
    }

    fn sandbox_status(&mut self, request: &SandboxStatusRequest) -> Answered {
        let sandbox = self.sandbox(&request.sandbox_id)?;
        let mut response = SandboxStatusResponse::new();
        response.sandbox_id.clone_from(&sandbox.id);
        response.pid = std::process::id();
        response.state = sandbox.state().to_owned();
        response.created_at = Some(Timestamp::from(sandbox.created)).into();
        response.exited_at = sandbox.ended.map(Timestamp::from).into();
        Ok(Answer::Now(wire::encode(&response)))
    }

    fn ping_sandbox(&mut self, request: &PingRequest) -> Answered {
        self.sandbox(&request.sandbox_id)?;
        Ok(Answer::Now(wire::encode(&PingResponse::new())))
    }

    /// The shim ends, unless it has containers: then it ends with the last one.
    fn shutdown_sandbox(&mut self, _: &ShutdownSandboxRequest) -> Answered {
        self.end_sandbox();
        self.told_to_end = self.is_empty();
        Ok(Answer::Now(wire::encode(&ShutdownSandboxResponse::new())))
    }

    /// What its pause container uses, if it has one.
    fn sandbox_metrics(&mut self, request: &SandboxMetricsRequest) -> Answered {
        let mut response = SandboxMetricsResponse::new();
        let container = self.containers.get(&request.sandbox_id);
        if let Some(groups) = container.and_then(|it| it.groups.as_ref()) {
            let metrics = response.metrics.mut_or_insert_default();
            metrics.id.clone_from(&request.sandbox_id);
            metrics.timestamp = Some(Timestamp::now()).into();
            metrics.data = Some(stats::of_groups(groups)?).into();
        }
        Ok(Answer::Now(wire::encode(&response)))
    }

    fn sandbox(&mut self, id: &str) -> Result<&mut Sandbox, Refusal> {
        let sandbox = self.sandbox.as_mut().filter(|sandbox| sandbox.id == id);
        sandbox.ok_or_else(|| Refusal::not_found(format!("sandbox {id:?} does not exist")))
    }

    fn end_sandbox(&mut self) {
        let Some(sandbox) = &mut self.sandbox else { return };
        let at = *sandbox.ended.get_or_insert_with(SystemTime::now);
        let waiters = std::mem::take(&mut sandbox.waiters);
        self.answers.extend(waiters.into_iter().map(|caller| (caller, Ok(waited(at)))));
    }
}

fn waited(at: SystemTime) -> Vec<u8> {
    let mut response = WaitSandboxResponse::new();
    response.exited_at = Some(Timestamp::from(at)).into();
    wire::encode(&response)
}

/// What containers are made for, in Go's names.
fn platform(_: &PlatformRequest) -> Answered {
    let mut response = PlatformResponse::new();
    let host = Platform::host();
    let platform = response.platform.mut_or_insert_default();
    platform.os = host.os().to_owned();
    platform.architecture = host.architecture().to_owned();
    Ok(Answer::Now(wire::encode(&response)))
}

#[cfg(test)]
mod tests {
    use containerd_shim_protos::protobuf::Message;
    use containerd_shim_protos::ttrpc::Code;

    use super::*;
    use crate::events::Publisher;
    use crate::wire::Reply;

    fn call(tasks: &mut Tasks, method: &str, message: &impl Message) -> Option<Reply> {
        let caller = Caller { connection: 1, stream: 1 };
        tasks.call_sandbox(method, &wire::encode(message), caller);
        tasks.answers.pop().map(|(_, reply)| reply)
    }

    fn status(tasks: &mut Tasks) -> Result<SandboxStatusResponse, Refusal> {
        let mut request = SandboxStatusRequest::new();
        request.sandbox_id = "pod".into();
        let reply = call(tasks, "SandboxStatus", &request).expect("it is answered at once");
        reply.map(|payload| wire::decode(&payload).unwrap())
    }

    #[test]
    fn a_sandbox_lives() {
        let mut tasks = Tasks::new("test", Publisher::new("/no/such", "test"));
        assert_eq!(status(&mut tasks).unwrap_err().code, Code::NOT_FOUND);
        let mut create = CreateSandboxRequest::new();
        create.sandbox_id = "pod".into();
        call(&mut tasks, "CreateSandbox", &create).unwrap().unwrap();
        let again = call(&mut tasks, "CreateSandbox", &create).unwrap();
        assert_eq!(again.unwrap_err().code, Code::ALREADY_EXISTS);
        assert_eq!(status(&mut tasks).unwrap().state, "SANDBOX_NOTREADY");

        let mut start = StartSandboxRequest::new();
        start.sandbox_id = "pod".into();
        call(&mut tasks, "StartSandbox", &start).unwrap().unwrap();
        assert_eq!(status(&mut tasks).unwrap().state, "SANDBOX_READY");
        assert!(!tasks.is_empty(), "a shim that is a sandbox is needed");

        let mut wait = WaitSandboxRequest::new();
        wait.sandbox_id = "pod".into();
        assert!(call(&mut tasks, "WaitSandbox", &wait).is_none());
        let mut stop = StopSandboxRequest::new();
        stop.sandbox_id = "pod".into();
        call(&mut tasks, "StopSandbox", &stop).unwrap().unwrap();
        assert_eq!(tasks.answers.len(), 1, "the waiter is answered");
        assert!(status(&mut tasks).unwrap().exited_at.is_some());

        call(&mut tasks, "ShutdownSandbox", &ShutdownSandboxRequest::new()).unwrap().unwrap();
        assert!(tasks.told_to_end);
    }

    #[test]
    fn the_platform_has_gos_names() {
        let mut tasks = Tasks::new("test", Publisher::new("/no/such", "test"));
        let reply = call(&mut tasks, "Platform", &PlatformRequest::new()).unwrap().unwrap();
        let platform = wire::decode::<PlatformResponse>(&reply).unwrap().platform;
        assert_eq!(platform.os, "linux");
        assert_eq!(platform.architecture, Platform::host().architecture());
    }
}
