//! What is in a directory of an overlay's upper tree.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Stat, major, minor, readlinkat, statat};
use tree::{Device, EntryKind, LayerPath, Metadata, Timestamp, Xattrs};

use crate::xattrs;

/// One name.
pub(super) struct Child {
    pub(super) name: Vec<u8>,
    pub(super) stat: Stat,
    pub(super) kind: Kind,
}

/// What a name stands for.
pub(super) enum Kind {
    /// Nothing any more.
    Whiteout,
    Directory,
    File,
    /// A symbolic link, a device or a pipe, with its extended attributes.
    Special(EntryKind, Xattrs),
    Socket,
}

/// The mark on a directory (overlayfs.rst, "Whiteouts and opaque directories").
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Opaque {
    No,
    /// It hides what is below it.
    Yes,
    /// Files in it that are empty may be marked as whiteouts, by an extended attribute.
    Whiteouts,
}

impl Opaque {
    pub(super) fn of(attributes: &Xattrs) -> Self {
        match overlay(attributes, "opaque").map(Vec::as_slice) {
            Some(b"y") => Self::Yes,
            Some(b"x") => Self::Whiteouts,
            _ => Self::No,
        }
    }
}

/// What is in an open directory, sorted by name.
pub(super) fn children(directory: &OwnedFd, opaque: Opaque) -> io::Result<Vec<Child>> {
    let mut children = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            children.push(child(directory, name, opaque)?);
        }
    }
    children.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(children)
}

/// What fuse-overlayfs says by names, where it cannot say it otherwise: the children, and whether the directory
/// is opaque.
pub(super) fn without_named_signs(children: Vec<Child>) -> (Vec<Child>, bool) {
    let mut opaque = false;
    let meant = |mut child: Child| match child.name.strip_prefix(b".wh.") {
        Some(b".wh..opq") => {
            opaque = true;
            None
        }
        Some(gone) => {
            child.name = gone.to_owned();
            child.kind = Kind::Whiteout;
            Some(child)
        }
        None => Some(child),
    };
    let mut children: Vec<_> = children.into_iter().filter_map(meant).collect();
    children.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    (children, opaque)
}

fn child(directory: &OwnedFd, name: &[u8], opaque: Opaque) -> io::Result<Child> {
    let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let device = Device { major: major(stat.st_rdev), minor: minor(stat.st_rdev) };
    let special = |kind| attributes(directory, name).map(|found| Kind::Special(kind, found));
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice if device.major == 0 && device.minor == 0 => Kind::Whiteout,
        FileType::CharacterDevice => special(EntryKind::CharDevice(device))?,
        FileType::BlockDevice => special(EntryKind::BlockDevice(device))?,
        FileType::Fifo => special(EntryKind::Fifo)?,
        FileType::Symlink => {
            let target = readlinkat(directory, name, Vec::new())?.into_bytes();
            special(EntryKind::Symlink(target))?
        }
        FileType::Directory => Kind::Directory,
        FileType::Socket => Kind::Socket,
        _ if opaque == Opaque::Whiteouts && stat.st_size == 0 => empty_file(directory, name)?,
        _ => Kind::File,
    };
    Ok(Child { name: name.to_owned(), stat, kind })
}

fn empty_file(directory: &OwnedFd, name: &[u8]) -> io::Result<Kind> {
    let found = xattrs::all_of_name(directory, name)?;
    Ok(if overlay(&found, "whiteout").is_some() { Kind::Whiteout } else { Kind::File })
}

fn attributes(directory: &OwnedFd, name: &[u8]) -> io::Result<Xattrs> {
    let mut found = xattrs::all_of_name(directory, name)?;
    found.retain(|name, _| xattrs::belongs_in_layer(name));
    Ok(found)
}

fn overlay<'a>(attributes: &'a Xattrs, name: &str) -> Option<&'a Vec<u8>> {
    let get = |prefix| attributes.get(format!("{prefix}.{name}").as_bytes());
    get("trusted.overlay").or_else(|| get("user.overlay")).or_else(|| get("user.fuseoverlayfs"))
}

/// A file's metadata in a layer.
pub(super) fn metadata(stat: &Stat, xattrs: Xattrs) -> Metadata {
    Metadata {
        mode: (stat.st_mode & 0o7777) as u16,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: mtime(stat),
        xattrs,
    }
}

pub(super) fn mtime(stat: &Stat) -> Timestamp {
    Timestamp { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as u32 }
}

/// Where `path`, or `name` in it, is on the disk, for messages.
pub(super) fn on_disk(upper: &Path, path: &LayerPath, name: &[u8]) -> PathBuf {
    upper.join(OsStr::from_bytes(path.as_bytes())).join(OsStr::from_bytes(name))
}
