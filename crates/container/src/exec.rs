//! `exec`: another process in a container that runs.
//!
//! A helper enters its cgroups, becomes unreadable and joins all its namespaces in one setns(2) by the
//! first process's pidfd; from there the process is born. So it is never seen in the container with
//! anything of the host in its view but open sockets and what it closes before it looks anything up.

use std::convert::Infallible;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, Process};
use rustix::fs::{Mode, OFlags};
use rustix::process::{DumpableBehavior, Pid, PidfdFlags, Signal};

use crate::birth::{self, Child};
use crate::cgroup::Cgroup;
use crate::error::{Doing, Error, Result};
use crate::foreground::stay;
use crate::id::ContainerId;
use crate::init::label::Labels;
use crate::init::{self, program, settings};
use crate::launch::write_pid_file;
use crate::memory_policy::MemoryPolicy;
use crate::process_stat::ProcessStat;
use crate::rootfs::{self, Root};
use crate::seccomp::Filter;
use crate::signals::{self, SignalQueue};
use crate::spec::{check_process, read_json};
use crate::state::{Record, StateDir, Status};
use crate::sync::{self, Channel, Message};
use crate::syscalls;
use crate::{console, id_map, namespaces, notice, tenant};

/// How a process is executed in a container; runc's flags of the same names.
#[derive(Clone, Debug, Default)]
pub struct ExecOptions {
    /// A whole process as JSON; of the options about the process only `terminal` is used then.
    pub process: Option<PathBuf>,
    /// Program and arguments.
    pub args: Vec<String>,
    /// Beside the container's own variables.
    pub env: Vec<String>,
    /// Instead of the container's.
    pub cwd: Option<PathBuf>,
    /// User and group ids instead of the container's.
    pub user: Option<(u32, Option<u32>)>,
    /// Beside the container's.
    pub additional_gids: Vec<u32>,
    /// Beside the container's, `CAP_…`.
    pub capabilities: Vec<String>,
    /// With a terminal.
    pub terminal: bool,
    /// Without new privileges even where the container's process may gain them.
    pub no_new_privileges: bool,
    /// An AppArmor profile instead of the container's.
    pub apparmor: Option<String>,
    /// An SELinux label instead of the container's.
    pub process_label: Option<String>,
    /// Return as soon as the program runs.
    pub detach: bool,
    /// Gets the process's number.
    pub pid_file: Option<PathBuf>,
    /// A Unix socket that gets the terminal's master.
    pub console_socket: Option<PathBuf>,
    /// A Unix socket that gets the process's pidfd.
    pub pidfd_socket: Option<PathBuf>,
    /// How many descriptors from 3 up the process gets.
    pub preserve_fds: u32,
    /// Execute in a paused container, and wait until it is resumed.
    pub ignore_paused: bool,
    /// Sub-cgroups, each `path` or `controller[,controller]:path`.
    pub cgroups: Vec<String>,
    /// Do not adopt processes that it orphans.
    pub no_subreaper: bool,
}

/// Executes a process in a container. Returns its exit code, or 128 and the signal that killed it; 0
/// when detached.
///
/// # Errors
/// When the container does not run, or the program cannot be executed in it.
pub fn exec(root: &Path, id: &ContainerId, options: &ExecOptions) -> Result<i32> {
    for fd in 3..3 + options.preserve_fds {
        if !syscalls::is_open(fd as i32) {
            return Err(Error::spec("--preserve-fds", format!("descriptor {fd} is not open")));
        }
    }
    // While /proc is the host's.
    let _ = id_map::in_user_namespace();
    signals::heed_what_the_caller_ignores();
    let dir = StateDir::new(root, id);
    let record = dir.load()?;
    match dir.status(&record) {
        Status::Paused if !options.ignore_paused => {
            return Err(Error::CannotExec("paused"));
        }
        Status::Stopped => return Err(Error::CannotExec("stopped")),
        _ => {}
    }
    let process = build_process(&record, options)?;
    check_process(&process)?;
    check_terminal(&process, options)?;
    let target = open_target(&record)?;
    let cgroup = match options.cgroups.is_empty() {
        true => record.cgroup.for_exec(record.pid),
        false => record.cgroup.below(&options.cgroups)?,
    };
    let filter = Filter::prepare(record.config.seccomp.as_ref(), dir.root())?;
    let tenant = Tenant { record: &record, process: &process, target: &target, filter, options };
    // From the process's birth on: it could not be ended any more, were it stopped when we end.
    let signals = SignalQueue::open()?;
    let (child, channel) = spawn(tenant, &cgroup, &signals)?;
    let mut running = Running { child, channel, master: None };
    if let Err(error) = begin(&mut running, &record, options, &signals) {
        let _ = syscalls::kill(running.child.pid.as_raw_nonzero().get(), libc::SIGKILL);
        let _ = rustix::process::waitpid(
            Some(running.child.pid),
            rustix::process::WaitOptions::empty(),
        );
        return Err(error);
    }
    if options.detach {
        return Ok(0);
    }
    stay(&running.child, running.master.take(), None, &signals)
}

