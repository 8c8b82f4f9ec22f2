//! The container's first process, from its birth to its program. The crate's head draws how it speaks
//! with the runtime.
//!
//! This code runs in a copy of the runtime's memory with one thread. It never returns to the runtime's
//! code and never runs the runtime's destructors: it ends in `execve` or `_exit`. All that it opens
//! closes on exec.

pub(crate) mod label;
pub(crate) mod program;
pub(crate) mod settings;
mod streams;

use std::convert::Infallible;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::{Box as ConsoleSize, Linux, LinuxNamespaceType, Process, Spec};
use rustix::process::DumpableBehavior;
use rustix::termios::Winsize;
use rustix::thread::{Gid, Uid, UnshareFlags};

use crate::cgroup::Cgroup;
use crate::error::{Doing, Error, Result};
use crate::hooks::{self, Point};
use crate::init::label::Labels;
use crate::memory_policy::MemoryPolicy;
use crate::namespaces::{self, Joined, Namespaces};
use crate::rootfs::{self, Rootfs};
use crate::seccomp::Filter;
use crate::spec::Bundle;
use crate::starting::Waiting;
use crate::state::{State, Status};
use crate::sync::{Channel, Message};
use crate::{spec, syscalls};

/// All that the first process needs, made ready by the runtime.
pub(crate) struct Plan<'a> {
    pub(crate) bundle: &'a Bundle,
    pub(crate) namespaces: &'a Namespaces,
    pub(crate) cgroup: &'a Cgroup,
    /// Files to which a process writes `0` to enter a cgroup (v1).
    pub(crate) doors: Vec<OwnedFd>,
    /// The container's system call filter.
    pub(crate) filter: Option<Filter>,
    /// The container's state, for hooks; the process number is filled in here.
    pub(crate) state: State,
    /// How `start` will be heard; None for `run`, which starts at once.
    pub(crate) waiting: Option<Waiting>,
    /// Whether root makes the container.
    pub(crate) privileged: bool,
    pub(crate) no_pivot: bool,
    pub(crate) no_new_keyring: bool,
    pub(crate) preserve_fds: u32,
    pub(crate) listen_fds: u32,
}

/// Runs the container's program.
pub(crate) fn run(plan: Plan<'_>, channel: &Channel) -> ! {
    let Err(error) = set_up_and_execute(plan, channel);
    let _ = channel.fail(error);
    syscalls::exit_now(1)
}

fn set_up_and_execute(mut plan: Plan<'_>, channel: &Channel) -> Result<Infallible> {
    let spec = &plan.bundle.spec;
    let process = spec::process(spec)?;
    syscalls::forget_environment();
    // In runc's words, by which its users find out how far a container came.
    channel.debug(|| "nsexec container setup".into())?;
    if namespaces::has_user(spec) {
        channel.expect_proceed()?;
    }
    let labels = Labels::open(process)?;
    isolate(&plan, spec, process)?;
    channel.debug(|| "child process in init()".into())?;
    let mut rootfs = rootfs::enter(spec, &plan.bundle.rootfs)?;
    let ask = |index| ask_for_source(channel, index);
    rootfs.mount_all(spec, &plan.bundle.path, plan.cgroup, &ask)?;
    rootfs::set_up_devices(&rootfs.root, spec)?;
    let terminal = match process.terminal() {
        Some(true) => Some(rootfs::set_up_console(&rootfs.root)?),
        _ => None,
    };
    rootfs.ensure_cwd(process.cwd())?;
    run_early_hooks(&plan, spec, &rootfs, channel)?;
    rootfs.protect(spec)?;
    rootfs.pivot(spec, &plan.bundle.rootfs, plan.no_pivot)?;
    if terminal.is_none() {
        streams::take_own_null_device()?;
    }
    finish(&mut plan, rootfs, terminal, labels, channel)
}

/// Has the runtime open what this process may not.
fn ask_for_source(channel: &Channel, index: usize) -> Result<OwnedFd> {
    channel.send(&Message::NeedSource(index))?;
    match channel.receive()? {
        Message::Source(source) => Ok(source),
        Message::Failed(reason) => Err(Error::Init(reason)),
        _ => Err(Error::Init("the runtime went away".into())),
    }
}

