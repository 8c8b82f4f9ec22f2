//! `Exec`: a further process is described; `Start` runs it.

use containerd_shim_protos::api::ExecProcessRequest;
use containerd_shim_protos::events::task::TaskExecAdded;
use serde_json::Value;

use super::container::{Process, Stage};
use super::{Answer, Answered, Tasks};
use crate::arguments::is_identifier;
use crate::events::Topic;
use crate::stdio::Paths;
use crate::wire::Refusal;

impl Tasks {
    pub(super) fn exec(&mut self, request: ExecProcessRequest) -> Answered {
        let container = self.container_mut(&request.id)?;
        let name = &request.exec_id;
        if !is_identifier(name) {
            return Err(Refusal::invalid(format!("{name:?} is no id of a process")));
        }
        if container.execs.contains_key(name) {
            return Err(Refusal::exists(format!("process {name:?} exists already")));
        }
        let paths = Paths {
            stdin: request.stdin,
            stdout: request.stdout,
            stderr: request.stderr,
            terminal: request.terminal,
        };
        let mut process = Process::new(Stage::Created, paths);
        process.spec = spec(&request.spec.value, request.terminal)?;
        container.execs.insert(name.clone(), process);
        let mut event = TaskExecAdded::new();
        event.container_id = request.id;
        event.exec_id.clone_from(name);
        self.events.publish(Topic::EXEC_ADDED, &event);
        Ok(Answer::empty())
    }
}

/// The process in the form of runtime-spec, config.md "Process". The request decides on the terminal.
fn spec(json: &[u8], terminal: bool) -> Result<Value, Refusal> {
    let mut spec: Value = serde_json::from_slice(json)
        .map_err(|error| Refusal::invalid(format!("read the process: {error}")))?;
    if !spec.is_object() {
        return Err(Refusal::invalid("the process is no JSON object"));
    }
    spec["terminal"] = terminal.into();
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_decides_on_the_terminal() {
        let read = spec(br#"{"args":["sh"],"terminal":true}"#, false).unwrap();
        assert_eq!(read["terminal"], false);
        assert_eq!(read["args"][0], "sh");
        assert!(spec(b"[]", false).is_err());
        assert!(spec(b"", false).is_err());
    }
}