/// All that the process needs, made ready by the runtime.
struct Tenant<'a> {
    record: &'a Record,
    process: &'a Process,
    /// The container's first process.
    target: &'a OwnedFd,
    filter: Option<Filter>,
    options: &'a ExecOptions,
}

struct Running {
    child: Child,
    channel: Channel,
    master: Option<OwnedFd>,
}

fn check_terminal(process: &Process, options: &ExecOptions) -> Result<()> {
    let terminal = process.terminal() == Some(true);
    match &options.console_socket {
        None if terminal && options.detach => Err(Error::spec(
            "process.terminal",
            "a terminal of a detached process needs --console-socket",
        )),
        Some(_) if !terminal => Err(Error::spec("--console-socket", "the process has no terminal")),
        Some(_) if !options.detach => Err(Error::spec("--console-socket", "needs --detach")),
        _ => Ok(()),
    }
}

/// The process of `--process`, or the container's own with the differences that the options name.
fn build_process(record: &Record, options: &ExecOptions) -> Result<Process> {
    if let Some(file) = &options.process {
        let mut process: Process = read_json(file)?;
        if options.terminal {
            process.set_terminal(Some(true));
        }
        tenant::inherit(&mut process, record);
        return Ok(process);
    }
    let mut process =
        record.config.process.clone().ok_or_else(|| Error::spec("state.json", "has no process"))?;
    process.set_args(Some(options.args.clone()));
    process.set_terminal(Some(options.terminal));
    process.set_console_size(None);
    if let Some(cwd) = &options.cwd {
        process.set_cwd(cwd.clone());
    }
    process.env_mut().get_or_insert_default().extend(options.env.iter().cloned());
    if let Some((uid, gid)) = options.user {
        process.user_mut().set_uid(uid);
        if let Some(gid) = gid {
            process.user_mut().set_gid(gid);
        }
    }
    let user = process.user_mut();
    user.additional_gids_mut().get_or_insert_default().extend(&options.additional_gids);
    if options.no_new_privileges {
        process.set_no_new_privileges(Some(true));
    }
    if let Some(profile) = &options.apparmor {
        process.set_apparmor_profile(Some(profile.clone()));
    }
    if let Some(label) = &options.process_label {
        process.set_selinux_label(Some(label.clone()));
    }
    add_capabilities(&mut process, &options.capabilities)?;
    Ok(process)
}

/// Not to the inheritable set: a program with file capabilities would gain them as another user
/// (CVE-2022-29162).
fn add_capabilities(process: &mut Process, names: &[String]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let mut added = Capabilities::new();
    for name in names {
        let capability: Capability = serde_json::from_value(name.as_str().into())
            .map_err(|_| Error::spec("--cap", format!("unknown capability {name:?}")))?;
        added.insert(capability);
    }
    let mut capabilities = process.capabilities().clone().unwrap_or_else(no_capabilities);
    let joined = |have: &Option<Capabilities>| {
        Some(have.iter().flatten().chain(&added).copied().collect::<Capabilities>())
    };
    capabilities.set_bounding(joined(capabilities.bounding()));
    capabilities.set_effective(joined(capabilities.effective()));
    capabilities.set_permitted(joined(capabilities.permitted()));
    if capabilities.inheritable().as_ref().is_some_and(|have| !have.is_empty()) {
        // As runc has it; those that the container does not inherit are warned of.
        capabilities.set_ambient(joined(capabilities.ambient()));
    }
    process.set_capabilities(Some(capabilities));
    Ok(())
}

