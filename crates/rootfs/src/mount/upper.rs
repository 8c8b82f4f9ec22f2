//! The upper and work directories of an overlay.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{
    Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, fchmod, fchown, fsetxattr, fstat, futimens,
};

use super::ReadWrite;
use super::lower::Lower;
use crate::{Error, open, xattrs};

/// The opened directories.
pub(super) struct Upper {
    pub(super) upper: OwnedFd,
    pub(super) work: OwnedFd,
    pub(super) volatile: bool,
}

/// Opens the directories of `rw`, and makes what is missing.
pub(super) fn open(rw: &ReadWrite, lower: &Lower) -> Result<Upper, Error> {
    make(&rw.upper)?;
    make(&rw.work)?;
    let upper = open::directory(&rw.upper)?;
    // Overlayfs leaves a directory in its work directory, the first time that it is mounted.
    if fs::read_dir(&rw.work).map_err(Error::io("read", &rw.work))?.next().is_none() {
        take_after(&upper, lower).map_err(Error::io("set the attributes of", &rw.upper))?;
    }
    Ok(Upper { upper, work: open::directory(&rw.work)?, volatile: rw.volatile })
}

/// Makes a directory that nobody else may enter, unless it is there.
fn make(path: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::io("create", path)(error))
        }
        _ => Ok(()),
    }
}

/// The root of an overlay shows the upper directory's own attributes: they must be the image's.
fn take_after(upper: &OwnedFd, lower: &Lower) -> io::Result<()> {
    let root = fstat(&lower.directory)?;
    for (name, value) in xattrs::of_file(&lower.directory)? {
        fsetxattr(upper, name.as_slice(), &value, XattrFlags::empty())?;
    }
    fchown(upper, Some(Uid::from_raw(root.st_uid)), Some(Gid::from_raw(root.st_gid)))?;
    fchmod(upper, Mode::from_raw_mode(root.st_mode))?;
    let mtime = Timespec { tv_sec: root.st_mtime as _, tv_nsec: root.st_mtime_nsec as _ };
    futimens(upper, &Timestamps { last_access: mtime, last_modification: mtime })?;
    Ok(())
}
