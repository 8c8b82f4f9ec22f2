//! `COPY` and `ADD`: from what an instruction names to a layer.
//!
//! ```text
//! sources ──gather──▶ pieces: what each source names, as a list of items
//!         ──digests─▶ the bytes of each file: with names, modes, sizes the copy's key
//!         ──place───▶ where each item goes in the image, as its tree is
//!         ──write───▶ the layer's tar, each file read once
//! ```
//!
//! The rules are BuildKit's: a directory's contents are copied, not itself; several sources, an
//! existing directory or a trailing slash make the destination a directory; links that a source path
//! goes through are followed, links in a directory are copied; links in the destination are followed
//! inside the image.

mod digests;
mod gather;
mod parents;
mod place;
mod sources;
mod write;

pub(crate) use digests::{hash_missing, size};
pub(crate) use gather::{Obtained, Piece, gather};
pub(crate) use place::{Placed, Target, place};
pub(crate) use sources::{Place, Sources};
pub(crate) use write::write;
