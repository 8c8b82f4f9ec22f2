//! A changeset at rest: the `.toc` file beside a layer's tar.
//!
//! ```text
//! magic "tare-toc" │ version u32 LE │ CRC-32 of the body u32 LE │ body: count, then one record an entry
//! ```
//!
//! A record is postcard's encoding of [`Record`]; its path keeps the start that it shares with the
//! path before it. The file is a cache that can be made again from the tar: an unknown version or a
//! wrong checksum is an error, and the caller reads the tar again.

use serde::{Deserialize, Serialize};

use crate::limits::{self, LimitError, MAX_ENTRIES};
use crate::{
    Changeset, Device, Entry, EntryKind, Extent, FileContent, LayerPath, Metadata, PathError,
    Timestamp,
};

const MAGIC: &[u8; 8] = b"tare-toc";
const VERSION: u32 = 1;
const HEADER: usize = MAGIC.len() + 4 + 4;

/// Bytes that are no changeset.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TocError {
    /// The magic bytes are missing.
    #[error("this is not a layer's table of contents")]
    Magic,
    /// It was written by another version.
    #[error("the table of contents has version {0}, not {VERSION}")]
    Version(u32),
    /// The body was damaged.
    #[error("the table of contents is damaged: its checksum is wrong")]
    Checksum,
    /// A record cannot be decoded.
    #[error("record {record} cannot be decoded")]
    Record {
        /// Which one, from 0.
        record: usize,
        /// What the decoder said.
        #[source]
        source: postcard::Error,
    },
    /// A record has a path that no layer may have.
    #[error("record {record} has a bad path")]
    Path {
        /// Which one, from 0.
        record: usize,
        /// What is wrong.
        #[source]
        source: PathError,
    },
    /// A record or their number is beyond what a layer may have.
    #[error("record {record} is impossible")]
    Limit {
        /// Which one, from 0.
        record: usize,
        /// What is wrong.
        #[source]
        source: LimitError,
    },
    /// Bytes are left over.
    #[error("{0} bytes follow the last record")]
    Trailing(usize),
}

#[derive(Serialize, Deserialize)]
struct Record<'a> {
    /// How many bytes of the path before this path keeps.
    shared: u16,
    #[serde(borrow)]
    rest: &'a [u8],
    mode: u16,
    uid: u32,
    gid: u32,
    seconds: i64,
    nanoseconds: u32,
    #[serde(borrow)]
    xattrs: Vec<(&'a [u8], &'a [u8])>,
    #[serde(borrow)]
    kind: KindRecord<'a>,
}

#[derive(Serialize, Deserialize)]
enum KindRecord<'a> {
    Directory,
    /// A file in one run: size and offset; most are.
    Plain(u64, u64),
    Sparse(u64, Vec<Extent>),
    Symlink(#[serde(borrow)] &'a [u8]),
    HardLink(#[serde(borrow)] &'a [u8]),
    CharDevice(Device),
    BlockDevice(Device),
    Fifo,
    Whiteout,
    Opaque,
}

impl Changeset {
    /// The changeset as bytes, for a file beside the layer's tar. The same changeset always gives the
    /// same bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + 48 * self.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes = append(&self.len(), bytes);
        let mut previous: &[u8] = b"";
        for entry in self.entries() {
            bytes = append(&Record::of(entry, previous), bytes);
            previous = entry.path.as_bytes();
        }
        let checksum = crc32fast::hash(&bytes[HEADER..]);
        bytes[HEADER - 4..HEADER].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The changeset that [`Changeset::encode`] made `bytes` of.
    ///
    /// # Errors
    /// The bytes are damaged, of another version, or made to harm; memory stays within a small
    /// multiple of their length.
    pub fn decode(bytes: &[u8]) -> Result<Self, TocError> {
        let mut body = checked_body(bytes)?;
        let record_error = |record| move |source| TocError::Record { record, source };
        let count: usize = take(&mut body).map_err(record_error(0))?;
        if count > MAX_ENTRIES {
            return Err(TocError::Limit { record: count, source: LimitError::Entries });
        }
        // A record has at least eight bytes, so a false count cannot reserve much.
        let mut entries: Vec<Entry> = Vec::with_capacity(count.min(body.len() / 8));
        let mut path = Vec::new();
        for record in 0..count {
            let raw: Record<'_> = take(&mut body).map_err(record_error(record))?;
            let previous = entries.last().map_or(&b""[..], |entry| entry.path.as_bytes());
            entries.push(raw.entry(previous, &mut path, record)?);
        }
        if !body.is_empty() {
            return Err(TocError::Trailing(body.len()));
        }
        Ok(entries.into())
    }
}

fn append<T: Serialize>(value: &T, bytes: Vec<u8>) -> Vec<u8> {
    postcard::to_extend(value, bytes).expect("memory takes all, and no type here fails")
}

fn take<'a, T: Deserialize<'a>>(body: &mut &'a [u8]) -> Result<T, postcard::Error> {
    let (value, rest) = postcard::take_from_bytes(body)?;
    *body = rest;
    Ok(value)
}

fn checked_body(bytes: &[u8]) -> Result<&[u8], TocError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(TocError::Magic)?;
    let (version, rest) = rest.split_first_chunk().ok_or(TocError::Magic)?;
    match u32::from_le_bytes(*version) {
        VERSION => {}
        other => return Err(TocError::Version(other)),
    }
    let (checksum, body) = rest.split_first_chunk().ok_or(TocError::Checksum)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err(TocError::Checksum);
    }
    Ok(body)
}

