//! `Checkpoint`, and `Create` and `Start` of a container from what it wrote: by the runtime, which uses criu.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use containerd_shim_protos::api::CheckpointTaskRequest;
use containerd_shim_protos::events::task::TaskCheckpointed;
use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::shim::oci::CheckpointOptions;

use super::container::{Container, Stage};
use super::create::create_flags;
use super::streams::{Prepared, prepare};
use super::{Answer, Answered, Caller, Tasks};
use crate::events::Topic;
use crate::options;
use crate::runtime::Started;
use crate::wire::Refusal;

impl Tasks {
    pub(super) fn checkpoint(
        &mut self,
        request: &CheckpointTaskRequest,
        caller: Caller,
    ) -> Answered {
        let options = read_options(request)?;
        let container = self.container(&request.id)?;
        if container.init.stage != Stage::Running {
            return Err(Refusal::state(format!("container {:?} does not run", request.id)));
        }
        let work = Work::of(&options, &container.bundle);
        let arguments = arguments(&options, &request.path, &work, &request.id);
        let started = container.runtime.start(&arguments, None)?;
        let id = request.id.clone();
        self.when_ended(started, Some(caller), move |tasks, outcome| {
            let outcome = work.finish(outcome);
            outcome?;
            let mut event = TaskCheckpointed::new();
            event.container_id = id;
            tasks.events.publish(Topic::CHECKPOINTED, &event);
            Ok(Vec::new())
        });
        Ok(Answer::Later)
    }

    /// `Start` of a container that `Create` has only noted: the runtime makes it and lets it go on.
    pub(super) fn restore(&mut self, id: String, image: &Path, caller: Caller) -> Answered {
        let namespace = self.namespace.clone();
        let container = self.container_mut(&id)?;
        let (started, prepared) = start_restore(container, &id, image, &namespace)
            .inspect_err(|_| container.init.stage = Stage::Created)?;
        let name = id.clone();
        let then = move |tasks: &mut Self, outcome: anyhow::Result<String>, prepared| {
            let reply = outcome.map_err(Refusal::from).and_then(|_| {
                tasks.made(&id, prepared)?;
                tasks.container_mut(&id)?.restore = None;
                tasks.started(&id)
            });
            if reply.is_err()
                && let Ok(container) = tasks.container_mut(&id)
            {
                container.init.stage = Stage::Created;
            }
            reply
        };
        self.when_made((&name, ""), started, prepared, caller, then);
        Ok(Answer::Later)
    }
}

fn read_options(request: &CheckpointTaskRequest) -> Result<CheckpointOptions, Refusal> {
    let Some(any) = request.options.as_ref().filter(|any| !any.type_url.is_empty()) else {
        return Ok(CheckpointOptions::new());
    };
    if !options::is(any, "containerd.runc.v1.CheckpointOptions") {
        return Err(Refusal::invalid(format!("options of the type {:?}", any.type_url)));
    }
    CheckpointOptions::parse_from_bytes(&any.value)
        .map_err(|error| Refusal::invalid(format!("read the options: {error}")))
}

fn arguments(options: &CheckpointOptions, image: &str, work: &Work, id: &str) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["checkpoint".into(), "--image-path".into()];
    arguments.extend([image.into(), "--work-path".into(), work.folder().into()]);
    for (wanted, flag) in [
        (!options.exit, "--leave-running"),
        (options.open_tcp, "--tcp-established"),
        (options.external_unix_sockets, "--ext-unix-sk"),
        (options.terminal, "--shell-job"),
        (options.file_locks, "--file-locks"),
    ] {
        arguments.extend(wanted.then(|| flag.into()));
    }
    for namespace in &options.empty_namespaces {
        arguments.extend(["--empty-ns".into(), namespace.into()]);
    }
    if !options.cgroups_mode.is_empty() {
        arguments.extend(["--manage-cgroups-mode".into(), (&options.cgroups_mode).into()]);
    }
    arguments.push(id.into());
    arguments
}

/// Where criu logs: a folder that stays, if it was asked for.
enum Work {
    Asked(PathBuf),
    Own { folder: PathBuf, bundle: PathBuf },
}

impl Work {
    fn of(options: &CheckpointOptions, bundle: &Path) -> Self {
        if !options.work_path.is_empty() {
            return Self::Asked(PathBuf::from(&options.work_path));
        }
        Self::Own { folder: bundle.join("criu-work"), bundle: bundle.to_owned() }
    }

    fn folder(&self) -> &Path {
        match self {
            Self::Asked(folder) | Self::Own { folder, .. } => folder,
        }
    }

    /// Removes what nobody has asked for, but for the log of a failure.
    fn finish(&self, outcome: anyhow::Result<String>) -> anyhow::Result<String> {
        let Self::Own { folder, bundle } = self else { return outcome };
        let outcome = outcome.map_err(|error| {
            let log = bundle.join("criu-dump.log");
            let kept = fs::rename(folder.join("dump.log"), &log);
            match kept {
                Ok(()) => error.context(format!("criu's log is {}", log.display())),
                Err(_) => error,
            }
        });
        let _ = fs::remove_dir_all(folder);
        outcome
    }
}

/// Starts the runtime's `restore`, whose standard streams become the container's.
fn start_restore(
    container: &Container,
    id: &str,
    image: &Path,
    namespace: &str,
) -> Result<(Started, Prepared), Refusal> {
    let work = container.options.criu_work.clone();
    let work = work.unwrap_or_else(|| container.bundle.join("criu-work"));
    fs::create_dir_all(&work).with_context(|| format!("make {}", work.display()))?;
    let mut arguments: Vec<OsString> = vec!["restore".into(), "--detach".into()];
    arguments.extend(["--no-subreaper".into(), "--image-path".into(), image.into()]);
    arguments.extend(["--work-path".into(), work.into()]);
    arguments.extend(create_flags(container).filter(|flag| flag != "--no-new-keyring"));
    let (streams, prepared) = prepare(container, &container.init, id, namespace, &mut arguments)?;
    arguments.push(id.into());
    Ok((container.runtime.start(&arguments, streams)?, prepared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_flags() {
        let mut options = CheckpointOptions::new();
        options.exit = true;
        options.open_tcp = true;
        options.empty_namespaces = vec!["network".into()];
        let work = Work::of(&options, Path::new("/bundle"));
        let line = arguments(&options, "/image", &work, "id").join(" ".as_ref());
        let wanted = "checkpoint --image-path /image --work-path /bundle/criu-work \
            --tcp-established --empty-ns network id";
        assert_eq!(line.to_str(), Some(wanted));
        options.exit = false;
        options.work_path = "/work".into();
        let work = Work::of(&options, Path::new("/bundle"));
        let line = arguments(&options, "/image", &work, "id").join(" ".as_ref());
        let line = line.to_str().unwrap();
        assert!(line.contains("--leave-running") && line.contains("--work-path /work "), "{line}");
    }

    #[test]
    fn the_log_of_a_failure_stays() {
        let bundle = tempfile::tempdir().unwrap();
        let work = Work::of(&CheckpointOptions::new(), bundle.path());
        fs::create_dir(work.folder()).unwrap();
        fs::write(work.folder().join("dump.log"), "why").unwrap();
        let error = work.finish(Err(anyhow::anyhow!("it failed"))).unwrap_err();
        let log = bundle.path().join("criu-dump.log");
        assert!(format!("{error:#}").contains(log.to_str().unwrap()), "{error:#}");
        assert_eq!(fs::read_to_string(log).unwrap(), "why");
        assert!(!work.folder().exists());
    }
}
