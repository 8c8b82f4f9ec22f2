//! Images as tar streams: docker's and OCI's archives out of the store and into it, and an image's root
//! file system.
//!
//! ```text
//! save    store ─▶ oci-layout, index.json, [manifest.json], blobs/sha256/…  ─▶ stream
//! load    stream ─▶ blobs, each into the store as it comes ─▶ what names them, read at the end
//! lay out store ─▶ the same as save, into a directory that may have images already
//! export  layers ─▶ Tree ─▶ one tar, each file's bytes straight from its layer's tar
//! ```
//!
//! Streams are read and written once, from front to back, and nothing is kept on the side: no temporary
//! copy, no unpacked tree. An archive is not trusted: its names are looked up in a table and never on a
//! disk, its blobs are checked against the digests that name them, and an image gets a name in the store
//! when all of it is there.

mod directory;
mod error;
mod export;
mod files;
mod layout;
mod load;
mod name;
mod save;

pub use directory::{read_directory, write_directory};
pub use error::Error;
pub use export::{Exported, Root, export, fold};
pub use layout::lay_out;
pub use load::{Loaded, load};
pub use save::{Format, RefName, Saved, Saving, save};
