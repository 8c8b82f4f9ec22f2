//! The bytes of files, from the tars that have them.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;

use tree::{FileContent, LayerPath, NodeKind, Tree};

use crate::{Error, LayerFiles, Layers};

/// How much is read at once, in bytes.
const PIECE: usize = 128 << 10;

/// What is shorter is read with its neighbours, in bytes.
const SMALL: usize = 32 << 10;

/// What lies so many bytes from the window at most is its neighbour.
const NEAR: u64 = 1 << 20;

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
        let (mut reader, mut buffer) = (Reader::new(self), vec![0; piece(content)]);
        let mut at = 0;
        loop {
            let length = reader.read(*layer, content, at, &mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            out.write_all(&buffer[..length]).map_err(Error::Write)?;
            at += length as u64;
        }
    }
}

/// Compares files of one image with files of another.
#[derive(Debug)]
pub(crate) struct Pair<'a> {
    old: Reader<'a>,
    new: Reader<'a>,
    left: Vec<u8>,
    right: Vec<u8>,
}

impl<'a> Pair<'a> {
    pub(crate) fn new(old: &'a Layers, new: &'a Layers) -> Self {
        let (old, new) = (Reader::new(old), Reader::new(new));
        Self { old, new, left: Vec::new(), right: Vec::new() }
    }

    /// Whether two files, each given with its layer, have the same bytes.
    pub(crate) fn same(
        &mut self,
        (old_layer, old): (u32, &FileContent),
        (new_layer, new): (u32, &FileContent),
    ) -> Result<bool, Error> {
        if old.size != new.size {
            return Ok(false);
        }
        let piece = piece(old);
        for side in [&mut self.left, &mut self.right] {
            side.resize(side.len().max(piece), 0);
        }
        let mut at = 0;
        loop {
            let length = self.old.read(old_layer, old, at, &mut self.left[..piece])?;
            self.new.read(new_layer, new, at, &mut self.right[..length])?;
            if self.left[..length] != self.right[..length] {
                return Ok(false);
            }
            if length == 0 {
                return Ok(true);
            }
            at += length as u64;
        }
    }
}

/// How much of a file is read at once, in bytes.
fn piece(content: &FileContent) -> usize {
    usize::try_from(content.size).map_or(PIECE, |size| size.clamp(1, PIECE))
}

/// Reads files of an image.
#[derive(Debug)]
struct Reader<'a> {
    layers: &'a Layers,
    /// Of each layer's tar what was read last.
    windows: Vec<Window>,
}

/// A part of a tar in memory: small files of one directory are neighbours there.
#[derive(Debug, Clone, Default)]
struct Window {
    /// Where it starts in the tar.
    start: u64,
    /// What is there.
    bytes: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn new(layers: &'a Layers) -> Self {
        Self { layers, windows: vec![Window::default(); layers.all().len()] }
    }

    /// Fills the buffer with what a file has from `at` on, as far as it goes; 0 at its end.
    fn read(
        &mut self,
        layer: u32,
        content: &FileContent,
        at: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Error> {
        let left = content.size - at;
        let length = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        content.read_at(at, &mut buffer[..length], |piece, from| self.fill(layer, piece, from))?;
        Ok(length)
    }

    /// Fills the buffer with what a layer's tar has at `offset`.
    fn fill(&mut self, layer: u32, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        let files = &self.layers.all()[layer as usize];
        let tar = files.open()?;
        let read = match buffer.len() < SMALL {
            true => self.windows[layer as usize].fill(tar, buffer, offset),
            false => tar.read_exact_at(buffer, offset),
        };
        read.map_err(|error| files.unreadable(error))
    }
}

impl Window {
    /// Fills the buffer from here; moves to where that can be.
    fn fill(&mut self, tar: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.saturating_add(buffer.len() as u64);
        if offset < self.start || end > self.start.saturating_add(self.bytes.len() as u64) {
            // Of a directory the next files are wanted, too, though not in the order of the tar.
            let is_near = self.start.abs_diff(offset) < NEAR;
            self.start = offset;
            self.bytes.resize(if is_near { PIECE } else { buffer.len() }, 0);
            let count = tar.read_at(&mut self.bytes, offset)?;
            self.bytes.truncate(count);
        }
        let from = (offset - self.start) as usize;
        let bytes = self.bytes.get(from..from + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
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
