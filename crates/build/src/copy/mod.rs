//! `COPY` and `ADD`: from what an instruction names to a layer.
//!
//! ```text
//! sources ──gather──▶ pieces: what each source names, as a list of items
//!         ──keys────▶ shape (names, modes, sizes) and content (the bytes too)
//!         ──place───▶ where each item goes in the image, as its tree is
//!         ──write───▶ the layer's tar, each file read once
//! ```
//!
//! The rules are BuildKit's: a directory's contents are copied, not itself; several sources, an
//! existing directory or a trailing slash make the destination a directory; links that a source path
//! goes through are followed, links in a directory are copied; links in the destination are followed
//! inside the image.

mod gather;
mod keys;
mod parents;
mod place;
mod sources;
mod write;

pub(crate) use gather::{Obtained, Piece, gather};
pub(crate) use keys::{content, hash_missing, shape};
pub(crate) use place::{Placed, Target, place};
pub(crate) use sources::{Place, Sources};
pub(crate) use write::write;
