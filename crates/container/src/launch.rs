//! The runtime's side of making a container: everything that the first process needs is made before
//! it, everything is taken back when it fails.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType, Mount, Spec};
use rustix::process::WaitOptions;

use crate::birth::{self, Child};
use crate::cgroup::systemd::Holder;
use crate::cgroup::{Cgroup, Driver, wanted};
use crate::error::{Doing, Error, Result};
use crate::hooks::{self, Point};
use crate::id::ContainerId;
use crate::init::{self, Plan, settings};
use crate::namespaces::{self, Namespaces};
use crate::process_stat::ProcessStat;
use crate::seccomp::Filter;
use crate::signals::SignalQueue;
use crate::spec::Bundle;
use crate::starting::Waiting;
use crate::state::{Kept, Record, StateDir, Status};
use crate::sync::{self, Channel, Message};
use crate::{
    console, footprint, id_map, intel_rdt, mount_source, net_devices, notice, notify, rootfs,
    signals, spec, syscalls,
};

/// How `create` and `run` make a container; runc's flags of the same names.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// Gets the first process's number.
    pub pid_file: Option<PathBuf>,
    /// A Unix socket that gets the terminal's master.
    pub console_socket: Option<PathBuf>,
    /// A Unix socket that gets the first process's pidfd.
    pub pidfd_socket: Option<PathBuf>,
    /// Move the root over the host's instead of changing it with pivot_root(2).
    pub no_pivot: bool,
    /// Keep the caller's session keyring.
    pub no_new_keyring: bool,
    /// How many descriptors from 3 up the container gets, beyond those of `listen_fds`.
    pub preserve_fds: u32,
    /// How many sockets the caller passes (`LISTEN_FDS`, sd_listen_fds(3)).
    pub listen_fds: u32,
    /// The service manager's socket (`NOTIFY_SOCKET`, sd_notify(3)): the container gets one whose word of
    /// readiness `run` or `start` passes on.
    pub notify_socket: Option<PathBuf>,
    /// Tolerate that cgroups cannot be made, where the configuration asks for no limits.
    pub rootless: bool,
    /// Have systemd manage the cgroups.
    pub systemd_cgroup: bool,
    /// The address of the bus of the user's systemd, which manages an ordinary user's cgroups.
    pub user_bus: Option<String>,
}

/// A container whose first process waits for a word.
pub(crate) struct Launched {
    pub(crate) dir: StateDir,
    pub(crate) record: Record,
    pub(crate) child: Child,
    pub(crate) channel: Channel,
    /// The terminal's master, when no console socket took it.
    pub(crate) master: Option<OwnedFd>,
    /// Held back since there is something to take back.
    pub(crate) signals: SignalQueue,
}

/// Makes the container up to the point where only its program is missing. `starts_at_once`: the caller
/// will say so through the channel; otherwise a later `start` does. Who asks the runtime to end before
/// that finds nothing of the container left.
pub(crate) fn launch(
    root: &Path,
    id: &ContainerId,
    options: &CreateOptions,
    starts_at_once: bool,
) -> Result<Launched> {
    check_descriptors(options)?;
    // While /proc is the host's.
    let _ = id_map::in_user_namespace();
    footprint::end_part();
    signals::heed_what_the_caller_ignores();
    let mut bundle = Bundle::load(&options.bundle)?;
    check_terminal(&bundle.spec, options, starts_at_once)?;
    rootfs::check(&bundle.spec, options.no_pivot)?;
    let namespaces = Namespaces::plan(&bundle.spec)?;
    id_map::check(&bundle.spec, namespaces.joined(LinuxNamespaceType::User))?;
    footprint::end_part();
    let dir = StateDir::new(root, id);
    let signals = SignalQueue::open()?;
    dir.reserve()?;
    let mut undo = Undo { dir: Some(dir.clone()), cgroup: None, child: None, record: None };
    if options.notify_socket.is_some() {
        notify::offer(&dir, &mut bundle.spec)?;
    }
    let mut record = blank_record(id, &bundle, options)?;
    let _holder = make_cgroup(&mut undo, &dir, &mut record, &bundle, options)?;
    footprint::end_part();
    warn_of_a_loose_container(&record);
    let making = Making { bundle: &bundle, namespaces: &namespaces, options, starts_at_once };
    let (child, channel) = give_birth(&dir, &record, &making, &signals, &mut undo)?;
    footprint::end_part();
    let mut launched = Launched { dir, record, child, channel, master: None, signals };
    undo.record = Some(launched.record.clone());
    accompany(&mut launched, &making)?;
    undo.disarm();
    Ok(launched)
}

