//! A tar from anywhere becomes a layer.

use std::io::{self, Read, Write};

use image::DiffId;
use image::manifest::Descriptor;
use tree::{Changeset, Tree};

use super::decode::decode;
use crate::{Error, Store};

/// Formats that tar files come in and that are not read here, by their first bytes.
const FOREIGN: [(&[u8], &str); 3] = [(b"\xfd7zXZ\0", "xz"), (b"BZh", "bzip2"), (b"LZIP", "lzip")];

impl Store {
    /// Stores a tar stream as a layer, uncompressed. gzip and zstd are recognized by their first
    /// bytes.
    ///
    /// # Errors
    /// The stream cannot be read or decompressed, or is no layer tar or not all of one; the disk is
    /// full. Nothing is kept then.
    pub fn import_layer<R: Read + Send>(
        &self,
        reader: R,
    ) -> Result<(Descriptor, DiffId, Changeset), Error> {
        self.import(reader, |_| Ok(()))
    }

    /// As [`Store::import_layer`], for the lowest layer of an image.
    ///
    /// # Errors
    /// As [`Store::import_layer`], and for a tar that by itself makes no root file system.
    pub fn import_root<R: Read + Send>(
        &self,
        reader: R,
    ) -> Result<(Descriptor, DiffId, Changeset), Error> {
        self.import(reader, |changeset| {
            Tree::fold([changeset]).map_err(|source| Error::Alone { source })?;
            Ok(())
        })
    }

    fn import<R: Read + Send>(
        &self,
        reader: R,
        check: impl FnOnce(&Changeset) -> Result<(), Error>,
    ) -> Result<(Descriptor, DiffId, Changeset), Error> {
        let mut input = Watched { reader, start: Vec::new(), failed: None };
        let mut writer = self.blob_writer()?;
        let decoded = decode(&mut input, &mut |chunk| writer.write_all(chunk), |tar| {
            Changeset::read_whole_tar(tar)
        });
        decoded.sink.map_err(Error::io("write", writer.path()))?;
        if let Some(source) = input.failed {
            return Err(Error::Io { verb: "read", path: "the tar stream".into(), source });
        }
        let foreign = FOREIGN.iter().find(|(magic, _)| input.start.starts_with(magic));
        if let Some((_, name)) = foreign {
            return Err(Error::Compression(name));
        }
        let layer = || "read from the stream".to_owned();
        if input.start.is_empty() {
            return Err(Error::Empty);
        }
        decoded.stream.map_err(|source| Error::Decompress { layer: layer(), source })?;
        let changeset =
            decoded.changeset.map_err(|source| Error::Tar { layer: layer(), source })?;
        check(&changeset)?;
        let (descriptor, diff_id) = self.commit_layer(writer, &changeset)?;
        Ok((descriptor, diff_id, changeset))
    }
}

/// Remembers how the stream began, and whether reading it failed: a decompressor hides both.
struct Watched<R> {
    reader: R,
    start: Vec<u8>,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(buffer) {
            Ok(count) => {
                let wanted = 6_usize.saturating_sub(self.start.len()).min(count);
                self.start.extend_from_slice(&buffer[..wanted]);
                Ok(count)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.failed = Some(io::Error::new(error.kind(), error.to_string()));
                }
                Err(error)
            }
        }
    }
}
