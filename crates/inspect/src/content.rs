//! The bytes of files, from the tars that have them.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::sync::PoisonError;

use tree::{FileContent, LayerPath, NodeKind, Tree};

use crate::layers::{LayerFiles, Window};
use crate::{Error, Layers};

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
        let mut bytes = Bytes::of(self, *layer, content)?;
        let mut buffer = vec![0; bytes.piece()];
        loop {
            match bytes.read(&mut buffer)? {
                0 => return Ok(()),
                length => out.write_all(&buffer[..length]).map_err(Error::Write)?,
            }
        }
    }
}

/// What files are compared in.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    left: Vec<u8>,
    right: Vec<u8>,
}

impl Scratch {
    /// Whether two files have the same bytes.
    pub(crate) fn same(&mut self, mut a: Bytes<'_>, mut b: Bytes<'_>) -> Result<bool, Error> {
        if a.content.size != b.content.size {
            return Ok(false);
        }
        let piece = a.piece();
        for side in [&mut self.left, &mut self.right] {
            side.resize(side.len().max(piece), 0);
        }
        loop {
            let (left, right) = (&mut self.left[..piece], &mut self.right[..piece]);
            let length = a.read(left)?;
            b.read(&mut right[..length])?;
            if left[..length] != right[..length] {
                return Ok(false);
            }
            if length == 0 {
                return Ok(true);
            }
        }
    }
}

/// A file that is read from its start.
pub(crate) struct Bytes<'a> {
    layer: &'a LayerFiles,
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
        layer.open()?;
        Ok(Self { layer, content, at: 0 })
    }

    /// How large a buffer has to be.
    fn piece(&self) -> usize {
        usize::try_from(self.content.size).map_or(PIECE, |size| size.clamp(1, PIECE))
    }

    /// Fills the buffer as far as the file goes; 0 at its end.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let left = self.content.size - self.at;
        let length = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = |piece: &mut [u8], from| self.layer.read_at(piece, from);
        self.content.read_at(self.at, &mut buffer[..length], read)?;
        self.at += length as u64;
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

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        let file = self.open()?;
        let read = match buffer.len() < SMALL {
            true => self.read_near(file, buffer, offset),
            false => file.read_exact_at(buffer, offset),
        };
        read.map_err(|error| self.unreadable(error))
    }

    /// Reads from the window; moves it where it has to.
    fn read_near(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let covered = |window: &Window| {
            let start = usize::try_from(offset.checked_sub(window.start)?).ok()?;
            window.bytes.get(start..start.checked_add(buffer.len())?).map(|_| start)
        };
        let start = match covered(&window) {
            Some(start) => start,
            None => {
                // Files of a directory lie near each other, but seldom in the order of their names.
                let is_near = window.start.abs_diff(offset) < NEAR;
                window.start = offset;
                window.bytes.resize(if is_near { PIECE } else { buffer.len() }, 0);
                let count = file.read_at(&mut window.bytes, offset)?;
                window.bytes.truncate(count);
                0
            }
        };
        match window.bytes.get(start..start + buffer.len()) {
            Some(bytes) => buffer.copy_from_slice(bytes),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
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
