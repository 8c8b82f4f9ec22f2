//! A blob that is complete: on disk, then named.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use image::Digest;
use rustix::fs::{FlockOperation, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

use super::MAX_JSON;
use super::writer::Blob;
use crate::temp::{Temp, sync_directory};
use crate::{Error, Lease, Store, layer, lock};

/// The largest blob that is compared with one that is there, in bytes.
const MAX_COMPARED: u64 = 1 << 20;
/// Where blobs are, from the store's root.
const BLOBS: &str = "blobs/sha256";

/// A blob whose bytes are the right ones, and that has no name yet. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct CheckedBlob {
    temp: Temp,
    is_synced: bool,
    root: PathBuf,
    blob: Blob,
    /// Keeps the blob from being collected until its store is dropped or the index names it.
    session: Arc<Lease>,
}

impl CheckedBlob {
    pub(super) fn new(temp: Temp, root: PathBuf, blob: Blob, session: Arc<Lease>) -> Self {
        Self { temp, is_synced: false, root, blob, session }
    }

    /// What it is.
    pub fn blob(&self) -> Blob {
        self.blob
    }

    /// Its bytes, up to 32 MiB.
    ///
    /// # Errors
    /// It is larger, or cannot be read.
    pub fn read(&self) -> Result<Vec<u8>, Error> {
        let size = usize::try_from(self.blob.size).ok().filter(|size| *size as u64 <= MAX_JSON);
        let what = || format!("blob {}", self.blob.digest);
        let size = size.ok_or_else(|| Error::TooLarge { what: what(), max: MAX_JSON })?;
        let mut bytes = vec![0; size];
        let read = self.temp.file().read_exact_at(&mut bytes, 0);
        read.map_err(Error::io("read", self.temp.path()))?;
        Ok(bytes)
    }

    /// Puts the blob on disk, still without a name.
    ///
    /// # Errors
    /// The file system's.
    pub fn sync(&mut self) -> Result<(), Error> {
        if !self.is_synced {
            self.temp.sync()?;
            self.is_synced = true;
        }
        Ok(())
    }

    /// Puts the blob on disk, and its name.
    pub(super) fn publish(self) -> Result<Blob, Error> {
        let (directory, blob) = (self.root.join(BLOBS), self.blob);
        if self.give_name()? {
            sync_directory(&directory)?;
        }
        Ok(blob)
    }

    /// Names the file while gc stands still. A good blob of that name stays and costs no sync: `false`.
    fn give_name(mut self) -> Result<bool, Error> {
        let path = self.root.join(BLOBS).join(self.blob.digest.hex());
        let toc = format!("{}.toc", self.blob.digest.hex());
        let toc = self.root.join("tare/layers").join(toc);
        let was_good = is_good(&path, &toc, &self.blob);
        if !was_good {
            // Before the lock: it may take long.
            self.sync()?;
        }
        let gc_lock = self.root.join("tare/gc.lock");
        let _names = lock::lock(&gc_lock, FlockOperation::LockShared)?;
        if was_good && is_good(&path, &toc, &self.blob) {
            return touch(&path).map(|()| false);
        }
        self.sync()?;
        self.temp.publish(&path)?;
        drop(self.session);
        Ok(true)
    }
}

impl Store {
    /// Puts a blob on disk, and gives it its name. The name itself is on disk when the index is that next
    /// changes: once for any number of blobs.
    ///
    /// # Errors
    /// The store cannot be written; it is then as it was.
    pub fn name_blob(&self, blob: CheckedBlob) -> Result<Blob, Error> {
        let named = blob.blob;
        if blob.give_name()? {
            self.has_new_names.store(true, Ordering::Relaxed);
        }
        Ok(named)
    }

    /// Waits until the names that [`Store::name_blob`] gave are on disk.
    pub(crate) fn sync_names(&self) -> Result<(), Error> {
        if !self.has_new_names.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let synced = sync_directory(&self.root.join(BLOBS));
        if synced.is_err() {
            self.has_new_names.store(true, Ordering::Relaxed);
        }
        synced
    }
}

/// Whether the blob is there already. A small one is read, so that a corrupt one is replaced; a large
/// one is believed only where it was checked before, when a layer was linked to it, and not changed
/// since.
fn is_good(path: &Path, toc: &Path, blob: &Blob) -> bool {
    match path.metadata() {
        Ok(old) if old.len() != blob.size => false,
        Ok(old) if old.nlink() > 1 && layer::is_as_checked(&old, toc) => true,
        Ok(old) if old.len() <= MAX_COMPARED => {
            std::fs::read(path).is_ok_and(|bytes| Digest::of(bytes) == blob.digest)
        }
        _ => false,
    }
}

/// Makes a file young, so that gc sees that somebody wants it: by its time of change, as another time of
/// modification would say that it was written to.
fn touch(path: &Path) -> Result<(), Error> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let same = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    let times = Timestamps { last_access: now, last_modification: same };
    let file = File::open(path).map_err(Error::io("open", path))?;
    rustix::fs::futimens(&file, &times).map_err(Error::sys("touch", path))
}
