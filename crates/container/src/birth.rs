//! A new process in the namespaces of a plan.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::LinuxNamespaceType;
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, WaitOptions};
use rustix::thread::move_into_link_name_space;

use crate::error::{Doing, Error, Result};
use crate::namespaces::Namespaces;
use crate::syscalls::{self, Cloned};

/// A child process.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
}

/// Starts `child` in a new process: in the new namespaces and the existing pid and user namespaces of
/// the plan, and on v2 in `cgroup`.
///
/// # Safety
/// The calling process has one thread.
pub(crate) unsafe fn spawn(
    namespaces: &Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce() -> Infallible,
) -> Result<Child> {
    let around = namespaces.joins_around_users();
    let own_pids = match namespaces.joined(LinuxNamespaceType::Pid) {
        Some(pids) if !around => {
            let own = rustix::fs::open(
                "/proc/self/ns/pid",
                OFlags::RDONLY | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .doing(|| "open our pid namespace".into())?;
            pids.enter()?;
            Some(own)
        }
        _ => None,
    };
    let born = match around {
        // SAFETY: the caller vouches for one thread.
        true => unsafe { spawn_in_users(namespaces, cgroup, child) },
        // SAFETY: as above; the child's closure never returns.
        false => match unsafe { syscalls::clone3(namespaces.new, cgroup) } {
            Ok(Cloned::Child) => end(child),
            Ok(Cloned::Parent { pid, pidfd }) => Ok(Child { pid, pidfd }),
            Err(error) => Err(stillborn(error, cgroup, "make the container's process")),
        },
    };
    if let Some(own) = own_pids {
        // Hooks and everything else that the runtime starts belong to the host.
        move_into_link_name_space(own.as_fd(), None)
            .doing(|| "return to our pid namespace".into())?;
    }
    born
}

/// New namespaces belong to the user namespace in which they are made, so a helper process joins what
/// exists and then makes the container's process as its own sibling.
///
/// # Safety
/// As for [`spawn`].
unsafe fn spawn_in_users(
    namespaces: &Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce() -> Infallible,
) -> Result<Child> {
    // SAFETY: the caller vouches for one thread.
    unsafe { spawn_inside(|_| namespaces.join_around_users(), namespaces.new, cgroup, child) }
}

/// Starts `child` as a child of the caller's, but from within the namespaces that `enter` joins: a
/// helper process joins them first, and whoever is in the pid namespace sees the child only. `enter`
/// gets the descriptor by which the helper answers, which it must not close.
///
/// # Safety
/// As for [`spawn`].
pub(crate) unsafe fn spawn_inside(
    enter: impl FnOnce(BorrowedFd<'_>) -> Result<()>,
    new: u64,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce() -> Infallible,
) -> Result<Child> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).doing(|| "make a pipe".into())?;
    // SAFETY: the caller vouches for one thread; the helper ends in _exit.
    // The helper is born in the cgroup, and its child stays there: from inside a cgroup namespace a
    // process of the host cannot be moved in (cgroups(7), `nsdelegate`).
    let helper = match unsafe { syscalls::clone3(0, cgroup) }
        .map_err(|error| stillborn(error, cgroup, "make a helper process"))?
    {
        Cloned::Parent { pid, .. } => pid,
        Cloned::Child => {
            let joined = enter(writer.as_fd());
            let flags = new | libc::CLONE_PARENT as u64;
            // SAFETY: as above.
            let answer = match joined.map(|()| unsafe { syscalls::clone3(flags, None) }) {
                Ok(Ok(Cloned::Child)) => end(child),
                Ok(Ok(Cloned::Parent { pid, .. })) => pid.as_raw_nonzero().to_string(),
                Ok(Err(error)) => format!("make the container's process: {error}"),
                Err(error) => error.to_string(),
            };
            let _ = rustix::io::write(&writer, answer.as_bytes());
            syscalls::exit_now(0)
        }
    };
    drop(writer);
    let mut answer = [0; 512];
    let length = rustix::io::read(&reader, &mut answer).doing(|| "hear from the helper".into())?;
    rustix::process::waitpid(Some(helper), WaitOptions::empty())
        .doing(|| "wait for the helper".into())?;
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    // A helper that shares our pid namespace tells the number by which we know its sibling.
    let pid = answer.parse().ok().and_then(Pid::from_raw).ok_or(Error::Init(answer))?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())
        .doing(|| "open the container's process".into())?;
    Ok(Child { pid, pidfd })
}

/// A process that cannot be in its cgroup is not born: told in runc's words, which engines know.
fn stillborn(error: io::Error, cgroup: Option<BorrowedFd<'_>>, doing: &str) -> Error {
    let of_cgroup = [libc::EBUSY, libc::EOPNOTSUPP, libc::EACCES].map(Some);
    let refused = cgroup.is_some() && of_cgroup.contains(&error.raw_os_error());
    let doing = if refused { "error adding pid of a new process to cgroups" } else { doing };
    Error::Io { doing: doing.into(), cause: error }
}

fn end(child: impl FnOnce() -> Infallible) -> ! {
    match child() {}
}
