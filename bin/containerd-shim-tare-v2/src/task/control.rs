//! What is done to containers that run: `Pause`, `Resume`, `Update`, `ResizePty`, `CloseIO`; and the end
//! of the shim, `Shutdown`.

use std::ffi::OsString;
use std::io::Write;

use anyhow::Context;
use containerd_shim_protos::api::{
    CloseIORequest, PauseRequest, ResizePtyRequest, ResumeRequest, ShutdownRequest,
    UpdateTaskRequest,
};
use containerd_shim_protos::events::task::{TaskPaused, TaskResumed};

use super::container::Stage;
use super::{Answer, Answered, Caller, Tasks};
use crate::events::Topic;
use crate::runtime::{memory, name_of};
use crate::wire::Refusal;

impl Tasks {
    pub(super) fn pause(&mut self, request: PauseRequest, caller: Caller) -> Answered {
        self.freeze("pause", request.id, caller, |tasks, id| {
            let mut event = TaskPaused::new();
            event.container_id = id;
            tasks.events.publish(Topic::PAUSED, &event);
        })
    }

    pub(super) fn resume(&mut self, request: ResumeRequest, caller: Caller) -> Answered {
        self.freeze("resume", request.id, caller, |tasks, id| {
            let mut event = TaskResumed::new();
            event.container_id = id;
            tasks.events.publish(Topic::RESUMED, &event);
        })
    }

    fn freeze(
        &mut self,
        command: &'static str,
        id: String,
        caller: Caller,
        tell: impl FnOnce(&mut Self, String) + 'static,
    ) -> Answered {
        let container = self.container(&id)?;
        let pausing = command == "pause";
        if container.init.stage != Stage::Running || container.paused == pausing {
            return Err(Refusal::state(format!("cannot {command} container {id:?} as it is")));
        }
        let started = container.runtime.start(&[command.into(), id.clone().into()], None)?;
        self.when_ended(started, Some(caller), move |tasks, outcome| {
            outcome?;
            tasks.container_mut(&id)?.paused = pausing;
            tell(tasks, id);
            Ok(Vec::new())
        });
        Ok(Answer::Later)
    }

    pub(super) fn update(&mut self, request: &UpdateTaskRequest, caller: Caller) -> Answered {
        let container = self.container(&request.id)?;
        let mut resources = memory()?;
        resources.write_all(&request.resources.value).context("write the resources")?;
        let arguments: [OsString; 4] = [
            "update".into(),
            "--resources".into(),
            name_of(&resources).into(),
            request.id.clone().into(),
        ];
        let mut started = container.runtime.start(&arguments, None)?;
        started.keep(resources);
        self.when_ended(started, Some(caller), |_, outcome| {
            outcome?;
            Ok(Vec::new())
        });
        Ok(Answer::Later)
    }

    pub(super) fn resize(&self, request: &ResizePtyRequest) -> Answered {
        let process = self.process(&request.id, &request.exec_id)?;
        // It may have ended just now, or never have had one: its client need not know.
        let Some(terminal) = &process.terminal else { return Ok(Answer::empty()) };
        let size = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
        terminal.resize(size(request.width), size(request.height))?;
        Ok(Answer::empty())
    }

    pub(super) fn close_io(&mut self, request: &CloseIORequest) -> Answered {
        let process = self.process_mut(&request.id, &request.exec_id)?;
        if request.stdin {
            process.kept.close_stdin();
        }
        Ok(Answer::empty())
    }

    /// The shim stays as long as it has a container, whatever it is told: another one of the pod.
    pub(super) fn shutdown(&mut self, _: &ShutdownRequest) -> Answered {
        self.told_to_end = self.is_empty();
        Ok(Answer::empty())
    }
}