impl<'a> Record<'a> {
    fn of(entry: &'a Entry, previous: &[u8]) -> Self {
        let path = entry.path.as_bytes();
        let shared = path.iter().zip(previous).take_while(|(a, b)| a == b).count();
        let metadata = &entry.metadata;
        Self {
            shared: shared as u16, // No path is longer than MAX_PATH.
            rest: &path[shared..],
            mode: metadata.mode,
            uid: metadata.uid,
            gid: metadata.gid,
            seconds: metadata.mtime.seconds,
            nanoseconds: metadata.mtime.nanoseconds,
            xattrs: metadata.xattrs.iter().map(|(name, value)| (&name[..], &value[..])).collect(),
            kind: KindRecord::of(&entry.kind),
        }
    }

    /// The entry after one with the path `previous`. `bytes` is for this one's, to be used again.
    fn entry(self, previous: &[u8], bytes: &mut Vec<u8>, record: usize) -> Result<Entry, TocError> {
        let path_error = |source| TocError::Path { record, source };
        bytes.clear();
        bytes.extend_from_slice(&previous[..previous.len().min(self.shared.into())]);
        bytes.extend_from_slice(self.rest);
        let path = LayerPath::new(bytes).map_err(path_error)?;
        let mtime = Timestamp { seconds: self.seconds, nanoseconds: self.nanoseconds };
        let xattrs = self.xattrs.iter().map(|(name, value)| (name.to_vec(), value.to_vec()));
        let metadata = Metadata {
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            mtime,
            xattrs: xattrs.collect(),
        };
        let entry = Entry { path, kind: self.kind.kind().map_err(path_error)?, metadata };
        limits::check(&entry).map_err(|source| TocError::Limit { record, source })?;
        Ok(entry)
    }
}

impl<'a> KindRecord<'a> {
    fn of(kind: &'a EntryKind) -> Self {
        match kind {
            EntryKind::Directory => Self::Directory,
            EntryKind::File(content) => match content.extents[..] {
                [] if content.size == 0 => Self::Plain(0, 0),
                [Extent { file_offset: 0, tar_offset, length }] if length == content.size => {
                    Self::Plain(length, tar_offset)
                }
                _ => Self::Sparse(content.size, content.extents.clone()),
            },
            EntryKind::Symlink(target) => Self::Symlink(target),
            EntryKind::HardLink(target) => Self::HardLink(target.as_bytes()),
            EntryKind::CharDevice(device) => Self::CharDevice(*device),
            EntryKind::BlockDevice(device) => Self::BlockDevice(*device),
            EntryKind::Fifo => Self::Fifo,
            EntryKind::Whiteout => Self::Whiteout,
            EntryKind::Opaque => Self::Opaque,
        }
    }

    fn kind(self) -> Result<EntryKind, PathError> {
        Ok(match self {
            Self::Directory => EntryKind::Directory,
            Self::Plain(size, tar_offset) => EntryKind::File(FileContent::plain(size, tar_offset)),
            Self::Sparse(size, extents) => EntryKind::File(FileContent { size, extents }),
            Self::Symlink(target) => EntryKind::Symlink(target.to_vec()),
            Self::HardLink(target) => EntryKind::HardLink(LayerPath::new(target)?),
            Self::CharDevice(device) => EntryKind::CharDevice(device),
            Self::BlockDevice(device) => EntryKind::BlockDevice(device),
            Self::Fifo => EntryKind::Fifo,
            Self::Whiteout => EntryKind::Whiteout,
            Self::Opaque => EntryKind::Opaque,
        })
    }
}
