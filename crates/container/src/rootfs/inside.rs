//! What a process may hold open that a container already sees: nothing from which the host's tree can
//! be reached.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::root::clone_mount;
use crate::error::{Doing, Error, Result};

/// The magic number of procfs (statfs(2)), and its root's inode number.
const PROC_MAGIC: i64 = 0x9fa0;
const PROC_ROOT_INODE: u64 = 1;

/// The directory with nothing above it: `..` does not lead on to the host's tree. Without the right to
/// make mounts, the directory as it is.
pub(crate) fn alone(directory: &OwnedFd) -> OwnedFd {
    let copy = clone_mount(directory.as_fd(), false);
    copy.or_else(|_| rustix::io::fcntl_dupfd_cloexec(directory, 3)).expect("a descriptor is free")
}

/// The procfs of the pid namespace that the caller is in, with processes only; where the kernel does
/// not let a new one be made, the one at `/proc`, if it is one.
///
/// # Errors
/// When there is no procfs.
pub(crate) fn own_procfs() -> Result<OwnedFd> {
    new_procfs().or_else(|_| mounted_procfs())
}

fn new_procfs() -> Result<OwnedFd, Errno> {
    let fs = rustix::mount::fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(fs.as_fd(), "subset", "pid")?;
    rustix::mount::fsconfig_create(fs.as_fd())?;
    let attr = MountAttrFlags::MOUNT_ATTR_NOEXEC
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV;
    rustix::mount::fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attr)
}

fn mounted_procfs() -> Result<OwnedFd> {
    let doing = || "open the container's /proc".into();
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::open("/proc", flags, Mode::empty()).doing(doing)?;
    let magic = rustix::fs::fstatfs(&proc).doing(doing)?.f_type as i64;
    let stat = rustix::fs::statat(&proc, "", AtFlags::EMPTY_PATH).doing(doing)?;
    if magic != PROC_MAGIC || stat.st_ino != PROC_ROOT_INODE {
        return Err(Error::Init("the container's /proc is no procfs".into()));
    }
    Ok(proc)
}
