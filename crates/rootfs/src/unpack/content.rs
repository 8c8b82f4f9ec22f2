//! File contents out of layer tars.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{SeekFrom, copy_file_range, seek};
use rustix::io::Errno;
use tree::{Extent, FileContent, LayerPath};

use super::below;
use crate::{Error, LayerTar};

/// Up to this size a read and a write are faster than the kernel's own copying.
const SMALL: u64 = 128 << 10;

/// The open tars of a tree's layers.
pub(super) struct Tars<'a> {
    layers: &'a [LayerTar],
    files: Vec<Tar>,
    buffer: Vec<u8>,
}

/// An open tar, which nobody changes.
struct Tar {
    file: File,
    /// The last run without a hole that was asked for. To look for its end takes tmpfs the time to go over
    /// all pages up to there, so that is not done for each file.
    data: Range<u64>,
}

impl Tar {
    /// The next run of data in `position..end`: lseek(2), SEEK_DATA.
    fn next_data(&mut self, position: u64, end: u64) -> io::Result<Option<(u64, u64)>> {
        if !self.data.contains(&position) {
            let start = match seek(&self.file, SeekFrom::Data(position)) {
                Err(Errno::NXIO) => return Ok(None),
                other => other?,
            };
            if start >= end {
                return Ok(None);
            }
            self.data = start..seek(&self.file, SeekFrom::Hole(start))?;
        }
        let start = self.data.start.max(position);
        let stop = self.data.end.min(end);
        Ok((start < stop).then_some((start, stop)))
    }
}

impl<'a> Tars<'a> {
    pub(super) fn open(layers: &'a [LayerTar]) -> Result<Self, Error> {
        let open = |tar: &LayerTar| {
            let file = File::open(&tar.path).map_err(Error::io("open", &tar.path))?;
            Ok::<_, Error>(Tar { file, data: 0..0 })
        };
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
        let (Some(from), Some(tar)) = (self.files.get_mut(index), self.layers.get(index)) else {
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

/// Copies a run; what is a hole in the tar becomes one in the file.
fn copy_extent(from: &mut Tar, extent: &Extent, to: &File, buffer: &mut [u8]) -> io::Result<()> {
    let Extent { file_offset, tar_offset, length } = *extent;
    if length <= SMALL {
        return copy_small(&from.file, tar_offset, to, file_offset, &mut buffer[..length as usize]);
    }
    let end = tar_offset.checked_add(length).ok_or(io::ErrorKind::InvalidData)?;
    if from.file.metadata()?.len() < end {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut position = tar_offset;
    while let Some((start, stop)) = from.next_data(position, end)? {
        copy_data(&from.file, start, to, file_offset + (start - tar_offset), stop - start, buffer)?;
        position = stop;
    }
    // A hole at the end still counts.
    let reached = file_offset + length;
    if to.metadata()?.len() < reached { to.set_len(reached) } else { Ok(()) }
}

fn copy_data(
    from: &File,
    mut input: u64,
    to: &File,
    mut output: u64,
    mut length: u64,
    buffer: &mut [u8],
) -> io::Result<()> {
    while length > SMALL {
        let (mut next_input, mut next_output) = (input, output);
        let chunk = usize::try_from(length).unwrap_or(usize::MAX);
        let call = copy_file_range(from, Some(&mut next_input), to, Some(&mut next_output), chunk);
        let copied = match call {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(copied) => copied as u64,
            // File systems that do not copy among themselves: read and write.
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                copy_small(from, input, to, output, buffer)?;
                SMALL
            }
            Err(error) => return Err(error.into()),
        };
        (input, output, length) = (input + copied, output + copied, length - copied);
    }
    copy_small(from, input, to, output, &mut buffer[..length as usize])
}

fn copy_small(
    from: &File,
    input: u64,
    to: &File,
    output: u64,
    buffer: &mut [u8],
) -> io::Result<()> {
    from.read_exact_at(buffer, input)?;
    to.write_all_at(buffer, output)
}