fn no_capabilities() -> LinuxCapabilities {
    let mut none = LinuxCapabilities::default();
    none.set_bounding(None).set_effective(None).set_permitted(None);
    none.set_inheritable(None).set_ambient(None);
    none
}

/// The first process by a descriptor; a number alone could be another process's by now.
fn open_target(record: &Record) -> Result<OwnedFd> {
    let pid = Pid::from_raw(record.pid).ok_or(Error::NotRunning)?;
    let target = rustix::process::pidfd_open(pid, PidfdFlags::empty())
        .doing(|| format!("open the container's process {}", record.pid))?;
    still_there(record).map(|()| target)
}

fn spawn(tenant: Tenant<'_>, cgroup: &Cgroup, signals: &SignalQueue) -> Result<(Child, Channel)> {
    let (ours, theirs) = sync::pair()?;
    let doors = cgroup.doors()?;
    let birth_place = cgroup.birth_place()?;
    if !tenant.options.detach && !tenant.options.no_subreaper {
        rustix::process::set_child_subreaper(Pid::from_raw(1))
            .doing(|| "become a subreaper".into())?;
    }
    let birth_place = birth_place.as_ref().map(rootfs::alone);
    let birth_place = birth_place.as_ref().map(AsFd::as_fd);
    let first = 3 + tenant.options.preserve_fds;
    let enter = |answer: BorrowedFd<'_>| {
        enter(&tenant, doors)?;
        close_but(first, &[Some(theirs.as_fd()), Some(answer), birth_place])
    };
    let body = || {
        signals.let_through();
        let done = close_but(first, &[Some(theirs.as_fd())]);
        let Err(error) = done.and_then(|()| set_up_and_execute(&tenant, &theirs));
        let _ = theirs.fail(error);
        syscalls::exit_now(1)
    };
    // SAFETY: no thread is started in this program before the process runs.
    let child = unsafe { birth::spawn_inside(enter, 0, birth_place, body) }?;
    cgroup.attach(child.pid)?;
    Ok((child, ours))
}

/// What must be done while the host is in view, and then the namespaces, all at once. It is done by a
/// helper that nobody in the container can see: the process itself is born when nothing of the host is
/// left to be reached through its entry in `/proc`, not even for who may trace any process
/// (CVE-2016-9962).
fn enter(entering: &Tenant<'_>, doors: Vec<OwnedFd>) -> Result<()> {
    let Tenant { record, process, target, .. } = entering;
    syscalls::forget_environment();
    init::set_oom_score(process)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .doing(|| "become unreadable for others".into())?;
    let affinity = tenant::Affinity::of(process)?;
    affinity.begin()?;
    init::enter_cgroups(&doors)?;
    affinity.end()?;
    settings::set_limits(None, process)?;
    let flags =
        record.namespaces.iter().fold(0, |flags, name| flags | namespaces::flag_of_name(name));
    if flags & libc::CLONE_NEWNS as u64 != 0 {
        return join(target, flags);
    }
    // With a mount namespace comes its root; without one, the host's would stay.
    let root = rootfs::open_path(Path::new(&format!("/proc/{}/root", record.pid)))?;
    still_there(record)?;
    if flags != 0 {
        join(target, flags)?;
    }
    rootfs::change_root(&Root::new(root))
}

/// The number may have become another process's while something was looked up by it.
fn still_there(record: &Record) -> Result<()> {
    match ProcessStat::of(record.pid) {
        Some(stat) if stat.start_time == record.start_time && !stat.is_dead() => Ok(()),
        _ => Err(Error::NotRunning),
    }
}

