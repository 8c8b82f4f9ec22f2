//! Files with holes, in the four forms that GNU tar has written them (GNU tar manual, "Storing Sparse
//! Files"): the old GNU type `S`, and PAX 0.0, 0.1 and 1.0.

use std::io::Read;

use tar::{GnuExtSparseHeader, Header};

use super::blocks::{BLOCK, Blocks};
use super::pax::Records;
use super::{ReadCause, header};
use crate::{Extent, FileContent};

/// The most runs of data that one file may have.
const MAX_RUNS: usize = 1 << 20;

/// The content of a regular file whose entry has `size` bytes, passed over.
pub(super) fn content<R: Read>(
    blocks: &mut Blocks<R>,
    pax: &Records,
    size: u64,
) -> Result<FileContent, ReadCause> {
    let sparse = &pax.sparse;
    if sparse.major == Some(1) {
        return pax_1_content(blocks, size, sparse.size.ok_or(ReadCause::SparseMap)?);
    }
    if sparse.has_map {
        let real_size = sparse.size.ok_or(ReadCause::SparseMap)?;
        return place(blocks, pairs(&sparse.numbers)?, size, real_size);
    }
    let start = blocks.position();
    blocks.skip_content(size)?;
    Ok(FileContent::plain(size, start))
}

/// The old form: four runs in the header, then 21 in each of the blocks that follow it.
pub(super) fn gnu_content<R: Read>(
    blocks: &mut Blocks<R>,
    raw: &Header,
    size: u64,
) -> Result<FileContent, ReadCause> {
    let gnu = raw.as_gnu().ok_or(ReadCause::SparseMap)?;
    let real_size = header::unsigned(&gnu.realsize, "real size")?;
    let mut runs = Vec::new();
    for run in &gnu.sparse {
        push(&mut runs, &run.offset, &run.numbytes)?;
    }
    let mut more = gnu.is_extended();
    while more {
        let mut extension = GnuExtSparseHeader::new();
        *extension.as_mut_bytes() = blocks.block()?;
        for run in extension.sparse() {
            push(&mut runs, &run.offset, &run.numbytes)?;
        }
        more = extension.is_extended();
    }
    place(blocks, runs, size, real_size)
}

fn push(runs: &mut Vec<(u64, u64)>, offset: &[u8], length: &[u8]) -> Result<(), ReadCause> {
    if offset[0] == 0 || length[0] == 0 {
        return Ok(()); // An unused slot.
    }
    if runs.len() >= MAX_RUNS {
        return Err(ReadCause::SparseMap);
    }
    let number = |field| header::unsigned(field, "sparse map");
    runs.push((number(offset)?, number(length)?));
    Ok(())
}

/// The form 1.0: decimal lines before the data, padded to a block: the number of runs, then offset
/// and length of each.
fn pax_1_content<R: Read>(
    blocks: &mut Blocks<R>,
    size: u64,
    real_size: u64,
) -> Result<FileContent, ReadCause> {
    let mut lines = Lines { blocks, left: size, block: Vec::new() };
    let count = usize::try_from(lines.number()?).map_err(|_| ReadCause::SparseMap)?;
    if count > MAX_RUNS {
        return Err(ReadCause::SparseMap);
    }
    let mut runs = Vec::new();
    for _ in 0..count {
        runs.push((lines.number()?, lines.number()?));
    }
    let left = lines.left;
    place(blocks, runs, left, real_size)
}

struct Lines<'b, R> {
    blocks: &'b mut Blocks<R>,
    /// What the entry has beyond the blocks read so far.
    left: u64,
    /// The rest of the last block, reversed.
    block: Vec<u8>,
}

impl<R: Read> Lines<'_, R> {
    fn number(&mut self) -> Result<u64, ReadCause> {
        let mut number: u64 = 0;
        loop {
            let digit = match self.byte()? {
                b'\n' => return Ok(number),
                digit @ b'0'..=b'9' => digit - b'0',
                _ => return Err(ReadCause::SparseMap),
            };
            let next = number.checked_mul(10).and_then(|tens| tens.checked_add(digit.into()));
            number = next.ok_or(ReadCause::SparseMap)?;
        }
    }

    fn byte(&mut self) -> Result<u8, ReadCause> {
        if self.block.is_empty() {
            self.left = self.left.checked_sub(BLOCK).ok_or(ReadCause::SparseMap)?;
            self.block = self.blocks.block()?.to_vec();
            self.block.reverse();
        }
        self.block.pop().ok_or(ReadCause::SparseMap)
    }
}

fn pairs(numbers: &[u64]) -> Result<Vec<(u64, u64)>, ReadCause> {
    let (pairs, rest) = numbers.as_chunks();
    if !rest.is_empty() || pairs.len() > MAX_RUNS {
        return Err(ReadCause::SparseMap);
    }
    Ok(pairs.iter().map(|&[offset, length]| (offset, length)).collect())
}

/// Lays the runs one behind the other over the `size` bytes that follow, and passes over those.
fn place<R: Read>(
    blocks: &mut Blocks<R>,
    runs: Vec<(u64, u64)>,
    size: u64,
    real_size: u64,
) -> Result<FileContent, ReadCause> {
    let start = blocks.position();
    let (mut extents, mut used, mut reached) = (Vec::new(), 0_u64, 0);
    for (file_offset, length) in runs {
        let end = file_offset.checked_add(length).filter(|&end| end <= real_size);
        let end = end.ok_or(ReadCause::SparseMap)?;
        if file_offset < reached {
            return Err(ReadCause::SparseMap);
        }
        if length > 0 {
            extents.push(Extent { file_offset, tar_offset: start + used, length });
        }
        used = used.checked_add(length).filter(|&used| used <= size).ok_or(ReadCause::SparseMap)?;
        reached = end;
    }
    if used != size {
        return Err(ReadCause::SparseMap);
    }
    blocks.skip_content(size)?;
    Ok(FileContent { size: real_size, extents })
}
