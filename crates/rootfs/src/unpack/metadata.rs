//! Owner, mode, extended attributes and time of a file that has just been made.
//!
//! In this order: a change of the owner takes set-id bits and capabilities away (chown(2)), and all
//! but the last may touch the time.

use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{
    AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat, fchmod, fchown,
    fsetxattr, futimens, lsetxattr, utimensat,
};
use rustix::io::Errno;
use tree::{Metadata, Timestamp};

use crate::ids;
use crate::xattrs::belongs_in_layer;

type Refused = (&'static str, Errno);

/// Sets all of it on an open file or directory.
pub(super) fn set_open(file: impl AsFd, metadata: &Metadata) -> Result<(), Refused> {
    let file = file.as_fd();
    fchown(file, uid(metadata), gid(metadata)).map_err(|error| (OWNER, error))?;
    for (name, value) in attributes(metadata) {
        settled(name, fsetxattr(file, name, value, XattrFlags::empty()))?;
    }
    fchmod(file, mode(metadata)).map_err(|error| (MODE, error))?;
    futimens(file, &times(metadata)).map_err(|error| (TIME, error))
}

/// Sets all of it on a symbolic link, device or pipe in `directory`. Links have no mode.
pub(super) fn set_named(
    directory: impl AsFd,
    name: &[u8],
    metadata: &Metadata,
    is_symlink: bool,
) -> Result<(), Refused> {
    let directory = directory.as_fd();
    let no_follow = AtFlags::SYMLINK_NOFOLLOW;
    chownat(directory, name, uid(metadata), gid(metadata), no_follow)
        .map_err(|error| (OWNER, error))?;
    let path = [format!("/proc/self/fd/{}/", directory.as_raw_fd()).as_bytes(), name].concat();
    for (attribute, value) in attributes(metadata) {
        settled(attribute, lsetxattr(path.as_slice(), attribute, value, XattrFlags::empty()))?;
    }
    if !is_symlink {
        chmodat(directory, name, mode(metadata), AtFlags::empty())
            .map_err(|error| (MODE, error))?;
    }
    utimensat(directory, name, &times(metadata), no_follow).map_err(|error| (TIME, error))
}

pub(super) const OWNER: &str = "set the owner of";
const ATTRIBUTE: &str = "set the extended attributes of";
const MODE: &str = "set the mode of";
const TIME: &str = "set the time of";

/// What only the machine's root may set is left out in a user namespace: nobody there sees it either
/// (xattr(7), "Trusted extended attributes").
fn settled(name: &[u8], set: Result<(), Errno>) -> Result<(), Refused> {
    match set {
        Err(Errno::PERM) if name.starts_with(b"trusted.") && ids().is_some() => Ok(()),
        set => set.map_err(|error| (ATTRIBUTE, error)),
    }
}

fn attributes(metadata: &Metadata) -> impl Iterator<Item = (&[u8], &[u8])> {
    metadata
        .xattrs
        .iter()
        .map(|(name, value)| (name.as_slice(), value.as_slice()))
        .filter(|(name, _)| belongs_in_layer(name))
}

fn uid(metadata: &Metadata) -> Option<Uid> {
    Some(Uid::from_raw(metadata.uid))
}

fn gid(metadata: &Metadata) -> Option<Gid> {
    Some(Gid::from_raw(metadata.gid))
}

fn mode(metadata: &Metadata) -> Mode {
    Mode::from_raw_mode(metadata.mode.into())
}

fn times(metadata: &Metadata) -> Timestamps {
    let Timestamp { seconds, nanoseconds } = metadata.mtime;
    let mtime = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: mtime, last_modification: mtime }
}
