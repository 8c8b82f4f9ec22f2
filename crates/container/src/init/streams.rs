//! Standard streams that are the host's null device: the container gets its own instead. The host's
//! belongs to a mount that the container does not have, so nobody could write such a container into an
//! image, and its path in `/proc/<pid>/fd` would tell of the host.

use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stderr, stdin, stdout};

use crate::error::{Doing, Result};

/// To be called in the new root. A container without a null device keeps the host's.
pub(super) fn take_own_null_device() -> Result<()> {
    let hosts = [stdin(), stdout(), stderr()].map(is_null);
    if hosts == [false; 3] {
        return Ok(());
    }
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let Ok(own) = rustix::fs::open("/dev/null", flags, Mode::empty()) else { return Ok(()) };
    if !is_null(std::os::fd::AsFd::as_fd(&own)) {
        return Ok(());
    }
    let doing = || "take the container's null device".into();
    if hosts[0] {
        dup2_stdin(&own).doing(doing)?;
    }
    if hosts[1] {
        dup2_stdout(&own).doing(doing)?;
    }
    if hosts[2] {
        dup2_stderr(&own).doing(doing)?;
    }
    Ok(())
}

fn is_null(stream: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(stream).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && stat.st_rdev == rustix::fs::makedev(1, 3)
    })
}
