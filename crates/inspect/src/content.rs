//! The bytes of files, from the tars that have them.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;

use tree::{FileContent, LayerPath, NodeKind, Tree};

use crate::layers::LayerFiles;
use crate::{Error, Layers};

/// How much is read at once, in bytes.
const PIECE: usize = 128 << 10;

impl Layers {
    /// Writes the bytes of the file at `path`, which has no symbolic link in it; holes as zeros.
    ///
    /// # Errors
    /// It is no file, the layer's tar cannot be read, or the bytes cannot be written.
    pub fn copy(&self, tree: &Tree, path: &LayerPath, out: &mut impl Write) -> Result<(), Error> {
        let kind = tree.lookup(path).map(|id| &tree.node(id).kind);
        let Some(NodeKind::File { layer, content }) = kind else {
            return Err(Error::NotAFile {
                path: path.clone(),
                kind: kind.map_or("nothing", a_kind),
            });
        };
        let mut bytes = Bytes::of(self, *layer, content)?;
        let mut buffer = vec![0; PIECE];
        loop {
            match bytes.read(&mut buffer)? {
                0 => return Ok(()),
                length => out.write_all(&buffer[..length]).map_err(Error::Write)?,
            }
        }
    }
}

/// Whether two files have the same bytes.
pub(crate) fn same(a: Bytes<'_>, b: Bytes<'_>) -> Result<bool, Error> {
    let (mut a, mut b) = (a, b);
    if a.content.size != b.content.size {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let length = a.read(&mut left)?;
        b.read(&mut right[..length])?;
        if left[..length] != right[..length] {
            return Ok(false);
        }
        if length == 0 {
            return Ok(true);
        }
    }
}

/// A file that is read from its start.
pub(crate) struct Bytes<'a> {
    layer: &'a LayerFiles,
    tar: &'a File,
    content: &'a FileContent,
    at: u64,
}

impl<'a> Bytes<'a> {
    pub(crate) fn of(
        layers: &'a Layers,
        layer: u32,
        content: &'a FileContent,
    ) -> Result<Self, Error> {
        let layer = &layers.all()[layer as usize];
        Ok(Self { layer, tar: layer.open()?, content, at: 0 })
    }

    /// Fills the buffer as far as the file goes; 0 at its end.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let left = self.content.size - self.at;
        let length = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let end = self.at + length as u64;
        buffer[..length].fill(0);
        for run in &self.content.extents {
            let start = run.file_offset.max(self.at);
            let stop = (run.file_offset + run.length).min(end);
            if start < stop {
                let piece = &mut buffer[(start - self.at) as usize..(stop - self.at) as usize];
                let from = run.tar_offset + (start - run.file_offset);
                self.tar
                    .read_exact_at(piece, from)
                    .map_err(|error| self.layer.unreadable(error))?;
            }
        }
        self.at = end;
        Ok(length)
    }
}

impl LayerFiles {
    fn open(&self) -> Result<&File, Error> {
        if let Some(open) = self.file.get() {
            return Ok(open);
        }
        let file = File::open(&self.tar).map_err(|error| self.unreadable(error))?;
        Ok(self.file.get_or_init(|| file))
    }

    fn unreadable(&self, source: io::Error) -> Error {
        Error::Read { path: self.tar.clone(), source }
    }
}

fn a_kind(kind: &NodeKind) -> &'static str {
    match kind {
        NodeKind::Directory(_) => "a directory",
        NodeKind::File { .. } => "a file",
        NodeKind::Symlink(_) => "a symbolic link",
        NodeKind::CharDevice(_) | NodeKind::BlockDevice(_) => "a device",
        NodeKind::Fifo => "a named pipe",
    }
}
