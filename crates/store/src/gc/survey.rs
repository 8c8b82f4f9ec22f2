//! What the build cache consists of, and when each part was last used.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use image::Digest;
use rustix::fs::{FlockOperation, flock};

use super::GarbageKind;
use super::mark::Marker;
use crate::disk_usage::room;
use crate::{Error, Store, files};

/// The build cache.
pub(super) struct Survey {
    pub(super) units: Vec<Unit>,
}

/// What goes or stays as a whole: a record, a cache mount, a repository.
pub(super) struct Unit {
    pub(super) kind: GarbageKind,
    pub(super) path: PathBuf,
    /// What it keeps alive, directly or not.
    pub(super) holds: HashSet<Digest>,
    /// In bytes on disk, without what it keeps alive.
    pub(super) size: u64,
    /// Seconds and nanoseconds.
    pub(super) used: (i64, i64),
    /// Seconds and nanoseconds.
    pub(super) changed: (i64, i64),
    /// What a build that uses it holds a lock on.
    lock: Option<PathBuf>,
}

/// The right to remove a unit; given up when dropped.
pub(super) struct Lock(#[expect(dead_code, reason = "closing it lets go")] Option<File>);

impl Unit {
    /// The right to remove it; `None` while a build uses it.
    pub(super) fn lock(&self) -> Option<Lock> {
        let Some(path) = &self.lock else { return Some(Lock(None)) };
        let file = File::open(path).ok()?;
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive);
        locked.is_ok().then_some(Lock(Some(file)))
    }
}

pub(super) fn survey(marker: &mut Marker<'_>) -> Result<Survey, Error> {
    let build = marker.store.build_dir();
    let mut units = Vec::new();
    let records = build.join("records");
    for name in files::names(&records)? {
        units.push(record(marker, records.join(name))?);
    }
    let mounts = build.join("mounts");
    for cache in files::names(&mounts)?.into_iter().map(|name| mounts.join(name)) {
        for name in files::names(&cache)? {
            let path = cache.join(name);
            units.extend(directory(GarbageKind::CacheMount, &path, &path));
        }
    }
    let repositories = build.join("git");
    for path in files::names(&repositories)?.into_iter().map(|name| repositories.join(name)) {
        units.extend(directory(GarbageKind::Repository, &path, &path.join("lock")));
    }
    Ok(Survey { units })
}

fn record(marker: &Marker<'_>, path: PathBuf) -> Result<Unit, Error> {
    let metadata = path.symlink_metadata().map_err(Error::io("read", &path))?;
    let holds = marker.closure(Store::record_holds(&path)?)?;
    let size = room(&metadata);
    let kind = GarbageKind::BuildCache;
    let (used, changed) = (used(&metadata), changed(&metadata));
    Ok(Unit { kind, path, holds, size, used, changed, lock: None })
}

/// A directory of the builder's. Whoever works in it holds a lock on `lock`, whose time of modification
/// says when that was. Where there is no lock it is in the making.
fn directory(kind: GarbageKind, path: &Path, lock: &Path) -> Option<Unit> {
    let metadata = lock.metadata().ok()?;
    Some(Unit {
        kind,
        path: path.to_owned(),
        holds: HashSet::new(),
        size: usage(path),
        used: used(&metadata),
        changed: changed(&metadata),
        lock: Some(lock.to_owned()),
    })
}

/// Bytes on disk of a directory with all that is in it; what cannot be read counts nothing.
fn usage(directory: &Path) -> u64 {
    let own = directory.symlink_metadata().map_or(0, |metadata| room(&metadata));
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let below = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => usage(&entry.path()),
        // A file with several names counts for each: mostly all of them are here.
        Ok(metadata) => room(&metadata) / metadata.nlink().max(1),
        Err(_) => 0,
    });
    own + below.sum::<u64>()
}

fn used(metadata: &Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}

pub(super) fn changed(metadata: &Metadata) -> (i64, i64) {
    (metadata.ctime(), metadata.ctime_nsec())
}