/// Cgroups, namespaces and what belongs to them, while the host's file system is still in view.
fn isolate(plan: &Plan<'_>, spec: &Spec, process: &Process) -> Result<()> {
    let linux = spec::linux(spec)?;
    set_oom_score(process)?;
    let offsets = if plan.namespaces.time { Some(settings::open_time_offsets()?) } else { None };
    // From here on nobody in the container may look into this process through /proc. An ordinary user
    // who makes it needs the look to execute there; then nobody else is in its namespaces, if all are new.
    if plan.privileged || !plan.namespaces.joined.is_empty() {
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .doing(|| "become unreadable for others".into())?;
    }
    rustix::process::umask(rustix::fs::Mode::empty());
    enter_cgroups(&plan.doors)?;
    settings::reset_affinity();
    join_namespaces(plan.namespaces)?;
    if namespaces::has_user(spec) {
        become_root()?;
    } else {
        settings::set_limits(None, process)?;
    }
    make_late_namespaces(plan.namespaces, spec, offsets)?;
    rustix::process::setsid().doing(|| "begin a session".into())?;
    if !plan.no_new_keyring {
        settings::join_keyring()?;
    }
    settings::set_names(spec)?;
    if plan.namespaces.new & libc::CLONE_NEWNET as u64 != 0 {
        settings::bring_loopback_up()?;
    }
    settings::set_sysctls(linux)?;
    settings::set_personality(linux.personality().as_ref())
}

/// How likely the kernel's killer takes this process when memory runs out; inherited by its children.
pub(crate) fn set_oom_score(process: &Process) -> Result<()> {
    let Some(score) = process.oom_score_adj() else { return Ok(()) };
    std::fs::write("/proc/self/oom_score_adj", score.to_string())
        .doing(|| format!("set oomScoreAdj to {score}"))
}

/// Moves the calling process into cgroups on v1.
pub(crate) fn enter_cgroups(doors: &[OwnedFd]) -> Result<()> {
    doors.iter().try_for_each(|door| {
        rustix::io::write(door, b"0").map(drop).doing(|| "enter a cgroup".into())
    })
}

/// Existing namespaces but those that the process was born in.
fn join_namespaces(namespaces: &Namespaces) -> Result<()> {
    if namespaces.joins_around_users() {
        return Ok(());
    }
    let others = namespaces.joined.iter().filter(|joined| {
        !matches!(joined.kind, LinuxNamespaceType::User | LinuxNamespaceType::Pid)
    });
    others.into_iter().try_for_each(Joined::enter)
}

fn make_late_namespaces(namespaces: &Namespaces, spec: &Spec, offsets: Option<File>) -> Result<()> {
    if namespaces.late != 0 {
        unshare(UnshareFlags::from_bits_retain(namespaces.late as u32))
            .doing(|| "make the late namespaces".into())?;
    }
    if let Some(offsets) = offsets {
        unshare(UnshareFlags::NEWTIME).doing(|| "make a time namespace".into())?;
        settings::set_time_offsets(spec::linux(spec)?, &offsets)?;
        let path = "/proc/self/ns/time_for_children";
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
        rustix::fs::open(path, flags, rustix::fs::Mode::empty())
            .and_then(|time| rustix::thread::move_into_link_name_space(time.as_fd(), None))
            .doing(|| "enter the time namespace".into())?;
    }
    Ok(())
}

fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    // SAFETY: neither flag separates the descriptor table, which is what makes unshare unsafe.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// In a user namespace: its root, which owns what is made from here on.
pub(crate) fn become_root() -> Result<()> {
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .doing(|| "become the user namespace's root group".into())?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
        .doing(|| "become the user namespace's root".into())
}

