//! What an entry may be at most: what Linux can show, and what memory can bear.

use crate::{Device, Entry, EntryKind, FileContent, LayerPath, Metadata};

/// The most entries that one layer may have. Far above any real layer.
pub const MAX_ENTRIES: usize = 4 << 20;

/// The longest target of a symbolic link in bytes, as in Linux.
pub const MAX_TARGET: usize = 4095;

/// The longest name of an extended attribute in bytes, as in Linux (xattr(7)).
pub const MAX_XATTR_NAME: usize = 255;

/// The longest value of an extended attribute in bytes, as in Linux (xattr(7)).
pub const MAX_XATTR_VALUE: usize = 65536;

/// The most bytes of extended attributes that one file may have, names and values.
pub const MAX_XATTRS: usize = 128 << 10;

/// An entry that no file system could show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// There are too many entries.
    #[error("a layer may have {MAX_ENTRIES} entries at most")]
    Entries,
    /// A symbolic link's target is empty, too long or holds a NUL byte.
    #[error("a symbolic link's target must have 1 to {MAX_TARGET} bytes and no NUL")]
    Target,
    /// The mode has bits that are not permissions.
    #[error("mode {0:o} has more than permission bits")]
    Mode(u16),
    /// Nanoseconds reach a whole second.
    #[error("a time has {0} nanoseconds")]
    Nanoseconds(u32),
    /// An extended attribute's name or value is too long, or the name is empty or holds a NUL byte.
    #[error("extended attribute {0:?} is impossible")]
    Xattr(String),
    /// The extended attributes are too many.
    #[error("a file may have {MAX_XATTRS} bytes of extended attributes at most")]
    Xattrs,
    /// A device number is beyond Linux's.
    #[error("device {0}:{1} is beyond 4095:1048575")]
    Device(u32, u32),
    /// A file's runs are out of order, overlap, are empty or go beyond its end.
    #[error("the file's runs of data contradict each other")]
    Extents,
    /// A file, or where it ends in the tar, is beyond 2^63.
    #[error("the file is too large")]
    Size,
    /// The root is something else than a directory.
    #[error("the root must be a directory")]
    Root,
}

/// Whether `entry` is one that a file system can show.
pub(crate) fn check(entry: &Entry) -> Result<(), LimitError> {
    check_metadata(&entry.metadata)?;
    match &entry.kind {
        EntryKind::Symlink(target) => check_target(target)?,
        EntryKind::CharDevice(device) | EntryKind::BlockDevice(device) => check_device(device)?,
        EntryKind::File(content) => check_content(content)?,
        _ => {}
    }
    check_root(&entry.path, &entry.kind)
}

fn check_root(path: &LayerPath, kind: &EntryKind) -> Result<(), LimitError> {
    match kind {
        EntryKind::Directory | EntryKind::Opaque => Ok(()),
        _ if path.is_root() => Err(LimitError::Root),
        _ => Ok(()),
    }
}

pub(crate) fn check_metadata(metadata: &Metadata) -> Result<(), LimitError> {
    if metadata.mode > 0o7777 {
        return Err(LimitError::Mode(metadata.mode));
    }
    if metadata.mtime.nanoseconds >= 1_000_000_000 {
        return Err(LimitError::Nanoseconds(metadata.mtime.nanoseconds));
    }
    let mut total = 0;
    for (name, value) in &metadata.xattrs {
        total += name.len() + value.len();
        let name_ok = (1..=MAX_XATTR_NAME).contains(&name.len()) && !name.contains(&0);
        if !name_ok || value.len() > MAX_XATTR_VALUE {
            return Err(LimitError::Xattr(String::from_utf8_lossy(name).into_owned()));
        }
    }
    if total > MAX_XATTRS { Err(LimitError::Xattrs) } else { Ok(()) }
}

fn check_target(target: &[u8]) -> Result<(), LimitError> {
    let good = (1..=MAX_TARGET).contains(&target.len()) && !target.contains(&0);
    if good { Ok(()) } else { Err(LimitError::Target) }
}

fn check_device(device: &Device) -> Result<(), LimitError> {
    let good = device.major <= 0xfff && device.minor <= 0xf_ffff;
    if good { Ok(()) } else { Err(LimitError::Device(device.major, device.minor)) }
}

fn check_content(content: &FileContent) -> Result<(), LimitError> {
    if content.size > i64::MAX as u64 {
        return Err(LimitError::Size);
    }
    let mut reached = 0;
    for extent in &content.extents {
        let end = extent.file_offset.checked_add(extent.length).ok_or(LimitError::Extents)?;
        if extent.length == 0 || extent.file_offset < reached || end > content.size {
            return Err(LimitError::Extents);
        }
        match extent.tar_offset.checked_add(extent.length) {
            Some(end) if end <= i64::MAX as u64 => {}
            _ => return Err(LimitError::Size),
        }
        reached = end;
    }
    Ok(())
}
