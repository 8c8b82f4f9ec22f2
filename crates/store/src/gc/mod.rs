//! Collecting garbage: what nobody names goes.
//!
//! Named is what the index, a living lease or a build record refers to, directly or through a manifest
//! or index. While processes are at work, all that changed in the store since the first of them began
//! is theirs and stays. Nobody gives a name to a file meanwhile, so nothing is taken from under
//! anyone's hands.

mod mark;
mod sweep;

use std::path::PathBuf;

use crate::{Error, Store};

/// What to collect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcOptions {
    /// Only says what would go.
    pub dry_run: bool,
    /// Takes the build cache too, and with it what only the cache names.
    pub build_cache: bool,
}

/// What was collected, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Each thing that went.
    pub removed: Vec<Garbage>,
    /// How much room that gave, in bytes on disk. A file with two names counts once, when both go.
    pub freed_bytes: u64,
}

/// One thing that nobody named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Garbage {
    /// What it was.
    pub kind: GarbageKind,
    /// Where it was.
    pub path: PathBuf,
    /// Its size in bytes on disk.
    pub size: u64,
}

/// Kinds of garbage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GarbageKind {
    /// A blob.
    Blob,
    /// A layer's tar or its table of contents.
    Layer,
    /// What a driver made of a stack of layers.
    Rootfs,
    /// Something of the build cache.
    BuildCache,
    /// What a killed process left behind.
    Temporary,
}

impl Store {
    /// Removes what nobody names. What this store itself wrote is given up to collection, unless the
    /// index, a lease or a record names it; writers and leases in flight keep theirs.
    ///
    /// # Errors
    /// The index or a manifest cannot be understood, so that nobody knows what they name; or a file
    /// cannot be removed.
    pub fn gc(&self, options: GcOptions) -> Result<GcReport, Error> {
        self.end_session();
        let _index = self.lock_index()?;
        let _names = self.lock_gc()?;
        let marked = mark::mark(self, options)?;
        sweep::sweep(self, &marked, options)
    }
}
