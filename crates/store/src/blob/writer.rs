//! Writing a blob: its digest is known when its last byte is.

use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::Digest;
use image::manifest::{self, Descriptor};
use tree::LayerSink;

use super::buffer::{BUFFER, Buffer};
use super::checked::CheckedBlob;
use super::direct::Direct;
use super::hash::Hash;
use crate::temp::Temp;
use crate::{Error, Lease, Store};

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
    direct: Direct,
    buffer: Buffer,
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
            direct: Direct::default(),
            buffer: Buffer::default(),
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
        self.position + self.buffer.bytes().len() as u64
    }

    /// Writes past the page cache from now on, where the disk can: for a large blob that is not read soon.
    pub fn bypass_cache(&mut self) {
        self.direct = Direct::Off;
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
            let count = self.temp.file().read_at(buffer.room(BUFFER), self.position)?;
            if count == 0 {
                return Ok(());
            }
            buffer.add(count);
            self.position += count as u64;
            self.buffer = self.hash.data(buffer);
        }
    }

    /// Room for the blob's next bytes, at least one and at most `most`: a reader's own `read` can put them
    /// there. [`BlobWriter::advance`] takes them.
    ///
    /// # Errors
    /// What was written before cannot be.
    pub fn room(&mut self, most: u64) -> io::Result<&mut [u8]> {
        if self.buffer.is_full() {
            self.flush_buffer()?;
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let room = self.buffer.room(most);
        let count = room.len().min(most.max(1));
        Ok(&mut room[..count])
    }

    /// Takes the first `count` bytes of [`BlobWriter::room`].
    ///
    /// # Errors
    /// They, or what was written before, cannot be written.
    pub fn advance(&mut self, count: usize) -> io::Result<()> {
        self.buffer.add(count);
        if self.buffer.is_full() { self.flush_buffer() } else { Ok(()) }
    }

    /// Puts the blob into the store, on disk, under its digest. A blob that is there already stays.
    ///
    /// # Errors
    /// An earlier write failed, or the file system did; the store is then as it was.
    pub fn finish(self) -> Result<Blob, Error> {
        self.complete()?.publish()
    }

    /// The same, if digest and size are those of `descriptor`.
    ///
    /// # Errors
    /// As [`BlobWriter::finish`]; [`Error::Unexpected`] where the bytes are not those announced.
    pub fn finish_verified(self, descriptor: &Descriptor) -> Result<Blob, Error> {
        self.check(descriptor)?.publish()
    }

    /// Ends writing, and makes sure that digest and size are those of `descriptor`. The blob is not on disk
    /// yet, and has no name.
    ///
    /// # Errors
    /// As [`BlobWriter::finish_verified`].
    pub fn check(self, descriptor: &Descriptor) -> Result<CheckedBlob, Error> {
        let (want, want_size) = (manifest::digest(descriptor)?, descriptor.size());
        let checked = self.complete()?;
        let Blob { digest: got, size } = checked.blob();
        match got == want && size == want_size {
            true => Ok(checked),
            false => Err(Error::Unexpected { want, got, want_size, size }),
        }
    }

    pub(super) fn complete(mut self) -> Result<CheckedBlob, Error> {
        self.flush_buffer().map_err(Error::io("write", self.temp.path()))?;
        let Self { temp, hash, position, failed, root, session, .. } = self;
        if failed {
            let lost = io::Error::other("an earlier write failed");
            return Err(Error::io("write", temp.path())(lost));
        }
        // A hole at the end is not there until the file is said to be so long.
        temp.file().set_len(position).map_err(Error::io("write", temp.path()))?;
        let blob = Blob { digest: hash.finish(), size: position };
        Ok(CheckedBlob::new(temp, root, blob, session))
    }

    fn flush_buffer(&mut self) -> io::Result<()> {
        let bytes = self.buffer.bytes();
        if bytes.is_empty() {
            return Ok(());
        }
        let written = self.direct.write(self.temp.file(), bytes, self.position);
        self.failed |= written.is_err();
        written?;
        let start = self.position;
        self.position += bytes.len() as u64;
        if self.direct != Direct::On {
            self.temp.write_early(start, self.position);
        }
        self.buffer = self.hash.data(std::mem::take(&mut self.buffer));
        Ok(())
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let room = self.room(bytes.len() as u64)?;
        let count = room.len();
        room.copy_from_slice(&bytes[..count]);
        self.advance(count)?;
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
