//! Writing a blob: its digest is known when its last byte is.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::Digest;
use image::manifest::{self, Descriptor};
use rustix::fs::{FlockOperation, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use tree::LayerSink;

use super::hash::{BUFFER, Hash};
use crate::temp::{Temp, sync_parent};
use crate::{Error, Lease, Store, layer, lock};

/// The largest blob that is compared with one that is there, in bytes.
const MAX_COMPARED: u64 = 1 << 20;

/// A blob that is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// A blob in the making. Dropped before [`BlobWriter::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct BlobWriter {
    temp: Temp,
    buffer: Vec<u8>,
    hash: Hash,
    /// Bytes that went to the file, holes included.
    position: u64,
    /// Whether a write failed, so that the file has a gap.
    failed: bool,
    root: PathBuf,
    /// Keeps the blob from being collected until its store is dropped or the index names it.
    session: Arc<Lease>,
}

impl Store {
    /// A writer for a new blob. Any number may be at work at once.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn blob_writer(&self) -> Result<BlobWriter, Error> {
        self.writer_to(self.temp()?)
    }

    /// A writer for a blob whose digest and size are known, which goes on where an earlier process left
    /// it: see [`BlobWriter::size`] and [`BlobWriter::leave`]. While another process is at work on the
    /// same blob it begins anew.
    ///
    /// # Errors
    /// As [`Store::blob_writer`]; or what was left cannot be read.
    pub fn resume_blob(&self, digest: &Digest, size: u64) -> Result<BlobWriter, Error> {
        let Some(temp) = self.partial(&digest.hex())? else { return self.blob_writer() };
        let mut writer = self.writer_to(temp)?;
        let read = writer.take_up(size);
        read.map_err(Error::io("read", writer.path()))?;
        Ok(writer)
    }

    fn writer_to(&self, temp: Temp) -> Result<BlobWriter, Error> {
        Ok(BlobWriter {
            temp,
            buffer: Vec::new(),
            hash: Hash::new(),
            position: 0,
            failed: false,
            root: self.root.clone(),
            session: self.session()?,
        })
    }
}

impl BlobWriter {
    /// The temporary file, for messages.
    pub(crate) fn path(&self) -> &Path {
        self.temp.path()
    }

    /// How many bytes were written so far.
    pub fn size(&self) -> u64 {
        self.position + self.buffer.len() as u64
    }

    /// Leaves what was written for [`Store::resume_blob`]. What a killed process had written is left, too.
    ///
    /// # Errors
    /// The last of it cannot be written. Nothing is left then.
    pub fn leave(mut self) -> Result<(), Error> {
        self.flush_buffer().map_err(Error::io("write", self.temp.path()))?;
        self.temp.leave();
        Ok(())
    }

    /// Hashes what the file has. More than there can be is not the beginning of the blob.
    fn take_up(&mut self, size: u64) -> io::Result<()> {
        if self.temp.file().metadata()?.len() > size {
            self.temp.file().set_len(0)?;
        }
        loop {
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.resize(BUFFER, 0);
            let count = self.temp.file().read_at(&mut buffer, self.position)?;
            buffer.truncate(count);
            self.position += count as u64;
            self.buffer = self.hash.data(buffer);
            if count == 0 {
                return Ok(());
            }
        }
    }

    /// Puts the blob into the store, on disk, under its digest. A blob that is there already stays.
    ///
    /// # Errors
    /// An earlier write failed, or the file system did; the store is then as it was.
    pub fn finish(self) -> Result<Blob, Error> {
        self.complete(|_| Ok(()))
    }

    /// The same, if digest and size are those of `descriptor`.
    ///
    /// # Errors
    /// As [`BlobWriter::finish`]; [`Error::Unexpected`] where the bytes are not those announced.
    pub fn finish_verified(self, descriptor: &Descriptor) -> Result<Blob, Error> {
        let (want, want_size) = (manifest::digest(descriptor)?, descriptor.size());
        self.complete(|&Blob { digest: got, size }| match got == want && size == want_size {
            true => Ok(()),
            false => Err(Error::Unexpected { want, got, want_size, size }),
        })
    }

    fn complete(mut self, check: impl FnOnce(&Blob) -> Result<(), Error>) -> Result<Blob, Error> {
        self.flush_buffer().map_err(Error::io("write", self.temp.path()))?;
        let Self { temp, hash, position, failed, root, session, .. } = self;
        if failed {
            let lost = io::Error::other("an earlier write failed");
            return Err(Error::io("write", temp.path())(lost));
        }
        // A hole at the end is not there until the file is said to be so long.
        temp.file().set_len(position).map_err(Error::io("write", temp.path()))?;
        let blob = Blob { digest: hash.finish(), size: position };
        check(&blob)?;
        publish(temp, &root, &blob)?;
        drop(session);
        Ok(blob)
    }

    fn flush_buffer(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.temp.file().write_all_at(&self.buffer, self.position);
        self.failed |= written.is_err();
        written?;
        let start = self.position;
        self.position += self.buffer.len() as u64;
        self.temp.write_early(start, self.position);
        self.buffer = self.hash.data(std::mem::take(&mut self.buffer));
        Ok(())
    }
}

/// Names the file while gc stands still. A good blob of that name stays and costs no sync.
fn publish(temp: Temp, root: &Path, blob: &Blob) -> Result<(), Error> {
    let path = root.join("blobs/sha256").join(blob.digest.hex());
    let toc = root.join("tare/layers").join(format!("{}.toc", blob.digest.hex()));
    let was_good = is_good(&path, &toc, blob);
    if !was_good {
        // Before the lock: it may take long.
        temp.sync()?;
    }
    let _names = lock::lock(&root.join("tare/gc.lock"), FlockOperation::LockShared)?;
    if was_good && is_good(&path, &toc, blob) {
        return touch(&path);
    }
    if was_good {
        temp.sync()?;
    }
    temp.publish(&path)?;
    sync_parent(&path)
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

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.capacity() == 0 {
            // Most blobs are small: a config, a manifest.
            self.buffer.reserve(bytes.len().clamp(4096, BUFFER));
        }
        let count = bytes.len().min(BUFFER - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        if self.buffer.len() == BUFFER {
            self.flush_buffer()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flush_buffer()
    }
}

impl LayerSink for BlobWriter {
    fn write_zeros(&mut self, count: u64) -> io::Result<()> {
        self.flush_buffer()?;
        self.hash.zeros(count);
        self.position += count;
        Ok(())
    }
}
