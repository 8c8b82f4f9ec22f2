//! Layer tars, changesets and the tree they fold into.
//!
//! ```text
//! tar ──read──▶ Changeset ──┐
//! tar ──read──▶ Changeset ──┼─fold, in order──▶ Tree ──▶ lookup, walk, diff, an EROFS index
//! tar ──read──▶ Changeset ──┘
//!      LayerWriter: files ──▶ tar and Changeset at once
//! ```
//!
//! A tar keeps the bytes of each file together, at a boundary of 512 bytes. So a file of an image is
//! *(layer, offset, length)*, and an image's root file system is metadata alone: a [`Tree`].
//!
//! Nothing here touches a file system: input comes from a reader and output goes to a writer that
//! the caller hands over. Nothing here trusts its input: names are checked ([`LayerPath`]), sizes and
//! counts are bounded, and no path leaves the root, by `..` or by symbolic link.

mod changeset;
mod content;
mod diff;
mod entry;
mod fold;
mod limits;
mod path;
mod read;
mod resolve;
mod toc;
mod tree;
mod waste;
mod write;

pub use changeset::Changeset;
pub use diff::{Change, ChangeKind};
pub use entry::{Device, Entry, EntryKind, Extent, FileContent, Metadata, Timestamp, Xattrs};
pub use fold::{FoldCause, FoldError};
pub use limits::{
    LimitError, MAX_ENTRIES, MAX_TARGET, MAX_XATTR_NAME, MAX_XATTR_VALUE, MAX_XATTRS,
};
pub use path::{LayerPath, MAX_NAME, MAX_PATH, PathError};
pub use read::{ReadCause, ReadError};
pub use resolve::{MAX_LINKS, ResolveError};
pub use toc::TocError;
pub use tree::{MAX_NODES, Names, Node, NodeId, NodeKind, Tree, Walk};
pub use waste::{Waste, WastedPath};
pub use write::{LayerSink, LayerWriter, WriteError};
