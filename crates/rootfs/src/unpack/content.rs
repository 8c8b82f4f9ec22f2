//! File contents out of layer tars.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::copy_file_range;
use rustix::io::Errno;
use tree::{Extent, FileContent, LayerPath};

use super::below;
use crate::{Error, LayerTar};

/// Up to this size a read and a write are faster than the kernel's own copying.
const SMALL: u64 = 128 << 10;

/// The open tars of a tree's layers.
pub(super) struct Tars<'a> {
    layers: &'a [LayerTar],
    files: Vec<File>,
    buffer: Vec<u8>,
}

impl<'a> Tars<'a> {
    pub(super) fn open(layers: &'a [LayerTar]) -> Result<Self, Error> {
        let open = |tar: &LayerTar| File::open(&tar.path).map_err(Error::io("open", &tar.path));
        let files = layers.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self { layers, files, buffer: vec![0; SMALL as usize] })
    }

    /// Writes a file's content, with holes where it has none, to a new, empty file.
    pub(super) fn copy(
        &mut self,
        layer: u32,
        content: &FileContent,
        to: &File,
        path: &LayerPath,
        target: &Path,
    ) -> Result<(), Error> {
        let index = layer as usize;
        let (Some(from), Some(tar)) = (self.files.get(index), self.layers.get(index)) else {
            return Err(Error::MissingLayer(layer));
        };
        let is_failure = |error: &io::Error| error.kind() != io::ErrorKind::UnexpectedEof;
        for extent in &content.extents {
            copy_extent(from, extent, to, &mut self.buffer).map_err(|error| {
                match is_failure(&error) {
                    true => Error::io("write", &below(target, path))(error),
                    false => Error::ShortTar { tar: tar.path.clone(), path: path.clone() },
                }
            })?;
        }
        let end = content.extents.last().map_or(0, |extent| extent.file_offset + extent.length);
        if end < content.size {
            to.set_len(content.size).map_err(Error::io("write", &below(target, path)))?;
        }
        Ok(())
    }
}

fn copy_extent(from: &File, extent: &Extent, to: &File, buffer: &mut [u8]) -> io::Result<()> {
    let Extent { mut file_offset, mut tar_offset, mut length } = *extent;
    while length > SMALL {
        let (mut input, mut output) = (tar_offset, file_offset);
        let chunk = usize::try_from(length).unwrap_or(usize::MAX);
        match copy_file_range(from, Some(&mut input), to, Some(&mut output), chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(copied) => {
                let copied = copied as u64;
                (file_offset, tar_offset) = (file_offset + copied, tar_offset + copied);
                length -= copied;
            }
            // File systems that do not copy among themselves: read and write.
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                from.read_exact_at(buffer, tar_offset)?;
                to.write_all_at(buffer, file_offset)?;
                let copied = buffer.len() as u64;
                (file_offset, tar_offset) = (file_offset + copied, tar_offset + copied);
                length -= copied;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let rest = &mut buffer[..length as usize];
    from.read_exact_at(rest, tar_offset)?;
    to.write_all_at(rest, file_offset)
}
