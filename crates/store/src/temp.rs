//! A file in the making: it has a name in `tare/tmp` until it is complete.
//!
//! Its writer holds a lock on it, so that gc can tell it from what a killed process left behind.
//! Dropped before it is published, it is gone; but one in `tare/partial` can be left for another process to
//! go on with.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Advice, FlockOperation, flock};
use rustix::io::Errno;

use crate::{Error, Store, lock};

/// How many bytes are written to disk at a time before the end.
const EARLY: u64 = 16 << 20;

/// Tells the temporary files of one process apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A file without its final name.
#[derive(Debug)]
pub(crate) struct Temp {
    file: File,
    path: PathBuf,
    /// Whether its name stays when this is dropped: it is the final one, or somebody goes on with it.
    stays: bool,
    /// What the store has written, in bytes.
    written: Arc<AtomicU64>,
}

impl Store {
    /// The file that is to become something of this name, with what an earlier process wrote of it;
    /// `None` while another process is at work on it.
    pub(crate) fn partial(&self, name: &str) -> Result<Option<Temp>, Error> {
        // gc must not see the file before it is locked.
        let _names = self.lock_names()?;
        let path = self.tare("partial").join(name);
        let options =
            File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(Error::io("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Ok(None),
            locked => locked.map_err(Error::sys("lock", &path))?,
        }
        // Another process may have given it its final name before we held the lock.
        let inode = |metadata: io::Result<Metadata>| metadata.ok().map(|it| (it.dev(), it.ino()));
        let is_it = inode(file.metadata()) == inode(path.symlink_metadata());
        let written = Arc::clone(&self.written);
        Ok(is_it.then_some(Temp { file, path, stays: false, written }))
    }

    /// A new, empty, locked file in `tare/tmp`.
    pub(crate) fn temp(&self) -> Result<Temp, Error> {
        // gc must not see the file before it is locked.
        let _names = self.lock_names()?;
        let temp = Temp::create(&self.tare("tmp"), &self.written)?;
        lock::wait(&temp.file, FlockOperation::LockExclusive)
            .map_err(Error::sys("lock", &temp.path))?;
        Ok(temp)
    }

    /// Writes a small file under its final name: complete or not at all, but on disk only later.
    pub(crate) fn write_file(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let _names = self.lock_names()?;
        self.small_file(path, bytes)?.publish(path)
    }

    /// A file that is to become `path`. It is not locked: gc must stand still until it has that name.
    pub(crate) fn small_file(&self, path: &Path, bytes: &[u8]) -> Result<Temp, Error> {
        let mut temp = Temp::create(&self.tare("tmp"), &self.written)?;
        temp.file.write_all(bytes).map_err(Error::io("write", path))?;
        Ok(temp)
    }
}

impl Temp {
    fn create(directory: &Path, written: &Arc<AtomicU64>) -> Result<Self, Error> {
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(format!("{}-{number}", std::process::id()));
            match File::options().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => {
                    let written = Arc::clone(written);
                    return Ok(Self { file, path, stays: false, written });
                }
                // Left by a process that had the same number, or made by one in another namespace.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create", &path)(error)),
            }
        }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Has the kernel start to write what lies before `end`, in pieces of [`EARLY`] bytes, so that
    /// [`Temp::sync`] waits for little. The advice drops pages that are clean; these are not yet.
    pub(crate) fn write_early(&self, start: u64, end: u64) {
        let (from, to) = (start / EARLY * EARLY, end / EARLY * EARLY);
        if let Some(length) = std::num::NonZeroU64::new(to - from) {
            // It is advice: without it sync does all.
            let _ = rustix::fs::fadvise(&self.file, from, Some(length), Advice::DontNeed);
        }
    }

    /// Waits until the content is on disk.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(Error::io("write", &self.path))
    }

    /// Gives the file its final name, in place of what has it.
    pub(crate) fn publish(mut self, path: &Path) -> Result<(), Error> {
        std::fs::rename(&self.path, path).map_err(Error::io("create", path))?;
        self.stays = true;
        let size = self.file.metadata().map_or(0, |metadata| metadata.len());
        self.written.fetch_add(size, Ordering::Relaxed);
        Ok(())
    }

    /// Leaves the file where it is.
    pub(crate) fn leave(mut self) {
        self.stays = true;
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.stays {
            // What cannot be removed now is removed by gc.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Waits until the names in a directory are on disk.
pub(crate) fn sync_directory(path: &Path) -> Result<(), Error> {
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(Error::io("sync", path))
}