/// What `--preserve-fds` promises must be there: a free number would be taken by a descriptor of our
/// own, and the container would get that.
fn check_descriptors(options: &CreateOptions) -> Result<()> {
    for fd in 3..3 + options.listen_fds + options.preserve_fds {
        if !syscalls::is_open(fd as i32) {
            return Err(Error::spec("--preserve-fds", format!("descriptor {fd} is not open")));
        }
    }
    Ok(())
}

pub(crate) fn check_terminal(spec: &Spec, options: &CreateOptions, foreground: bool) -> Result<()> {
    let terminal = spec::process(spec)?.terminal() == Some(true);
    match (&options.console_socket, terminal) {
        (None, true) if !foreground => Err(Error::spec(
            "process.terminal",
            "a terminal of a detached container needs --console-socket",
        )),
        (Some(_), false) => {
            Err(Error::spec("--console-socket", "the container's process has no terminal"))
        }
        _ => Ok(()),
    }
}

pub(crate) fn blank_record(
    id: &ContainerId,
    bundle: &Bundle,
    options: &CreateOptions,
) -> Result<Record> {
    let spec = &bundle.spec;
    let annotations: BTreeMap<_, _> = spec.annotations().clone().into_iter().flatten().collect();
    let path = spec::linux(spec)?.cgroups_path().as_deref();
    let driver = Driver { systemd: options.systemd_cgroup, user_bus: options.user_bus.clone() };
    let cgroup = Cgroup::locate(path, id, &driver)?;
    Ok(Record {
        id: id.to_string(),
        pid: 0,
        start_time: 0,
        bundle: bundle.path.clone(),
        rootfs: bundle.rootfs.clone(),
        created: crate::time::rfc3339(SystemTime::now()),
        annotations,
        cgroup,
        no_new_keyring: options.no_new_keyring,
        shares_pids: !namespaces::has_own_pids(spec),
        namespaces: namespaces::names(spec),
        rdt: intel_rdt::RdtGroups::default(),
        config: Kept::of(spec),
    })
}

/// What it returns holds the cgroup until the first process is inside.
pub(crate) fn make_cgroup(
    undo: &mut Undo,
    dir: &StateDir,
    record: &mut Record,
    bundle: &Bundle,
    options: &CreateOptions,
) -> Result<Option<Holder>> {
    let linux = spec::linux(&bundle.spec)?;
    let resources = linux.resources().clone().unwrap_or_default();
    if record.cgroup.groups().is_empty() {
        let reason = "cannot be limited: this host has no cgroups mounted below /sys/fs/cgroup";
        return wanted::refuse_limits(&resources, reason).map(|()| None);
    }
    let annotations = bundle.spec.annotations().clone().unwrap_or_default();
    dir.note_cgroup(&record.cgroup);
    let holder = match record.cgroup.make(&resources, &annotations) {
        Err(error) if options.rootless && error.is_denied() => {
            wanted::refuse_denied(linux, &resources, &error)?;
            record.cgroup = Cgroup::default();
            return Ok(None);
        }
        made => made?,
    };
    undo.cgroup = Some(record.cgroup.clone());
    let rights = rustix::process::geteuid().is_root() && !id_map::in_user_namespace();
    record.cgroup.limit(&resources, options.rootless && !rights)?;
    if let Some(owner) = cgroup_owner(&bundle.spec)? {
        record.cgroup.delegate(owner)?;
    }
    Ok(holder)
}

