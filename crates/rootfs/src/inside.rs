//! Opening files of an image: links in it lead nowhere but into it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

/// How often a walk is begun again.
const TRIES: u32 = 1000;

/// Opens `path` inside `root` (openat2(2), RESOLVE_IN_ROOT). With `..` in a link the kernel asks to try
/// again whenever anybody renames or mounts anything meanwhile, as other containers do.
///
/// # Errors
/// What the kernel says.
pub fn open_inside(root: impl AsFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let mut opened = Err(Errno::AGAIN);
    for _ in 0..TRIES {
        opened = openat2(root.as_fd(), path, flags | OFlags::CLOEXEC, Mode::empty(), resolve);
        if !matches!(opened, Err(Errno::AGAIN)) {
            break;
        }
    }
    opened
}
