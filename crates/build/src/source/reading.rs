//! The bytes of one file, from wherever they are.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, StatxFlags, statx};
use sha2::{Digest as _, Sha256};
use tree::FileContent;

use super::hashes::Identity;
use crate::Error;

/// A file that is being read. Reads from a tar use positions, so readers may share a descriptor.
pub(crate) struct Reading {
    from: From,
    /// What to call it in an error.
    name: PathBuf,
}

enum From {
    Disk { file: File, identity: Identity, clock: i128 },
    Tar { tar: Arc<File>, content: FileContent, at: u64 },
    Text { text: Arc<str>, at: usize },
    Blob(File),
}

impl Reading {
    pub(super) fn disk(file: File, name: PathBuf, identity: Identity, clock: i128) -> Self {
        Self { from: From::Disk { file, identity, clock }, name }
    }

    pub(super) fn tar(tar: Arc<File>, name: PathBuf, content: FileContent) -> Self {
        Self { from: From::Tar { tar, content, at: 0 }, name }
    }

    pub(super) fn blob(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
        Ok(Self { from: From::Blob(file), name: path.to_owned() })
    }

    pub(super) fn text(text: Arc<str>) -> Self {
        Self { from: From::Text { text, at: 0 }, name: "<heredoc>".into() }
    }

    /// What to call it in an error.
    pub(crate) fn name(&self) -> &std::path::Path {
        &self.name
    }

    /// The identity of a file on disk, with the clock from before it was opened, where the file has
    /// not changed since the walk.
    pub(super) fn unchanged(&self) -> Option<(Identity, i128)> {
        let From::Disk { file, identity, clock } = &self.from else { return None };
        let stat = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).ok()?;
        (Identity::of(&stat) == *identity).then_some((*identity, *clock))
    }
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.from {
            From::Disk { file, .. } | From::Blob(file) => file.read(buffer),
            From::Tar { tar, content, at } => {
                let left = usize::try_from(content.size - *at).unwrap_or(usize::MAX);
                let count = left.min(buffer.len());
                let read = |part: &mut [u8], from| tar.read_exact_at(part, from);
                content.read_at(*at, &mut buffer[..count], read)?;
                *at += count as u64;
                Ok(count)
            }
            From::Text { text, at } => {
                let count = (&text.as_bytes()[*at..]).read(buffer)?;
                *at += count;
                Ok(count)
            }
        }
    }
}

/// SHA-256 of all that is left to read; `None` when told to stop.
pub(crate) fn digest_of(
    reader: &mut impl Read,
    stop: &dyn Fn() -> bool,
) -> io::Result<Option<[u8; 32]>> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    while !stop() {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(Some(hasher.finalize().into())),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
