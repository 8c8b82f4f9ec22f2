//! A file's bytes into a layer, holes as holes.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, Stat, fstat, seek};
use rustix::io::Errno;
use tree::{LayerPath, LayerSink, LayerWriter, Metadata};

use super::compare::same_state;
use crate::Error;

/// Writes a file that was `before` when it was opened; it must still be.
pub(super) fn append<W: LayerSink>(
    out: &mut LayerWriter<W>,
    path: &LayerPath,
    metadata: &Metadata,
    file: &File,
    before: &Stat,
    failed: impl Fn(&'static str, Errno) -> Error,
) -> Result<(), Error> {
    let size = before.st_size as u64;
    let is_sparse = (before.st_blocks as u64).saturating_mul(512) < size;
    if is_sparse {
        let data = data_runs(file, size).map_err(|error| failed("find the holes of", error))?;
        let read_at = |offset, buffer: &mut [u8]| file.read_at(buffer, offset);
        out.append_sparse_file(path, metadata, size, &data, read_at)?;
    } else {
        out.append_file(path, metadata, size, file)?;
    }
    let after = fstat(file).map_err(|error| failed("read", error))?;
    match same_state(before, &after) {
        true => Ok(()),
        false => Err(Error::Changed(path.clone())),
    }
}

/// The runs of data, offset and length, in a file with holes: lseek(2), SEEK_DATA.
fn data_runs(file: impl AsFd, size: u64) -> Result<Vec<(u64, u64)>, Errno> {
    let file = file.as_fd();
    let mut runs = Vec::new();
    let mut position = 0;
    while position < size {
        let start = match seek(file, SeekFrom::Data(position)) {
            // No more data up to the end.
            Err(Errno::NXIO) => break,
            other => other?,
        };
        position = seek(file, SeekFrom::Hole(start))?.min(size);
        if position <= start {
            break;
        }
        runs.push((start, position - start));
    }
    Ok(runs)
}
