//! Opening what is below a directory. No link is followed, and nothing outside of it is reached.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use tree::LayerPath;

use crate::Error;

/// How a directory is opened.
pub(crate) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How a file is opened. A pipe in its place would keep who waits for a writer.
const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// Opens a directory of this machine's.
pub(crate) fn directory(path: &Path) -> Result<OwnedFd, Error> {
    openat(CWD, path, DIRECTORY, Mode::empty()).map_err(Error::io("open", path))
}

/// Opens what has this path below a directory.
pub(crate) fn below(root: &OwnedFd, path: &LayerPath, flags: OFlags) -> Result<OwnedFd, Errno> {
    at(root, if path.is_root() { b"." } else { path.as_bytes() }, flags)
}

/// Opens a file below a directory, without leaving a trace in its access time where that is allowed.
pub(crate) fn file(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    at(root, path, FILE | OFlags::NOATIME).or_else(|_| at(root, path, FILE))
}

fn at(root: &OwnedFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(root, path, flags, Mode::empty(), resolve)
}

/// Whether an error tells that what was there a moment ago has gone, or is something else now.
pub(crate) fn is_change(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::LOOP | Errno::NOTDIR)
}
