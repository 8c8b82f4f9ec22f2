//! The superblock and the device table behind it.

use crate::{BLOCK, BLOCK_BITS, Error, put};

const SUPERBLOCK: usize = 1024;
const DEVICE_TABLE: usize = SUPERBLOCK + 128;
const DEVICE_SLOT: usize = 128;

const MAGIC: u32 = 0xe0f5_e1e2;

/// There is a checksum; inodes have their files' own times.
const COMPATIBLE: u32 = 0x1 | 0x2;
const CHUNKED_FILES: u32 = 0x4;
const HAS_DEVICES: u32 = 0x8;

/// What the superblock tells.
pub(crate) struct Facts<'a> {
    /// Of the whole image.
    pub(crate) blocks: u32,
    /// Where the inodes begin, in bytes.
    pub(crate) first_inode: u64,
    /// The root's inode number. The root is the first, so this is small.
    pub(crate) root: u64,
    pub(crate) inodes: u64,
    /// The sizes of the layers' tars in bytes.
    pub(crate) devices: &'a [u64],
}

/// How many bytes the superblock and the device table take, up to the next block.
pub(crate) fn size(devices: &[u64]) -> Result<u64, Error> {
    // Device ids are 16 bits wide, 0 is the index, and all ones stays unused.
    if devices.len() >= usize::from(u16::MAX) - 1 {
        return Err(Error::Devices(devices.len()));
    }
    if devices.iter().any(|size| size.div_ceil(BLOCK) > u32::MAX.into()) {
        return Err(Error::TooLarge);
    }
    Ok(((DEVICE_TABLE + devices.len() * DEVICE_SLOT) as u64).next_multiple_of(BLOCK))
}

pub(crate) fn write(image: &mut [u8], facts: &Facts<'_>) {
    let devices = facts.devices.len() as u16; // `size` has checked it.
    let incompatible = CHUNKED_FILES | if devices > 0 { HAS_DEVICES } else { 0 };
    let block = &mut image[SUPERBLOCK..];
    put(block, 0x00, MAGIC.to_le_bytes());
    put(block, 0x08, COMPATIBLE.to_le_bytes());
    block[0x0c] = BLOCK_BITS;
    put(block, 0x0e, (facts.root as u16).to_le_bytes());
    put(block, 0x10, facts.inodes.to_le_bytes());
    put(block, 0x24, facts.blocks.to_le_bytes());
    put(block, 0x28, ((facts.first_inode / BLOCK) as u32).to_le_bytes());
    put(block, 0x50, incompatible.to_le_bytes());
    put(block, 0x56, devices.to_le_bytes());
    put(block, 0x58, ((DEVICE_TABLE / DEVICE_SLOT) as u16).to_le_bytes());
    for (index, size) in facts.devices.iter().enumerate() {
        let blocks = size.div_ceil(BLOCK) as u32; // `size` has checked it.
        put(image, DEVICE_TABLE + index * DEVICE_SLOT + 64, blocks.to_le_bytes());
    }
    let checksum = crc32c(&image[SUPERBLOCK..SUPERBLOCK + BLOCK as usize]);
    put(image, SUPERBLOCK + 4, checksum.to_le_bytes());
}

/// CRC-32C as the kernel takes it: all ones at first, not inverted at the end. It covers one block
/// only, so a table would not pay.
fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn check_value() {
        // The check value of CRC-32C, which is defined with the final inversion.
        assert_eq!(!crc32c(b"123456789"), 0xe306_9283);
    }
}
