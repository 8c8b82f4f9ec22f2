//! Files in, a layer's tar and its changeset out.
//!
//! The bytes depend on the entries alone: numbers and no names of users, no times but the entries',
//! and one choice of header for each entry, made from that entry (see [`header`]). The writer does
//! not sort: the order is the caller's.

mod error;
mod header;
mod sink;

use std::io::{self, Read};

use crate::limits::{self, LimitError};
use crate::{Changeset, Entry, EntryKind, Extent, FileContent, LayerPath, Metadata, Timestamp};

pub use error::WriteError;
pub use sink::LayerSink;

/// Small files gather here before they go out; large ones pass through it.
const BUFFER: usize = 256 << 10;

/// From this length on, zeros are worth a hole.
const MIN_HOLE: u64 = 4096;

const BLOCK: u64 = 512;

/// Writes a layer as a deterministic tar and makes its [`Changeset`] at the same time.
///
/// Headers are POSIX ustar. What does not fit there goes into PAX records (POSIX pax, "extended
/// header"): long paths, extended attributes (`SCHILY.xattr.NAME`), fractions of a second and times
/// before the epoch, large owners and sizes. Long paths that are not UTF-8, which PAX demands, go
/// into GNU `L` and `K` records.
#[derive(Debug)]
pub struct LayerWriter<W: LayerSink> {
    out: W,
    buffer: Box<[u8]>,
    filled: usize,
    position: u64,
    changeset: Changeset,
    max_mtime: Option<Timestamp>,
    failed: bool,
}

impl<W: LayerSink> LayerWriter<W> {
    /// A writer of an empty layer.
    pub fn new(out: W) -> Self {
        Self {
            out,
            buffer: vec![0; BUFFER].into(),
            filled: 0,
            position: 0,
            changeset: Changeset::default(),
            max_mtime: None,
            failed: false,
        }
    }

    /// Later times become `max` (`SOURCE_DATE_EPOCH`, reproducible-builds.org).
    pub fn with_max_mtime(mut self, max: Timestamp) -> Self {
        self.max_mtime = Some(max);
        self
    }

    /// How many bytes of tar there are so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Appends an entry that has no content: anything but a file with a size.
    ///
    /// # Errors
    /// The entry is a file with content, cannot be in a layer, or the output fails.
    pub fn append(&mut self, entry: &Entry) -> Result<(), WriteError> {
        if matches!(&entry.kind, EntryKind::File(content) if content.size != 0) {
            return Err(WriteError::ContentMissing { path: entry.path.clone() });
        }
        let (path, kind) = (&entry.path, entry.kind.clone());
        self.guarded(|writer| writer.start(path, &entry.metadata, kind, 0))
    }

    /// Appends a regular file of `size` bytes that `content` yields.
    ///
    /// # Errors
    /// The content is longer or shorter than `size`, cannot be read, the file cannot be in a layer, or
    /// the output fails.
    pub fn append_file<R: Read>(
        &mut self,
        path: &LayerPath,
        metadata: &Metadata,
        size: u64,
        mut content: R,
    ) -> Result<(), WriteError> {
        self.guarded(|writer| {
            writer.start_file(path, metadata, size)?;
            writer.copy(path, size, size, |_, buffer| content.read(buffer))?;
            writer.expect_end(path, size, |buffer| content.read(buffer))?;
            writer.pad(path)
        })
    }

    /// Appends a regular file of `size` bytes that is zeros but for `data`: runs of offset and length,
    /// in order. `read_at` reads them, as pread(2) does: file offset, buffer, bytes read.
    ///
    /// The tar has the file in full, since not every reader knows sparse entries; the zeros go to
    /// [`LayerSink::write_zeros`], which can make holes of them.
    ///
    /// # Errors
    /// As [`LayerWriter::append_file`]; also where `data` is out of order or goes beyond `size`.
    pub fn append_sparse_file(
        &mut self,
        path: &LayerPath,
        metadata: &Metadata,
        size: u64,
        data: &[(u64, u64)],
        mut read_at: impl FnMut(u64, &mut [u8]) -> io::Result<usize>,
    ) -> Result<(), WriteError> {
        check_runs(path, size, data)?;
        self.guarded(|writer| {
            writer.start_file(path, metadata, size)?;
            let mut reached = 0;
            for &(offset, length) in data {
                writer.zeros(path, offset - reached)?;
                let from = |done, buffer: &mut [u8]| read_at(offset + done, buffer);
                writer.copy(path, length, size, from)?;
                reached = offset + length;
            }
            writer.zeros(path, size - reached)?;
            writer.pad(path)
        })
    }

    /// Ends the tar with its two zero blocks. Gives back the output, flushed of all that this writer
    /// held, and the layer's changeset.
    ///
    /// # Errors
    /// The output fails, or an entry failed before.
    pub fn finish(mut self) -> Result<(W, Changeset), WriteError> {
        if self.failed {
            return Err(WriteError::Failed);
        }
        let mut write = |bytes: &[u8]| self.out.write_all(bytes).map_err(WriteError::Finish);
        write(&self.buffer[..self.filled])?;
        write(&[0; 2 * BLOCK as usize])?;
        Ok((self.out, self.changeset))
    }

