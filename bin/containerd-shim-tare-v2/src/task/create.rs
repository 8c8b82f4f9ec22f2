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
use super::{Answer, Answered, Caller, Tasks};
use crate::arguments::is_identifier;
use crate::bundle;
use crate::events::Topic;
use crate::options::Options;
use crate::runtime::{Runtime, Started, Streams};
use crate::stdio::{self, Kept, Paths};
use crate::terminal::{ConsoleSocket, Terminal};
use crate::wire::{self, Refusal, Reply};

/// The ends of a process's streams that wait for the runtime.
pub(super) enum Prepared {
    /// Handed over already.
    Streams(Kept),
    /// For the terminal that the runtime will send.
    Console { socket: ConsoleSocket, paths: Paths },
}

impl Tasks {
    pub(super) fn create(&mut self, request: CreateTaskRequest, caller: Caller) -> Answered {
        self.check(&request)?;
        let options = Options::read(request.options.as_ref())?;
        let bundle = PathBuf::from(&request.bundle);
        let runtime = Runtime::choose(&options, &self.namespace, &bundle)?;
        runtime.record().save(&bundle)?;
        let own_pids = bundle::has_own_pids(&bundle)?;
        mount(&request.rootfs, &bundle)?;
        let container = Container {
            init: Process::new(Stage::Making, paths(&request)),
            bundle: bundle.clone(),
            execs: Default::default(),
            paused: false,
            runtime,
            options,
            own_pids,
        };
        let (started, prepared) = start_create(&container, &request.id)
            .inspect_err(|_| drop(rootfs::unmount_listed(&bundle.join("rootfs"))))?;
        self.containers.insert(request.id.clone(), container);
        self.when_ended(started, Some(caller), move |tasks, outcome| {
            let reply = tasks.created(&request, outcome, prepared);
            if reply.is_err() {
                tasks.forget(&request.id);
            }
            reply
        });
        Ok(Answer::Later)
    }

    fn check(&self, request: &CreateTaskRequest) -> Result<(), Refusal> {
        if !is_identifier(&request.id) {
            return Err(Refusal::invalid(format!("{:?} is no id of a container", request.id)));
        }
        if self.containers.contains_key(&request.id) {
            return Err(Refusal::exists(format!("container {:?} exists already", request.id)));
        }
        if !request.checkpoint.is_empty() || !request.parent_checkpoint.is_empty() {
            return Err(Refusal::unimplemented("creating from a checkpoint"));
        }
        Ok(())
    }

    fn created(
        &mut self,
        request: &CreateTaskRequest,
        outcome: anyhow::Result<String>,
        prepared: Prepared,
    ) -> Reply {
        outcome?;
        let container = self.container_mut(&request.id)?;
        let pid = bundle::read_pid(&container.bundle.join("init.pid"))?;
        container.init.advance(Stage::Making, Stage::Created)?;
        container.init.pid = pid;
        connect(&mut container.init, prepared)?;
        self.events.publish(Topic::CREATE, &created_event(request, pid));
        self.claim(pid);
        let mut response = CreateTaskResponse::new();
        response.pid = pid;
        Ok(wire::encode(&response))
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
fn start_create(container: &Container, id: &str) -> Result<(Started, Prepared), Refusal> {
    let bundle = &container.bundle;
    let mut arguments: Vec<OsString> = vec!["create".into(), "--bundle".into(), bundle.into()];
    arguments.extend(["--pid-file".into(), bundle.join("init.pid").into()]);
    for (wanted, flag) in [
        (container.options.no_pivot, "--no-pivot"),
        (container.options.no_new_keyring, "--no-new-keyring"),
    ] {
        arguments.extend(wanted.then(|| flag.into()));
    }
    let (streams, prepared) =
        prepare(&container.init.paths, &container.options, bundle, "console", &mut arguments)?;
    arguments.push(id.into());
    Ok((container.runtime.start(&arguments, streams)?, prepared))
}

/// Opens the streams, or the socket for a terminal and adds it to the arguments.
pub(super) fn prepare(
    paths: &Paths,
    options: &Options,
    bundle: &Path,
    name: &str,
    arguments: &mut Vec<OsString>,
) -> Result<(Option<Streams>, Prepared), Refusal> {
    if !paths.terminal {
        let (streams, kept) = stdio::open(paths, options.io_owner)?;
        return Ok((Some(streams), Prepared::Streams(kept)));
    }
    let socket = ConsoleSocket::bind(bundle, name)?;
    arguments.extend(["--console-socket".into(), socket.name().into()]);
    Ok((None, Prepared::Console { socket, paths: paths.clone() }))
}

/// Gives a process that the runtime has made what was prepared.
pub(super) fn connect(process: &mut Process, prepared: Prepared) -> Result<(), Refusal> {
    match prepared {
        Prepared::Streams(kept) => process.kept.take_over(kept),
        Prepared::Console { socket, paths } => {
            let master = socket.receive()?;
            let (stdin, stdout, kept) = stdio::open_for_terminal(&paths)?;
            process.terminal = Some(Terminal::new(master, stdin, stdout)?);
            process.kept.take_over(kept);
        }
    }
    Ok(())
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
    event.pid = pid;
    event
}
