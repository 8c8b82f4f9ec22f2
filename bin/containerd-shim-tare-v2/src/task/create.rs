//! `Create`: mounts, streams, and the runtime's `create`.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use containerd_shim_protos::api::{CreateTaskRequest, CreateTaskResponse, Mount};
use containerd_shim_protos::events::task::{TaskCreate, TaskIO};
use rootfs::ListedMount;

use super::container::{Container, Process, Stage};
use super::streams::{Prepared, prepare};
use super::{Answer, Answered, Caller, Tasks};
use crate::arguments::is_identifier;
use crate::bundle;
use crate::events::Topic;
use crate::options::Options;
use crate::runtime::{Runtime, Started};
use crate::stdio::Paths;
use crate::wire::{self, Refusal};

impl Tasks {
    pub(super) fn create(&mut self, request: CreateTaskRequest, caller: Caller) -> Answered {
        self.check(&request)?;
        let options = Options::read(request.options.as_ref())?;
        let bundle = PathBuf::from(&request.bundle);
        let runtime = Runtime::choose(&options, &self.namespace, &bundle)?;
        runtime.record().save(&bundle)?;
        let own_pids = bundle::has_own_pids(&bundle)?;
        mount(&request.rootfs, &bundle)?;
        let mut container =
            Container::new(bundle, runtime, options, Process::new(Stage::Making, paths(&request)));
        container.own_pids = own_pids;
        match request.checkpoint.is_empty() {
            true => self.make(container, request, caller),
            false => {
                container.restore = Some(PathBuf::from(&request.checkpoint));
                Ok(Answer::Now(self.note(container, &request)))
            }
        }
    }

    fn make(
        &mut self,
        container: Container,
        request: CreateTaskRequest,
        caller: Caller,
    ) -> Answered {
        let (started, prepared) = start_create(&container, &request.id, &self.namespace)
            .inspect_err(|_| drop(rootfs::unmount_listed(&container.bundle.join("rootfs"))))?;
        let id = request.id.clone();
        self.containers.insert(id.clone(), container);
        let then = move |tasks: &mut Self, outcome: anyhow::Result<String>, prepared| {
            let reply = outcome
                .map_err(Refusal::from)
                .and_then(|_| tasks.made(&request.id, prepared))
                .map(|pid| tasks.created(&request, pid));
            if reply.is_err() {
                tasks.forget(&request.id);
            }
            reply
        };
        self.when_made((&id, ""), started, prepared, caller, then);
        Ok(Answer::Later)
    }

    /// A container from a checkpoint: the runtime makes it in one step, at its start.
    fn note(&mut self, mut container: Container, request: &CreateTaskRequest) -> Vec<u8> {
        container.init.stage = Stage::Created;
        self.containers.insert(request.id.clone(), container);
        self.created(request, 0)
    }

    fn check(&self, request: &CreateTaskRequest) -> Result<(), Refusal> {
        if !is_identifier(&request.id) {
            return Err(Refusal::invalid(format!("{:?} is no id of a container", request.id)));
        }
        if self.containers.contains_key(&request.id) {
            return Err(Refusal::exists(format!("container {:?} exists already", request.id)));
        }
        if !request.parent_checkpoint.is_empty() {
            // criu finds a checkpoint's parent by the link in it; no runtime has a flag for it.
            return Err(Refusal::unimplemented("naming a checkpoint's parent"));
        }
        Ok(())
    }

    /// The runtime has made the first process: its pid.
    pub(super) fn made(&mut self, id: &str, prepared: Prepared) -> Result<u32, Refusal> {
        let container = self.container_mut(id)?;
        let pid = bundle::read_pid(&container.bundle.join("init.pid"))?;
        container.init.pid = pid;
        container.find_groups();
        prepared.connect(&mut container.init)?;
        Ok(pid)
    }