    fn guarded(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        if self.failed {
            return Err(WriteError::Failed);
        }
        let result = write(self);
        self.failed = result.is_err();
        result
    }

    fn start_file(
        &mut self,
        path: &LayerPath,
        metadata: &Metadata,
        size: u64,
    ) -> Result<(), WriteError> {
        // The offset is known once the header is written.
        self.start(path, metadata, EntryKind::File(FileContent::plain(size, 0)), size)
    }

    /// Writes the header and remembers the entry.
    fn start(
        &mut self,
        path: &LayerPath,
        metadata: &Metadata,
        kind: EntryKind,
        size: u64,
    ) -> Result<(), WriteError> {
        let mut entry = Entry { path: path.clone(), kind, metadata: self.layer_metadata(metadata) };
        if matches!(entry.kind, EntryKind::Whiteout | EntryKind::Opaque) {
            entry.metadata = Metadata::default();
        }
        limits::check(&entry).map_err(|source| WriteError::Limit { path: path.clone(), source })?;
        if path.components().any(|name| name.starts_with(b".wh.")) {
            return Err(WriteError::Reserved { path: path.clone() });
        }
        let header = header::encode(&entry, size);
        self.put(path, &header)?;
        if let EntryKind::File(FileContent { extents, .. }) = &mut entry.kind {
            extents.iter_mut().for_each(|Extent { tar_offset, .. }| *tar_offset = self.position);
        }
        self.changeset.push(entry);
        Ok(())
    }

    fn layer_metadata(&self, metadata: &Metadata) -> Metadata {
        let mut metadata = metadata.clone();
        metadata.xattrs.retain(|name, _| !crate::entry::is_overlay_private(name));
        if let Some(max) = self.max_mtime {
            metadata.mtime = metadata.mtime.min(max);
        }
        metadata
    }

    fn put(&mut self, path: &LayerPath, mut bytes: &[u8]) -> Result<(), WriteError> {
        self.position += bytes.len() as u64;
        while !bytes.is_empty() {
            if self.filled == self.buffer.len() {
                self.flush(path)?;
            }
            let room = &mut self.buffer[self.filled..];
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = later;
        }
        Ok(())
    }

    fn flush(&mut self, path: &LayerPath) -> Result<(), WriteError> {
        let written = self.out.write_all(&self.buffer[..self.filled]);
        self.filled = 0;
        written.map_err(|source| WriteError::Write { path: path.clone(), source })
    }

    /// Copies `length` bytes through the buffer; `read` gets how many it has given so far.
    fn copy(
        &mut self,
        path: &LayerPath,
        length: u64,
        size: u64,
        mut read: impl FnMut(u64, &mut [u8]) -> io::Result<usize>,
    ) -> Result<(), WriteError> {
        let mut done = 0;
        while done < length {
            if self.filled == self.buffer.len() {
                self.flush(path)?;
            }
            let room = &mut self.buffer[self.filled..];
            let want =
                usize::try_from(length - done).map_or(room.len(), |left| left.min(room.len()));
            let count = retry(|| read(done, &mut room[..want]))
                .map_err(|source| WriteError::Content { path: path.clone(), source })?;
            if count == 0 {
                return Err(WriteError::ContentSize { path: path.clone(), size, what: "shorter" });
            }
            self.filled += count;
            self.position += count as u64;
            done += count as u64;
        }
        Ok(())
    }

    fn expect_end(
        &mut self,
        path: &LayerPath,
        size: u64,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> Result<(), WriteError> {
        match retry(|| read(&mut [0])) {
            Ok(0) => Ok(()),
            Ok(_) => Err(WriteError::ContentSize { path: path.clone(), size, what: "longer" }),
            Err(source) => Err(WriteError::Content { path: path.clone(), source }),
        }
    }

    fn zeros(&mut self, path: &LayerPath, count: u64) -> Result<(), WriteError> {
        if count < MIN_HOLE {
            return self.put(path, &[0; MIN_HOLE as usize][..count as usize]);
        }
        self.flush(path)?;
        self.position += count;
        let written = self.out.write_zeros(count);
        written.map_err(|source| WriteError::Write { path: path.clone(), source })
    }

    fn pad(&mut self, path: &LayerPath) -> Result<(), WriteError> {
        let padding = self.position.next_multiple_of(BLOCK) - self.position;
        self.zeros(path, padding)
    }
}

fn check_runs(path: &LayerPath, size: u64, data: &[(u64, u64)]) -> Result<(), WriteError> {
    let mut reached = 0;
    for &(offset, length) in data {
        match offset.checked_add(length) {
            Some(end) if offset >= reached && end <= size => reached = end,
            _ => {
                let source = LimitError::Extents;
                return Err(WriteError::Limit { path: path.clone(), source });
            }
        }
    }
    Ok(())
}

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => return result,
        }
    }
}
