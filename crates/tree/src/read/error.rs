//! What can be wrong with a layer's tar.

use std::io;

use crate::PathError;
use crate::limits::LimitError;

/// A tar that is no layer.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the tar's entry {entry:?} at byte {offset}")]
pub struct ReadError {
    /// The entry's name as far as it was known; may be empty.
    pub entry: String,
    /// Where the entry's header begins, in bytes.
    pub offset: u64,
    /// What is wrong with it.
    #[source]
    pub cause: ReadCause,
}

/// What is wrong with a tar's entry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadCause {
    /// The reader failed.
    #[error("reading failed")]
    Io(#[from] io::Error),
    /// The archive ends within the entry.
    #[error("the archive is cut off")]
    Truncated,
    /// The archive ends between entries, without the marker that says so.
    #[error("the archive is cut off: its end marker is missing")]
    Unmarked,
    /// The header's checksum is wrong: this is no tar, or a damaged one.
    #[error("the header's checksum is wrong; this is no tar or it is damaged")]
    Checksum,
    /// A zero block, which with a second one ends an archive, stands alone.
    #[error("a zero block is not followed by a second one")]
    LoneZeroBlock,
    /// A field is no number, or beyond its range.
    #[error("{0} is not a number in its range")]
    Number(&'static str),
    /// The type is none that a layer can have.
    #[error("type {0:?} is not supported")]
    Type(String),
    /// The PAX and GNU records before an entry are too long to be honest.
    #[error("extended headers of {0} bytes are too long")]
    RecordsTooLarge(u64),
    /// A PAX record is malformed.
    #[error("a PAX record is malformed")]
    Pax,
    /// A sparse file's map is malformed or contradicts the entry's size.
    #[error("the map of the sparse file is malformed")]
    SparseMap,
    /// A whiteout names nothing.
    #[error("the whiteout names no file")]
    Whiteout,
    /// The name, or the target of a hard link, is bad.
    #[error("bad path")]
    Path(#[from] PathError),
    /// No file system could show the entry.
    #[error("impossible entry")]
    Limit(#[from] LimitError),
    /// Names and attributes of all entries are too much for memory.
    #[error("the layer's names and attributes are too large")]
    MetadataTooLarge,
}
