//! Removing what is not marked.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use image::Digest;

use super::mark::Marked;
use super::{Garbage, GarbageKind, GcOptions, GcReport};
use crate::{Error, Store, files, lock};

pub(super) fn sweep(store: &Store, marked: &Marked, options: GcOptions) -> Result<GcReport, Error> {
    let mut sweep = Sweep {
        marked,
        dry_run: options.dry_run,
        report: GcReport::default(),
        links: HashMap::new(),
    };
    sweep.named(&store.root.join("blobs/sha256"), GarbageKind::Blob)?;
    sweep.named(&store.tare("layers"), GarbageKind::Layer)?;
    sweep.named(&store.tare("rootfs"), GarbageKind::Rootfs)?;
    sweep.temporary(&store.tare("tmp"))?;
    if options.build_cache {
        sweep.build_cache(&store.build_dir())?;
    }
    Ok(sweep.report)
}

struct Sweep<'a> {
    marked: &'a Marked,
    dry_run: bool,
    report: GcReport,
    /// Names that went of each file that has several: by device and inode.
    links: HashMap<(u64, u64), u64>,
}

impl Sweep<'_> {
    /// A directory whose names start with a digest. What is named otherwise is not ours.
    fn named(&mut self, directory: &Path, kind: GarbageKind) -> Result<(), Error> {
        for name in files::names(directory)? {
            let stem = name.split_once('.').map_or(name.as_str(), |(stem, _)| stem);
            let Ok(digest) = Digest::from_hex(stem) else { continue };
            let path = directory.join(&name);
            if !self.marked.digests.contains(&digest) && !self.is_young(&path)? {
                self.remove(kind, path)?;
            }
        }
        Ok(())
    }

    /// Files in the making whose makers are gone.
    fn temporary(&mut self, directory: &Path) -> Result<(), Error> {
        for name in files::names(directory)? {
            let path = directory.join(name);
            let locked = File::open(&path).is_ok_and(|file| lock::is_locked(&file));
            if !locked {
                self.remove(GarbageKind::Temporary, path)?;
            }
        }
        Ok(())
    }

    /// All of it; while processes are at work only the records, for a build may be among them.
    fn build_cache(&mut self, directory: &Path) -> Result<(), Error> {
        let records = directory.join("records");
        for name in files::names(&records)? {
            self.remove(GarbageKind::BuildCache, records.join(name))?;
        }
        if self.marked.since.is_some() {
            return Ok(());
        }
        for name in files::names(directory)?.into_iter().filter(|name| name != "records") {
            self.remove(GarbageKind::BuildCache, directory.join(name))?;
        }
        Ok(())
    }

    /// Whether the file got its name, or was wanted again, while a process was at work that still is.
    fn is_young(&self, path: &Path) -> Result<bool, Error> {
        let Some(since) = self.marked.since else { return Ok(false) };
        let metadata = path.symlink_metadata().map_err(Error::io("read", path))?;
        Ok((metadata.ctime(), metadata.ctime_nsec()) >= since)
    }

    fn remove(&mut self, kind: GarbageKind, path: PathBuf) -> Result<(), Error> {
        let size = self.account(&path)?;
        if !self.dry_run {
            let metadata = path.symlink_metadata().map_err(Error::io("read", &path))?;
            let removed = match metadata.is_dir() {
                true => fs::remove_dir_all(&path),
                false => fs::remove_file(&path),
            };
            removed.map_err(Error::io("remove", &path))?;
        }
        self.report.removed.push(Garbage { kind, path, size });
        Ok(())
    }

    /// Adds up what a file or directory gives free, and returns how much it takes.
    fn account(&mut self, path: &Path) -> Result<u64, Error> {
        let metadata = path.symlink_metadata().map_err(Error::io("read", path))?;
        let size = metadata.blocks() * 512;
        if !metadata.is_dir() {
            if self.is_last_name(&metadata) {
                self.report.freed_bytes += size;
            }
            return Ok(size);
        }
        self.report.freed_bytes += size;
        let mut total = size;
        for entry in fs::read_dir(path).map_err(Error::io("read", path))? {
            total += self.account(&entry.map_err(Error::io("read", path))?.path())?;
        }
        Ok(total)
    }

    fn is_last_name(&mut self, metadata: &Metadata) -> bool {
        let gone = self.links.entry((metadata.dev(), metadata.ino())).or_default();
        *gone += 1;
        // When removing, the file has already lost the names that went before.
        let left = if self.dry_run { *gone } else { 1 };
        metadata.nlink() <= left
    }
}
