//! Removing what is not marked.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use image::Digest;

use super::mark::Marked;
use super::survey::{Unit, changed};
use super::{CacheLimit, Garbage, GarbageKind, GcOptions, GcReport};
use crate::disk_usage::room;
use crate::{Error, Store, files, lock};

pub(super) fn sweep(
    store: &Store,
    marked: &Marked,
    victims: &[&Unit],
    options: GcOptions<'_>,
) -> Result<GcReport, Error> {
    let mut sweep = Sweep {
        marked,
        dry_run: options.dry_run,
        report: GcReport::default(),
        links: HashMap::new(),
    };
    sweep.temporary(&store.tare("tmp"))?;
    sweep.temporary(&store.tare("partial"))?;
    for unit in victims {
        sweep.unit(store, unit)?;
    }
    sweep.named(&store.root.join("blobs/sha256"), GarbageKind::Blob)?;
    sweep.named(&store.tare("layers"), GarbageKind::Layer)?;
    sweep.named(&store.tare("rootfs"), GarbageKind::Rootfs)?;
    if options.build_cache.contains(&CacheLimit::ALL) && marked.since.is_none() {
        sweep.builder_files(&store.build_dir())?;
    }
    Ok(sweep.report)
}

/// What the builder keeps besides records, cache mounts and repositories.
pub(super) fn builder_files(directory: &Path) -> Result<Vec<String>, Error> {
    let mut names = files::names(directory)?;
    names.retain(|name| !["records", "mounts", "git"].contains(&name.as_str()));
    Ok(names)
}

/// A path, and what is there.
type Found = (PathBuf, io::Result<Metadata>);

/// Looks up names, some at a time, until nobody wants more.
fn look_up(directory: &Path, names: &[String], ahead: &SyncSender<Vec<Found>>) {
    for some in names.chunks(256) {
        let paths = some.iter().map(|name| directory.join(name));
        let found = paths.map(|path| {
            let metadata = path.symlink_metadata();
            (path, metadata)
        });
        if ahead.send(found.collect()).is_err() {
            return;
        }
    }
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
        let mut names = files::names(directory)?;
        names.retain(|name| {
            let stem = name.split_once('.').map_or(name.as_str(), |(stem, _)| stem);
            Digest::from_hex(stem).is_ok_and(|digest| !self.marked.digests.contains(&digest))
        });
        let (ahead, found) = sync_channel(1);
        std::thread::scope(|scope| {
            // To look files up takes nearly half as long as to remove them: another processor can do it.
            scope.spawn(move || look_up(directory, &names, &ahead));
            found.into_iter().flatten().try_for_each(|(path, metadata)| match metadata {
                // Those who make root file systems take no lock of ours.
                Err(error) if files::is_absent(&error) => Ok(()),
                Err(error) => Err(Error::io("read", &path)(error)),
                Ok(found) if self.is_young(&found) => Ok(()),
                Ok(found) => self.remove_found(kind, path, &found),
            })
        })
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

    /// A part of the build cache. A directory is moved away first: what is half removed is no cache.
    fn unit(&mut self, store: &Store, unit: &Unit) -> Result<(), Error> {
        // Held until it is gone: nobody takes it meanwhile.
        let Some(_lock) = unit.lock() else { return Ok(()) };
        let is_directory = unit.kind != GarbageKind::BuildCache;
        if !is_directory || self.dry_run {
            return self.remove(unit.kind, unit.path.clone());
        }
        let size = self.account(&unit.path)?;
        let away = store.tare("tmp").join(format!("gone-{}", std::process::id()));
        fs::rename(&unit.path, &away).map_err(Error::io("remove", &unit.path))?;
        fs::remove_dir_all(&away).map_err(Error::io("remove", &unit.path))?;
        self.report.removed.push(Garbage { kind: unit.kind, path: unit.path.clone(), size });
        Ok(())
    }

    /// What else the builder keeps, when no process is at work: a build might be among them.
    fn builder_files(&mut self, directory: &Path) -> Result<(), Error> {
        for name in builder_files(directory)? {
            self.remove(GarbageKind::BuilderFile, directory.join(name))?;
        }
        Ok(())
    }

    /// A file that has just lost another name changed by that: it is as old as that name was.
    fn is_young(&self, metadata: &Metadata) -> bool {
        let is_going = self.links.contains_key(&(metadata.dev(), metadata.ino()));
        !is_going && self.marked.is_young(changed(metadata))
    }

    fn remove(&mut self, kind: GarbageKind, path: PathBuf) -> Result<(), Error> {
        let metadata = path.symlink_metadata().map_err(Error::io("read", &path))?;
        self.remove_found(kind, path, &metadata)
    }

    fn remove_found(
        &mut self,
        kind: GarbageKind,
        path: PathBuf,
        metadata: &Metadata,
    ) -> Result<(), Error> {
        let size = self.account_found(&path, metadata)?;
        if !self.dry_run {
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
        self.account_found(path, &metadata)
    }

    fn account_found(&mut self, path: &Path, metadata: &Metadata) -> Result<u64, Error> {
        let size = room(metadata);
        if !metadata.is_dir() {
            if self.is_last_name(metadata) {
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
        let file = (metadata.dev(), metadata.ino());
        let gone = self.links.entry(file).or_default();
        *gone += 1;
        // When removing, the file has already lost the names that went before: none was in the same directory,
        // where two digests have no file in common.
        let left = if self.dry_run { *gone } else { 1 };
        let is_last = metadata.nlink() <= left;
        if is_last && !self.dry_run {
            // The next file may get its number.
            self.links.remove(&file);
        }
        is_last
    }
}
