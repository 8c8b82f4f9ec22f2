//! The runtime's own program file must not be open to the container: a container whose program is
//! `/proc/self/exe`, or whose root process looks at `/proc/<pid>/exe` of ours, would hold a descriptor
//! of the host's file, and could write to it once nobody executes it (CVE-2019-5736).
//!
//! So before a container is touched the program executes itself again from a read-only copy of the
//! mount that it lies on, which is attached nowhere, so nobody can make it writable; without the right
//! to make one, from a sealed copy of the file in memory.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags};
use rustix::mount::OpenTreeFlags;

use crate::error::{Doing, Result};
use crate::footprint;
use crate::syscalls::{self, MountAttr, mount_setattr};

/// Executes this program again from a place that cannot be written, unless it runs from such a place
/// already. Returns only in the latter case, or on failure. `words` tells the arguments and the
/// environment; in the latter case it is not asked, so that no copy of them stays in memory.
///
/// # Errors
/// When neither a copy of the mount nor one of the file can be made, or the words' own.
pub fn shield(words: impl FnOnce() -> io::Result<(Vec<CString>, Vec<CString>)>) -> Result<()> {
    let own = rustix::fs::open("/proc/self/exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .doing(|| "open our program".into())?;
    if is_protected(&own) {
        footprint::end_part();
        return Ok(());
    }
    let copy = read_only_mount()
        .or_else(|_| sealed_copy(own))
        .doing(|| "copy our program to where it cannot be written".into())?;
    let (args, env) = words().doing(|| "copy the arguments".into())?;
    Err(syscalls::execve_fd(copy.as_fd(), &args, &env)).doing(|| "execute our program again".into())
}

fn is_protected(own: &OwnedFd) -> bool {
    let read_only =
        rustix::fs::fstatvfs(own).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY));
    let sealed =
        rustix::fs::fcntl_get_seals(own).is_ok_and(|seals| seals.contains(SealFlags::WRITE));
    read_only || sealed
}

fn read_only_mount() -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let copy = rustix::mount::open_tree(CWD, "/proc/self/exe", flags)?;
    let read_only = MountAttr { set: 1, ..MountAttr::default() };
    mount_setattr(copy.as_fd(), false, &read_only)?;
    Ok(copy)
}

fn sealed_copy(own: OwnedFd) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let copy = rustix::fs::memfd_create("tare-runtime", flags | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create("tare-runtime", flags))?;
    let mut copy = File::from(copy);
    io::copy(&mut File::from(own), &mut copy)?;
    let copy = OwnedFd::from(copy);
    rustix::fs::fcntl_add_seals(
        &copy,
        SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    )?;
    Ok(copy)
}
