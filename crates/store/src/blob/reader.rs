//! Reading a blob and checking it on the way.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use image::Digest;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, through_io};
use crate::files;

/// A reader of a blob that ends only when size and digest were right.
#[derive(Debug)]
pub struct BlobReader {
    file: File,
    hasher: Sha256,
    read: u64,
    want: Digest,
    size: u64,
    path: PathBuf,
    checked: bool,
}

impl BlobReader {
    pub(super) fn new(file: File, want: Digest, size: u64, path: PathBuf) -> Self {
        Self { file, hasher: Sha256::new(), read: 0, want, size, path, checked: false }
    }

    /// Opens a file that has these bytes.
    pub(crate) fn open(path: &Path, want: Digest, size: u64) -> Result<Self, Error> {
        let file = files::open(path).map_err(Error::io("open", path))?;
        let got = file.metadata().map_err(Error::io("read", path))?.len();
        match got == size {
            true => Ok(Self::new(file, want, size, path.to_owned())),
            false => Err(Error::Size { digest: want, want: size, got, path: path.to_owned() }),
        }
    }

    /// Reads the rest and checks the whole.
    ///
    /// # Errors
    /// The blob cannot be read or is corrupt.
    pub fn finish(mut self) -> Result<(), Error> {
        let mut buffer = vec![0; 128 << 10];
        while self.next(&mut buffer)? > 0 {}
        Ok(())
    }

    pub(super) fn read_all(mut self) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; self.size as usize];
        let mut filled = 0;
        loop {
            match self.next(&mut bytes[filled..])? {
                0 if filled == bytes.len() => break,
                0 => unreachable!("a short file fails its check"),
                count => filled += count,
            }
        }
        self.finish()?;
        Ok(bytes)
    }

    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = loop {
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(Error::io("read", &self.path))?,
            }
        };
        self.read += count as u64;
        self.hasher.update(&buffer[..count]);
        if count == 0 || self.read > self.size {
            self.check()?;
        }
        Ok(count)
    }

    fn check(&mut self) -> Result<(), Error> {
        if self.checked {
            return Ok(());
        }
        let (digest, want, got) = (self.want, self.size, self.read);
        if want != got {
            return Err(Error::Size { digest, want, got, path: self.path.clone() });
        }
        let got = Digest::from_bytes(self.hasher.finalize_reset().into());
        if got != self.want {
            return Err(Error::Corrupt { want: self.want, got, path: self.path.clone() });
        }
        self.checked = true;
        Ok(())
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.next(buffer).map_err(through_io)
    }
}
