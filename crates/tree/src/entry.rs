//! One entry of a changeset: a file that a layer adds, or a name that it takes away.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::LayerPath;

/// Extended attributes: name to value, both bytes. Names carry their namespace (`security.capability`).
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// A time as tar and `statx` have it: seconds since the epoch, and nanoseconds below 1,000,000,000.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Timestamp {
    /// Seconds since 1970-01-01 00:00 UTC; negative before.
    pub seconds: i64,
    /// Nanoseconds to add, always below 1,000,000,000.
    pub nanoseconds: u32,
}

/// What a file has besides its content.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Metadata {
    /// Permission, set-id and sticky bits: `0o7777` at most, without the file type.
    pub mode: u16,
    /// Owner, as a number; layers carry no names.
    pub uid: u32,
    /// Group, as a number.
    pub gid: u32,
    /// Time of the last change of the content.
    pub mtime: Timestamp,
    /// Extended attributes that belong in a layer; those of overlayfs itself never do.
    pub xattrs: Xattrs,
}

/// The numbers of a device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// A run of a file's bytes inside a tar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Where the run starts in the file, in bytes.
    pub file_offset: u64,
    /// Where the run starts in the tar, in bytes.
    pub tar_offset: u64,
    /// Its length in bytes, never zero.
    pub length: u64,
}

/// A regular file's content: where its bytes are in the layer's tar.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileContent {
    /// Apparent size in bytes.
    pub size: u64,
    /// The runs in the tar, ordered by `file_offset` and not overlapping. What they do not cover is
    /// zeros. A file that is not sparse has one extent, an empty file none.
    pub extents: Vec<Extent>,
}

/// What an entry puts at its path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A directory; merges with one that is there.
    Directory,
    /// A regular file.
    File(FileContent),
    /// A symbolic link with its target, as it stands: it may point anywhere, inside the root.
    Symlink(Vec<u8>),
    /// One more name for the file at this path, in this layer or one below. The entry's metadata
    /// becomes the file's, so it must say what holds for the file.
    HardLink(LayerPath),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
    /// The path is gone: lower layers' file or directory there is hidden (OCI image-spec, layer.md,
    /// "Whiteouts"; `.wh.NAME` in the tar). Metadata means nothing.
    Whiteout,
    /// The directory at the path hides all that lower layers have in it (`.wh..wh..opq` in the tar).
    /// It comes beside the directory's own entry, which may be absent. Metadata means nothing.
    Opaque,
}

/// One entry of a [`Changeset`](crate::Changeset).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The path that the entry is about. For a whiteout, the path that goes.
    pub path: LayerPath,
    /// What is put there.
    pub kind: EntryKind,
    /// Mode, owner, time, extended attributes.
    pub metadata: Metadata,
}

/// Whether an extended attribute is overlayfs's own note, which no layer may carry: in a lower layer
/// it would hide files (Linux, filesystems/overlayfs).
pub(crate) fn is_overlay_private(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}