/// Nothing holds its processes together. In runc's words, which its users look for.
fn warn_of_a_loose_container(record: &Record) {
    if record.shares_pids && record.cgroup.groups().is_empty() {
        notice::warn(
            "the container has neither a cgroup nor a pid namespace of its own. Such configuration is \
             strongly discouraged: its processes cannot be killed as a whole",
        );
    }
}

/// The host's number of the container's user, when it has its own cgroup namespace and may write to its
/// cgroups (runtime-spec, config-linux.md "Cgroup ownership").
fn cgroup_owner(spec: &Spec) -> Result<Option<u32>> {
    let linux = spec::linux(spec)?;
    let is_new = |namespace: &LinuxNamespace| {
        namespace.typ() == LinuxNamespaceType::Cgroup && namespace.path().is_none()
    };
    let writable = |mount: &Mount| {
        mount.typ().as_deref() == Some("cgroup")
            && !mount.options().iter().flatten().any(|option| option == "ro")
    };
    if !linux.namespaces().iter().flatten().any(is_new)
        || !spec.mounts().iter().flatten().any(writable)
    {
        return Ok(None);
    }
    let user = spec::process(spec)?.user().uid();
    let mapped = linux.uid_mappings().iter().flatten().find_map(|mapping| {
        let offset = user.checked_sub(mapping.container_id())?;
        (offset < mapping.size()).then(|| mapping.host_id() + offset)
    });
    let owner = if namespaces::has_user(spec) { mapped } else { Some(user) };
    Ok(owner.filter(|&owner| owner != 0))
}

/// What a container is made of.
struct Making<'a> {
    bundle: &'a Bundle,
    namespaces: &'a Namespaces,
    options: &'a CreateOptions,
    starts_at_once: bool,
}

fn give_birth(
    dir: &StateDir,
    record: &Record,
    making: &Making<'_>,
    signals: &SignalQueue,
    undo: &mut Undo,
) -> Result<(Child, Channel)> {
    let Making { bundle, namespaces, options, starts_at_once } = *making;
    let (ours, theirs) = sync::pair()?;
    let seen = record.cgroup.seen()?;
    let mut plan = Some(Plan {
        bundle,
        namespaces,
        cgroup: &seen,
        doors: record.cgroup.doors()?,
        filter: Filter::prepare(spec::linux(&bundle.spec)?.seccomp().as_ref(), dir.root())?,
        state: record.state(Status::Creating),
        waiting: if starts_at_once { None } else { Some(Waiting::prepare(dir)?) },
        privileged: rustix::process::geteuid().is_root(),
        no_pivot: options.no_pivot,
        no_new_keyring: options.no_new_keyring,
        preserve_fds: options.preserve_fds,
        listen_fds: options.listen_fds,
    });
    let birth_place = record.cgroup.birth_place()?;
    let mut ours = Some(ours);
    // SAFETY: no thread is started in this program before the container runs.
    let child = unsafe {
        birth::spawn(namespaces, birth_place.as_ref().map(AsFd::as_fd), || {
            drop(ours.take());
            signals.let_through();
            match plan.take() {
                Some(plan) => init::run(plan, &theirs),
                None => syscalls::exit_now(1),
            }
        })
    }?;
    undo.child = Some(child.pid);
    // The doors are the first process's; this one ends before closing them one by one pays.
    let _plan = std::mem::ManuallyDrop::new(plan);
    record.cgroup.attach(child.pid)?;
    net_devices::hand_over(spec::linux(&bundle.spec)?, child.pid)?;
    let ours = ours.take().ok_or(Error::NotRunning)?;
    if namespaces::has_user(&bundle.spec) {
        if namespaces.new_user() {
            id_map::write(child.pid, spec::linux(&bundle.spec)?)?;
        }
        settings::set_limits(Some(child.pid), spec::process(&bundle.spec)?)?;
        ours.send(&Message::Proceed)?;
    }
    Ok((child, ours))
}

