//! Collecting garbage: what nobody names goes.
//!
//! Named is what the index, a living lease or a build record refers to, directly or through a manifest
//! or index. While processes are at work, all that changed in the store since the first of them began
//! is theirs and stays. Nobody gives a name to a file meanwhile, so nothing is taken from under
//! anyone's hands.

mod auto;
mod limit;
mod mark;
mod remove;
mod survey;
mod sweep;
mod usage;

use std::path::PathBuf;

pub use limit::CacheLimit;
pub use remove::Removal;
pub use usage::{BundleUsage, ImageUsage, Room, Usage};

use crate::{Error, Store};

/// What to collect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcOptions<'a> {
    /// Only says what would go.
    pub dry_run: bool,
    /// Takes so much of the build cache, too, and with it what only that names: what each limit asks
    /// for. Without any, nothing.
    pub build_cache: &'a [CacheLimit],
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
    /// A record of the build cache.
    BuildCache,
    /// Files that steps of builds share: `RUN --mount=type=cache`.
    CacheMount,
    /// What builds have fetched of a git repository.
    Repository,
    /// What else the builder keeps, to be faster.
    BuilderFile,
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
    pub fn gc(&self, options: GcOptions<'_>) -> Result<GcReport, Error> {
        Ok(self.collect(options)?.report)
    }

    fn collect(&self, options: GcOptions<'_>) -> Result<Collected, Error> {
        self.end_session();
        let _index = self.lock_index()?;
        let _names = self.lock_gc()?;
        let mut marker = mark::Marker::begin(self, options.dry_run, None)?;
        let cache = survey::survey(&mut marker)?;
        let (victims, used_bytes) =
            limit::apply(&cache, &marker.marked, options.build_cache, self)?;
        for (index, unit) in cache.units.iter().enumerate() {
            if !victims.contains(&index) {
                marker.marked.digests.extend(unit.holds.iter().copied());
            }
        }
        let victims: Vec<&survey::Unit> =
            victims.iter().map(|&index| &cache.units[index]).collect();
        let report = sweep::sweep(self, &marker.marked, &victims, options)?;
        Ok(Collected { report, used_bytes })
    }
}

/// What [`Store::collect`] did.
struct Collected {
    report: GcReport,
    /// How much the build cache takes that is left, in bytes on disk.
    used_bytes: u64,
}

impl Collected {
    /// This, and what went after it.
    fn add(&mut self, more: Self) {
        self.report.removed.extend(more.report.removed);
        self.report.freed_bytes += more.report.freed_bytes;
        self.used_bytes = more.used_bytes;
    }
}
