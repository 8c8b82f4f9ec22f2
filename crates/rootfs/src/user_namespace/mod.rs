//! Mounting without root: a user namespace in which an ordinary user is root (user_namespaces(7)).
//!
//! ```text
//! this process                       helper, forked before
//!   unshare(user, mount)               waits
//!   "go" ────────────────────────────▶ newuidmap, newgidmap on this process, or the maps themselves
//!   waits ◀──────────────────────────── what went wrong
//! ```
//!
//! The process stays what it is, with its terminal, children, signals and exit code; what it mounts is seen
//! by it and its children alone and goes with them. Which ids there are is what `/etc/subuid` and
//! `/etc/subgid` give the user; where they give none there is one, the user's own, as root.
//!
//! Root of a container that may not mount, but may change ids, gets all the ids that the container has.

#![allow(unsafe_code, reason = "fork and unshare; each block says why it holds")]

mod error;
mod helper;
mod ids;
mod plan;
mod visible;

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::FsOpenFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{
    CapabilitySet, ThreadNameSpaceType, UnshareFlags, capabilities, move_into_thread_name_spaces,
    unshare_unsafe,
};

pub use error::UserNamespaceError;
use helper::Helper;
pub use ids::{IdRange, Ids, ids};
use plan::{Kind, Plan};
pub use visible::can_mount_anew;

/// Whether this process can mount as it is: it is root, of the machine or of a namespace.
pub fn can_mount() -> bool {
    let may =
        capabilities(None).is_ok_and(|held| held.effective.contains(CapabilitySet::SYS_ADMIN));
    rustix::process::geteuid().is_root()
        && may
        // The mount namespace may be another user namespace's.
        && !matches!(rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC), Err(Errno::PERM))
}

/// A user namespace that was entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// Whose it is, by the id outside.
    pub user: u32,
    /// Why it has no ids but root's, where it has none.
    pub lone: Option<String>,
}

impl Entered {
    /// The user, and why there are no other ids.
    pub fn parts(self) -> (u32, Option<String>) {
        (self.user, self.lone)
    }
}

/// Enters a user namespace where this process cannot mount otherwise; see [`enter`].
///
/// # Errors
/// As [`enter`].
pub fn enter_where_needed() -> Result<Option<Entered>, UserNamespaceError> {
    if can_mount() { Ok(None) } else { enter().map(Some) }
}

/// Takes this process, which has a single thread, into user and mount namespaces of its own, where it is
/// root and can mount.
///
/// # Errors
/// The kernel, a sandbox or the machine's settings do not allow it.
pub fn enter() -> Result<Entered, UserNamespaceError> {
    let user = rustix::process::geteuid().as_raw();
    if fs::read_dir("/proc/self/task").map_err(UserNamespaceError::NoProc)?.count() != 1 {
        return Err(UserNamespaceError::Threads);
    }
    let group = rustix::process::getegid().as_raw();
    let plan = Plan::find(user, group);
    let helper = Helper::start(&plan).map_err(UserNamespaceError::Helper)?;
    unshare_both().map_err(|error| UserNamespaceError::Unshare(error.into()))?;
    let mut lone = plan.lone.clone();
    for (kind, said) in helper.map().map_err(UserNamespaceError::Helper)? {
        write_own(kind, if kind == Kind::Users { user } else { group })
            .map_err(UserNamespaceError::Map)?;
        lone = lone.or(said);
    }
    match can_mount() {
        true => Ok(Entered { user, lone }),
        false => Err(UserNamespaceError::Powerless),
    }
}

/// Takes this process, which has a single thread, into the user namespace that a process of the same user's is
/// in. There it is root; the mounts stay those that it sees.
///
/// # Errors
/// The process is gone, or its namespace is not the user's.
pub fn join(process: Pid) -> io::Result<()> {
    let process = pidfd_open(process, PidfdFlags::empty())?;
    Ok(move_into_thread_name_spaces(process.as_fd(), ThreadNameSpaceType::USER)?)
}

/// Whose namespace this process is in: the name, or number, of who is root here.
pub(crate) fn owner() -> Option<String> {
    let root = ids()?.root()?;
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    Some(plan::name_of(&passwd, root).map_or_else(|| root.to_string(), str::to_owned))
}

fn unshare_both() -> Result<(), Errno> {
    // SAFETY: neither flag unshares the table of open files, which is what descriptors rely on.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) }
}

/// Maps the one id that everybody may map.
fn write_own(kind: Kind, id: u32) -> io::Result<()> {
    if kind == Kind::Groups {
        // Else a process could drop a group and gain what that group is denied (user_namespaces(7)).
        fs::write("/proc/self/setgroups", "deny")?;
    }
    fs::write(Path::new("/proc/self").join(kind.map()), format!("0 {id} 1\n"))
}