/// Answers the first process until it is ready, then records the container.
fn accompany(launched: &mut Launched, making: &Making<'_>) -> Result<()> {
    let Making { bundle, namespaces, options, .. } = *making;
    let spec = &bundle.spec;
    launched.record.pid = launched.child.pid.as_raw_nonzero().get();
    loop {
        match launched.channel.receive_unless_ended(&launched.signals)? {
            Message::Ready => break,
            Message::RunHooks => {
                let state = launched.record.state(Status::Creating);
                hooks::run_for_runtime(spec.hooks().as_ref(), state, Some(&launched.signals))?;
                launched.channel.send(&Message::Proceed)?;
            }
            Message::Terminal(master) => match &options.console_socket {
                Some(socket) => console::send_master(socket, master)?,
                None => launched.master = Some(console::keep_line_ends(master)?),
            },
            Message::SeccompListener(number) => {
                let state = launched.record.state(Status::Creating);
                let seccomp = spec::linux(spec)?.seccomp().as_ref();
                let Launched { child, channel, .. } = &*launched;
                crate::seccomp::hand_over(seccomp, child, channel, number, &state)?;
            }
            Message::NeedSource(index) => {
                let Launched { child, channel, .. } = &*launched;
                mount_source::provide(bundle, namespaces, child, channel, index)?;
            }
            Message::Warning(text) => notice::warn(&text),
            Message::Debug(text) => notice::debug(|| text),
            Message::Failed(report) => return Err(Error::Init(report)),
            Message::NotExecuted(report) => return Err(Error::NotExecuted(report)),
            Message::End => {
                return Err(Error::Init(
                    "the container's process died while it set itself up".into(),
                ));
            }
            Message::Proceed | Message::Source(_) => {}
        }
    }
    let stat = ProcessStat::of(launched.record.pid).ok_or(Error::NotRunning)?;
    launched.record.start_time = stat.start_time;
    let rdt = spec::linux(spec)?.intel_rdt().as_ref();
    launched.record.rdt = intel_rdt::apply(rdt, &launched.record.id, launched.record.pid)?;
    launched.dir.save(&launched.record)?;
    if let Some(socket) = &options.pidfd_socket {
        console::send_pidfd(socket, &launched.child.pidfd)?;
    }
    if let Some(file) = &options.pid_file {
        write_pid_file(file, launched.record.pid)?;
    }
    Ok(())
}

/// Whole or not at all: engines watch for the file.
pub(crate) fn write_pid_file(file: &Path, pid: i32) -> Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let temporary = file.with_file_name(format!(".{name}.{}", std::process::id()));
    // A link that waits under the temporary name must not be followed.
    fs::File::create_new(&temporary)
        .and_then(|mut made| made.write_all(pid.to_string().as_bytes()))
        .and_then(|()| fs::rename(&temporary, file))
        .inspect_err(|_| drop(fs::remove_file(&temporary)))
        .doing(|| format!("write the pid file {}", file.display()))
}

/// What exists so far, taken back on failure.
pub(crate) struct Undo {
    pub(crate) dir: Option<StateDir>,
    pub(crate) cgroup: Option<Cgroup>,
    pub(crate) child: Option<rustix::process::Pid>,
    pub(crate) record: Option<Record>,
}

impl Undo {
    pub(crate) fn disarm(mut self) {
        self.cgroup = None;
        self.child = None;
        self.record = None;
        self.dir = None;
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(pid) = self.child.take() {
            let _ = syscalls::kill(pid.as_raw_nonzero().get(), libc::SIGKILL);
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
        }
        if let Some(cgroup) = self.cgroup.take() {
            let _ = crate::delete::empty(&cgroup);
            let _ = cgroup.remove();
        }
        if let Some(record) = self.record.take() {
            // runtime-spec, runtime.md "Lifecycle": a creation that fails ends in the poststop hooks.
            let state = record.state(Status::Stopped);
            let _ = hooks::run_all(record.config.hooks.as_ref(), Point::Poststop, &state);
        }
        if let Some(dir) = self.dir.take() {
            let _ = dir.remove();
        }
    }
}