    /// Tells of a container that there is now.
    fn created(&mut self, request: &CreateTaskRequest, pid: u32) -> Vec<u8> {
        if let Ok(process) = self.process_mut(&request.id, "") {
            process.stage = Stage::Created;
        }
        self.events.publish(Topic::CREATE, &created_event(request, pid));
        self.claim(pid);
        let mut response = CreateTaskResponse::new();
        response.pid = pid;
        wire::encode(&response)
    }

    /// Takes back a container that could not be made.
    fn forget(&mut self, id: &str) {
        let Some(container) = self.containers.remove(id) else { return };
        // The runtime may have made it, and something failed afterwards.
        let delete = ["delete".into(), "--force".into(), id.into()];
        match container.runtime.start(&delete, None) {
            Ok(started) => self.when_ended(started, None, |_, outcome| {
                outcome?;
                Ok(Vec::new())
            }),
            Err(error) => crate::log::error(&format!("{error:#}")),
        }
        if let Err(error) = rootfs::unmount_listed(&container.bundle.join("rootfs")) {
            crate::log::error(&format!("{:#}", anyhow::Error::new(error)));
        }
    }
}

/// Starts the runtime's `create`, whose standard streams become the container's.
fn start_create(
    container: &Container,
    id: &str,
    namespace: &str,
) -> Result<(Started, Prepared), Refusal> {
    let mut arguments: Vec<OsString> = vec!["create".into()];
    arguments.extend(create_flags(container));
    let (streams, prepared) = prepare(container, &container.init, id, namespace, &mut arguments)?;
    arguments.push(id.into());
    Ok((container.runtime.start(&arguments, streams)?, prepared))
}

/// What the runtime is told of a container that it makes.
pub(super) fn create_flags(container: &Container) -> impl Iterator<Item = OsString> + use<> {
    let pid_file = container.bundle.join("init.pid");
    let options = &container.options;
    let no_pivot: Option<OsString> = options.no_pivot.then(|| "--no-pivot".into());
    let no_keyring = options.no_new_keyring.then(|| "--no-new-keyring".into());
    let paths = ["--bundle".into(), container.bundle.clone().into(), "--pid-file".into()];
    paths.into_iter().chain([pid_file.into()]).chain(no_pivot).chain(no_keyring)
}

/// Mounts the root file system where the bundle has its place for it.
fn mount(mounts: &[Mount], bundle: &Path) -> anyhow::Result<()> {
    if mounts.is_empty() {
        return Ok(());
    }
    let root = bundle.join("rootfs");
    match DirBuilder::new().create(&root) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("make {}", root.display()));
        }
        _ => {}
    }
    let mounts: Vec<_> = mounts.iter().map(listed).collect();
    rootfs::mount_listed(&mounts, &root).context("mount the root file system")
}

fn listed(mount: &Mount) -> ListedMount {
    ListedMount {
        filesystem: mount.type_.clone(),
        source: mount.source.clone(),
        target: mount.target.clone(),
        options: mount.options.clone(),
    }
}

fn paths(request: &CreateTaskRequest) -> Paths {
    Paths {
        stdin: request.stdin.clone(),
        stdout: request.stdout.clone(),
        stderr: request.stderr.clone(),
        terminal: request.terminal,
    }
}

fn created_event(request: &CreateTaskRequest, pid: u32) -> TaskCreate {
    let mut io = TaskIO::new();
    io.stdin.clone_from(&request.stdin);
    io.stdout.clone_from(&request.stdout);
    io.stderr.clone_from(&request.stderr);
    io.terminal = request.terminal;
    let mut event = TaskCreate::new();
    event.container_id.clone_from(&request.id);
    event.bundle.clone_from(&request.bundle);
    // The same message, which the crate generates once for requests and once for events.
    let copy = |mount: &Mount| wire::decode(&wire::encode(mount)).unwrap_or_default();
    event.rootfs = request.rootfs.iter().map(copy).collect();
    event.io = Some(io).into();
    event.checkpoint.clone_from(&request.checkpoint);
    event.pid = pid;
    event
}