/// Who may trace any process opens what lies beside and above a directory that another has open, so
/// the process is born without any of the host's.
fn close_but(first: u32, keep: &[Option<BorrowedFd<'_>>]) -> Result<()> {
    let mut keep: Vec<u32> =
        keep.iter().flatten().map(|kept| kept.as_raw_fd().cast_unsigned()).collect();
    // SAFETY: called in the helper and in the process, which drop nothing that they had before: they
    // end in execve or _exit.
    unsafe { syscalls::close_from(first, &mut keep) }
        .doing(|| "close the host's descriptors".into())
}

/// setns(2) by pidfd: all at once.
fn join(target: &OwnedFd, flags: u64) -> Result<()> {
    syscalls::setns(target.as_fd(), flags as i32)
        .doing(|| format!("join the container's namespaces (descriptor {})", target.as_raw_fd()))
}

fn set_up_and_execute(tenant: &Tenant<'_>, channel: &Channel) -> Result<Infallible> {
    let Tenant { record, process, filter, options, .. } = tenant;
    // Somebody in the container may stop us: the runtime's end must be ours then.
    end_with_runtime(Some(Signal::KILL))?;
    // In runc's words, as in a container's first process.
    channel.debug(|| "nsexec container setup".into())?;
    channel.debug(|| "child process in init()".into())?;
    let labels = Labels::open_inside(process)?;
    let mapped = record.namespaces.iter().any(|name| name == "user");
    if mapped {
        init::become_root()?;
    }
    rustix::process::setsid().doing(|| "begin a session".into())?;
    if !record.no_new_keyring {
        settings::join_keyring()?;
    }
    settings::set_personality(record.config.personality.as_ref())?;
    if process.terminal() == Some(true) {
        let root = rustix::fs::open(
            "/",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .doing(|| "open the container's root".into())?;
        let (master, terminal) = rootfs::open_terminal(&Root::new(root))?;
        init::take_terminal(master, terminal.as_fd(), process.console_size(), channel)?;
    }
    if let Some(policy) = &record.config.memory_policy {
        MemoryPolicy::of(policy)?.apply()?;
    }
    settings::set_scheduling(process, false)?;
    labels.take()?;
    let filter = filter.as_ref();
    end_with_runtime(None)?;
    let program = program::prepare(process, mapped, filter, options.preserve_fds, 0, channel, &[])?;
    channel.debug(|| "setns_init: about to exec".into())?;
    channel.send(&Message::Ready)?;
    channel.expect_proceed()?;
    program::confine(process, filter, channel)?;
    Err(program.execute())
}

/// Whether the end of the runtime is ours; who runs as its program outlives it.
fn end_with_runtime(signal: Option<Signal>) -> Result<()> {
    rustix::process::set_parent_process_death_signal(signal).doing(|| "end with the runtime".into())
}

/// Answers the process until its program runs.
fn begin(
    running: &mut Running,
    record: &Record,
    options: &ExecOptions,
    signals: &SignalQueue,
) -> Result<()> {
    loop {
        match running.channel.receive_unless_ended(signals)? {
            Message::Ready => {
                if let Some(socket) = &options.pidfd_socket {
                    console::send_pidfd(socket, &running.child.pidfd)?;
                }
                if let Some(file) = &options.pid_file {
                    write_pid_file(file, running.child.pid.as_raw_nonzero().get())?;
                }
                running.channel.send(&Message::Proceed)?;
            }
            Message::Terminal(master) => match &options.console_socket {
                Some(socket) => console::send_master(socket, master)?,
                None => running.master = Some(console::keep_line_ends(master)?),
            },
            Message::SeccompListener(number) => {
                let state = record.state(Status::Running);
                let seccomp = record.config.seccomp.as_ref();
                let Running { child, channel, .. } = &*running;
                crate::seccomp::hand_over(seccomp, child, channel, number, &state)?;
            }
            Message::Warning(text) => notice::warn(&text),
            Message::Debug(text) => notice::debug(|| text),
            Message::Failed(report) => return Err(Error::Init(report)),
            Message::NotExecuted(report) => return Err(Error::NotExecuted(report)),
            Message::End => return Ok(()),
            Message::Proceed | Message::RunHooks | Message::NeedSource(_) | Message::Source(_) => {}
        }
    }
}
