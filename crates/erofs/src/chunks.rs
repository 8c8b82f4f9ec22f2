//! Regular files as chunks: where in which device each equal part of the file lies.

use tree::{Extent, FileContent};

use crate::{BLOCK, BLOCK_BITS, Fault, put};

/// One chunk index: advice (unused), device, block.
const INDEX: u64 = 8;

/// The format says how many more bits than a block's a chunk has, in five bits.
const MAX_BITS: u32 = 31;

/// Says that the table has indexes and not bare block numbers.
const WITH_INDEXES: u16 = 0x20;

/// The block number of a hole.
const HOLE: u32 = u32::MAX;

/// The most chunks that one file may have: 64 MiB of table.
const MAX_CHUNKS: u64 = 8 << 20;

/// How a file is cut into chunks.
pub(crate) struct Shape {
    /// A chunk is 512 << bits bytes.
    bits: u32,
    count: u64,
}

impl Shape {
    /// What the inode says about it.
    pub(crate) fn format(&self) -> u32 {
        u32::from(WITH_INDEXES) | self.bits
    }

    pub(crate) fn table_size(&self) -> u64 {
        self.count * INDEX
    }
}

/// Where a table that comes after `end` begins.
pub(crate) fn table(end: u64) -> u64 {
    end.next_multiple_of(INDEX)
}

/// The largest chunks whose borders all runs of `content` keep to. `device` is the size of the
/// layer's tar in bytes.
pub(crate) fn shape(content: &FileContent, layer: u32, device: u64) -> Result<Shape, Fault> {
    let blocks = content.size.div_ceil(BLOCK);
    let mut bits = blocks.next_power_of_two().trailing_zeros().min(MAX_BITS);
    for run in runs(content) {
        let run_end = run.file_offset + run.length;
        if run.tar_offset % BLOCK != 0 {
            return Err(Fault::Unaligned);
        }
        // The end of the last block of a file is not seen, so a run may end there at any byte.
        let borders =
            if run_end == content.size { run.file_offset } else { run.file_offset | run_end };
        match borders.trailing_zeros().checked_sub(BLOCK_BITS.into()) {
            Some(most) => bits = bits.min(most),
            None => return Err(Fault::Unaligned),
        }
        let end = run.tar_offset.saturating_add(run.length);
        if end > device || end.div_ceil(BLOCK) > HOLE.into() {
            return Err(Fault::Outside(layer));
        }
        if end.next_multiple_of(BLOCK) > device {
            return Err(Fault::Unpadded);
        }
    }
    let count = blocks.div_ceil(1 << bits);
    if count > MAX_CHUNKS {
        return Err(Fault::TooSparse);
    }
    Ok(Shape { bits, count })
}

/// Writes the table of `content`, which has `shape`, at `at`.
pub(crate) fn write(image: &mut [u8], at: usize, shape: &Shape, content: &FileContent, layer: u32) {
    let table = &mut image[at..at + shape.table_size() as usize];
    let device = layer as u16 + 1; // The superblock has checked the number of devices.
    if content.extents.len() != 1 || content.extents[0].length != content.size {
        for index in table.chunks_exact_mut(INDEX as usize) {
            put(index, 4, HOLE.to_le_bytes());
        }
    }
    let size = BLOCK << shape.bits;
    for run in runs(content) {
        let first = run.file_offset / size;
        for chunk in 0..run.length.div_ceil(size) {
            let index = ((first + chunk) * INDEX) as usize;
            let block = ((run.tar_offset + chunk * size) / BLOCK) as u32; // `shape` has checked it.
            put(table, index + 2, device.to_le_bytes());
            put(table, index + 4, block.to_le_bytes());
        }
    }
}

/// The runs of `content`, those that continue each other in the file and in the tar taken as one.
fn runs(content: &FileContent) -> impl Iterator<Item = Extent> {
    let mut extents = content.extents.iter().copied().peekable();
    std::iter::from_fn(move || {
        let mut run = extents.next()?;
        let continues = |run: &Extent, next: &Extent| {
            run.file_offset + run.length == next.file_offset
                && run.tar_offset + run.length == next.tar_offset
        };
        while let Some(next) = extents.next_if(|next| continues(&run, next)) {
            run.length += next.length;
        }
        Some(run)
    })
}
