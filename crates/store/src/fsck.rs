//! Checking a store: every name in it against what is there, every file against its digest.
//!
//! What is wrong with a cache is mended by dropping it: it is made again when it is wanted. So is a blob
//! that is not what its name says, since it is of no use to anybody, and as long as it has its name no pull
//! brings the right one. What no repair can bring back is told with the images that want it.

mod blobs;
mod caches;
mod images;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::{Error, Store};

/// How to check.
#[derive(Clone, Copy, Debug, Default)]
pub struct FsckOptions<'a> {
    /// Drops what is damaged and can be made or fetched again.
    pub repair: bool,
    /// Compares names and sizes alone, and reads no content.
    pub quick: bool,
    /// Set by someone else, it stops the check.
    pub stop: Option<&'a AtomicBool>,
    /// Counts the bytes that were read.
    pub read: Option<&'a AtomicU64>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FsckReport {
    /// What is wrong, images first.
    pub problems: Vec<Problem>,
    /// How many files were looked at.
    pub files: u64,
    /// How many bytes were read.
    pub bytes: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub what: String,
    /// The names of the images that are not whole because of it; digests where they have no name.
    pub images: Vec<String>,
    /// Whether it was dropped: with [`FsckOptions::repair`], and where that mends it or lets it be fetched.
    pub dropped: bool,
}

impl FsckReport {
    /// Whether something is wrong that was not mended, or images lost something by it.
    pub fn is_damaged(&self) -> bool {
        self.problems.iter().any(|problem| !problem.dropped || !problem.images.is_empty())
    }
}

impl Store {
    /// Checks the whole store, beside whoever is at work in it: what they add meanwhile is theirs, and what
    /// is collected meanwhile is nobody's.
    ///
    /// # Errors
    /// The index cannot be understood; the disk fails in another way than by wrong bytes; the check was
    /// stopped.
    pub fn fsck(&self, options: FsckOptions<'_>) -> Result<FsckReport, Error> {
        let counter = AtomicU64::new(0);
        let options = FsckOptions { read: options.read.or(Some(&counter)), ..options };
        let mut check = Check { store: self, options, report: FsckReport::default() };
        let damaged = check.blobs()?;
        check.images(&damaged)?;
        check.caches()?;
        check
            .report
            .problems
            .sort_by(|a, b| b.images.len().cmp(&a.images.len()).then_with(|| a.path.cmp(&b.path)));
        check.report.bytes = options.read.map_or(0, |read| read.load(Ordering::Relaxed));
        Ok(check.report)
    }
}

/// A check under way.
struct Check<'a> {
    store: &'a Store,
    options: FsckOptions<'a>,
    report: FsckReport,
}

impl Check<'_> {
    fn problem(&mut self, path: PathBuf, what: impl Into<String>) -> &mut Problem {
        let problem = Problem { path, what: what.into(), images: Vec::new(), dropped: false };
        self.report.problems.push(problem);
        self.report.problems.last_mut().expect("it was just put there")
    }

    /// Tells of something that is dropped where that was asked for.
    fn worthless(&mut self, path: PathBuf, what: impl Into<String>) -> Result<(), Error> {
        let dropped = self.options.repair && self.drop_file(&path)?;
        self.problem(path, what).dropped = dropped;
        Ok(())
    }

    fn drop_file(&self, path: &std::path::Path) -> Result<bool, Error> {
        let _names = self.store.lock_names()?;
        let removed = match std::fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
            _ => std::fs::remove_file(path),
        };
        removed.map_err(Error::io("remove", path))?;
        Ok(true)
    }

    fn stopped(&self) -> bool {
        self.options.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }
}