/// Hooks that see the host's file system: the runtime's in the runtime, the container's here.
///
/// The container's stand in its root, as runc has it.
fn run_early_hooks(plan: &Plan<'_>, spec: &Spec, rootfs: &Rootfs, channel: &Channel) -> Result<()> {
    let hooks = spec.hooks().as_ref();
    let wanted = |point| !hooks::at(hooks, point).is_empty();
    if wanted(Point::Prestart) || wanted(Point::CreateRuntime) {
        channel.send(&Message::RunHooks)?;
        channel.expect_proceed()?;
    }
    if !wanted(Point::CreateContainer) {
        return Ok(());
    }
    rustix::process::fchdir(rootfs.root.as_fd()).doing(|| "enter the root".into())?;
    let state = State { pid: own_pid(), status: Status::Creating, ..plan.state.clone() };
    hooks::run(hooks, Point::CreateContainer, &state)
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// Inside the new root: terminal, user, and the wait for the start.
fn finish(
    plan: &mut Plan<'_>,
    rootfs: Rootfs,
    terminal: Option<(OwnedFd, OwnedFd)>,
    labels: Labels,
    channel: &Channel,
) -> Result<Infallible> {
    let spec = &plan.bundle.spec;
    let process = spec::process(spec)?;
    // Soon all descriptors are closed at once.
    let _closed_later = ManuallyDrop::new((rootfs, std::mem::take(&mut plan.doors)));
    if let Some((master, terminal)) = terminal {
        take_terminal(master, terminal.as_fd(), process.console_size(), channel)?;
    }
    let linux = spec::linux(spec)?;
    if let Some(policy) = linux.memory_policy() {
        MemoryPolicy::of(policy)?.apply()?;
    }
    settings::set_scheduling(process, is_pinned(linux))?;
    labels.take()?;
    let filter = plan.filter.as_ref();
    let kept = plan.waiting.as_ref().map(Waiting::descriptors);
    if plan.waiting.is_some() {
        crate::signals::end_when_asked();
    }
    let program = program::prepare(
        process,
        namespaces::has_user(spec),
        filter,
        plan.preserve_fds,
        plan.listen_fds,
        channel,
        kept.as_ref().map_or(&[], |kept| &kept[..]),
    )?;
    channel.debug(|| "init: closing the pipe to signal completion".into())?;
    channel.send(&Message::Ready)?;
    channel.expect_proceed()?;
    if let Some(waiting) = &plan.waiting {
        waiting.wait()?;
    }
    let Err(error) = start(plan, process, &program, channel);
    if let Some(waiting) = &plan.waiting {
        waiting.report(&error.to_string());
    }
    Err(error)
}

/// Whether the container's cgroup allows some processors only.
fn is_pinned(linux: &Linux) -> bool {
    let cpu = linux.resources().as_ref().and_then(|resources| resources.cpu().as_ref());
    cpu.is_some_and(|cpu| cpu.cpus().as_ref().is_some_and(|cpus| !cpus.is_empty()))
}

fn start(
    plan: &Plan<'_>,
    process: &Process,
    program: &program::Program,
    channel: &Channel,
) -> Result<Infallible> {
    let spec = &plan.bundle.spec;
    let state = State { pid: own_pid(), status: Status::Created, ..plan.state.clone() };
    // The hooks' programs are the container's own files: they run under its filter too.
    program::confine(process, plan.filter.as_ref(), channel)?;
    hooks::run_in(spec.hooks().as_ref(), Point::StartContainer, &state, &program.environment())?;
    Err(program.execute())
}

/// Hands the master out and makes the other side the controlling terminal and the standard streams.
pub(crate) fn take_terminal(
    master: OwnedFd,
    terminal: BorrowedFd<'_>,
    size: Option<ConsoleSize>,
    channel: &Channel,
) -> Result<()> {
    if let Some(size) = size {
        let size = Winsize {
            ws_row: size.height() as u16,
            ws_col: size.width() as u16,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&master, size).doing(|| "size the terminal".into())?;
    }
    channel.send(&Message::Terminal(master))?;
    rustix::process::ioctl_tiocsctty(terminal)
        .doing(|| "make the terminal the controlling one".into())?;
    rustix::stdio::dup2_stdin(terminal)
        .and_then(|()| rustix::stdio::dup2_stdout(terminal))
        .and_then(|()| rustix::stdio::dup2_stderr(terminal))
        .doing(|| "make the terminal the standard streams".into())
}
