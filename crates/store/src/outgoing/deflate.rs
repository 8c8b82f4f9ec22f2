//! Deflate (RFC 1951) of a piece that more pieces follow.
//!
//! libdeflate is twice as fast as zlib at the same size, but it always ends a stream: the last block says that
//! it is the last. So the blocks are walked, that word is taken back, and an empty stored block brings the end
//! to a byte's boundary, as zlib's `Z_SYNC_FLUSH` does.

use std::io;

use libdeflater::{CompressionLvl, Compressor};

/// How long a code may be, in bits.
const MAX_CODE: usize = 15;
/// The symbol that ends a block; those above are lengths.
const END: usize = 256;
/// In which order the lengths of the codes for lengths stand.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// Bits that follow the code for a length: symbols 257 to 285.
const LENGTH_BITS: [u8; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
/// What an empty stored block has after its head: its length, and that inverted.
const EMPTY: [u8; 4] = [0, 0, 0xff, 0xff];

/// Compresses pieces, each by itself.
pub(super) struct Deflate {
    compressor: Compressor,
    /// Where it writes, which it wants to be as large as the piece.
    room: Vec<u8>,
    literals: Codes,
    distances: Codes,
}

impl Deflate {
    /// For a level from 0 to 9.
    pub(super) fn new(level: u8) -> Self {
        let level = CompressionLvl::new(level.into()).unwrap_or_default();
        let compressor = Compressor::new(level);
        let (literals, distances) = Default::default();
        Self { compressor, room: Vec::new(), literals, distances }
    }

    /// Blocks that end at a byte's boundary, none of them the last.
    pub(super) fn piece(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        self.room.resize(self.compressor.deflate_compress_bound(piece.len()), 0);
        let size = self.compressor.deflate_compress(piece, &mut self.room);
        let mut bytes = self.room[..size.map_err(io::Error::other)?].to_vec();
        let (last, end) = self
            .last_block(&bytes)
            .ok_or_else(|| io::Error::other("libdeflate made no deflate"))?;
        bytes[last / 8] &= !(1 << (last % 8));
        // The head of the empty block is three zeros; what follows them up to the boundary is zero, too.
        bytes.resize((end + 3).div_ceil(8), 0);
        bytes.extend(EMPTY);
        Ok(bytes)
    }

    /// Where the last block begins, and where it ends, in bits.
    fn last_block(&mut self, bytes: &[u8]) -> Option<(usize, usize)> {
        let mut bits = Bits { bytes, at: 0 };
        loop {
            let start = bits.at;
            let is_last = bits.take(1)? == 1;
            match bits.take(2)? {
                0 => bits.pass_stored()?,
                1 => {
                    self.fixed()?;
                    self.pass_symbols(&mut bits)?;
                }
                2 => {
                    self.dynamic(&mut bits)?;
                    self.pass_symbols(&mut bits)?;
                }
                _ => return None,
            }
            if is_last {
                return Some((start, bits.at));
            }
        }
    }

    /// RFC 1951, section 3.2.6.
    fn fixed(&mut self) -> Option<()> {
        let mut lengths = [8; 288];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        self.literals.set(&lengths)?;
        self.distances.set(&[5; 32])
    }

    /// RFC 1951, section 3.2.7.
    fn dynamic(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let (literals, distances) = (bits.take(5)? + 257, bits.take(5)? + 1);
        let count = bits.take(4)? + 4;
        let mut of_lengths = [0; 19];
        for place in ORDER.iter().take(count) {
            of_lengths[*place] = bits.take(3)? as u8;
        }
        // The table of distances is not needed yet.
        self.distances.set(&of_lengths)?;
        let mut lengths = Vec::with_capacity(literals + distances);
        while lengths.len() < literals + distances {
            let (value, times) = match self.distances.next(bits)? {
                16 => (*lengths.last()?, bits.take(2)? + 3),
                17 => (0, bits.take(3)? + 3),
                18 => (0, bits.take(7)? + 11),
                length => (length as u8, 1),
            };
            lengths.resize(lengths.len() + times, value);
        }
        self.literals.set(lengths.get(..literals)?)?;
        self.distances.set(lengths.get(literals..literals + distances)?)
    }

    fn pass_symbols(&self, bits: &mut Bits<'_>) -> Option<()> {
        loop {
            let symbol = self.literals.next(bits)?;
            if symbol == END {
                return Some(());
            }
            if let Some(length) = symbol.checked_sub(END + 1) {
                bits.pass(usize::from(*LENGTH_BITS.get(length)?));
                let distance = self.distances.next(bits)?;
                bits.pass((distance / 2).saturating_sub(1));
            }
        }
    }
}

/// Huffman codes: each sequence of bits that may come, with the symbol that it begins with.
#[derive(Default)]
struct Codes {
    /// The symbol, and in the lowest four bits the length of its code.
    table: Vec<u16>,
    mask: u64,
}

impl Codes {
    /// Codes from their lengths (RFC 1951, section 3.2.2).
    fn set(&mut self, lengths: &[u8]) -> Option<()> {
        let mut counts = [0_u16; MAX_CODE + 1];
        for length in lengths {
            *counts.get_mut(usize::from(*length))? += 1;
        }
        counts[0] = 0;
        let longest = counts.iter().rposition(|count| *count > 0).unwrap_or(1);
        let mut next = [0_u16; MAX_CODE + 2];
        for length in 1..=MAX_CODE {
            next[length + 1] = (next[length] + counts[length]) << 1;
        }
        self.table.clear();
        self.table.resize(1 << longest, 0);
        self.mask = (1 << longest) - 1;
        for (symbol, length) in (0..).zip(lengths).filter(|(_, length)| **length > 0) {
            let code = &mut next[usize::from(*length)];
            // They are written with their first bit lowest.
            let first = code.reverse_bits() >> (16 - length);
            *code += 1;
            let places = self.table.iter_mut().skip(first.into()).step_by(1 << length);
            places.for_each(|place| *place = symbol << 4 | u16::from(*length));
        }
        Some(())
    }

    fn next(&self, bits: &mut Bits<'_>) -> Option<usize> {
        let entry = self.table[(bits.ahead() & self.mask) as usize];
        bits.pass(usize::from(entry & 15));
        // No code is so short, and none goes on after the end.
        (entry & 15 > 0 && bits.at <= bits.bytes.len() * 8).then_some(usize::from(entry >> 4))
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next 57 bits or more; zeros after the end.
    fn ahead(&self) -> u64 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let word = rest.first_chunk().copied().unwrap_or_else(|| {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            word
        });
        u64::from_le_bytes(word) >> (self.at % 8)
    }

    fn take(&mut self, count: usize) -> Option<usize> {
        let taken = self.ahead() & ((1 << count) - 1);
        self.pass(count);
        (self.at <= self.bytes.len() * 8).then_some(taken as usize)
    }

    fn pass(&mut self, count: usize) {
        self.at += count;
    }

    fn pass_stored(&mut self) -> Option<()> {
        self.at = self.at.next_multiple_of(8);
        let length = self.take(16)?;
        self.take(16)?;
        self.pass(length * 8);
        (self.at <= self.bytes.len() * 8).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// Words, runs, noise and single bytes, so that all kinds of blocks come.
    fn samples() -> Vec<Vec<u8>> {
        let mut state = 1_u32;
        let mut noise = |_: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let random: Vec<u8> = (0..300_000).map(&mut noise).collect();
        let words: Vec<u8> = (0..700_000).map(|at| b"all work and no play "[at % 21]).collect();
        let few: Vec<u8> = (0..500_000).map(|at| noise(at) & 3).collect();
        let mixed = [&words[..99_999], &random, &few, &[7; 400_000]].concat();
        vec![vec![], vec![1], b"abc".to_vec(), random, words, few, vec![0; 1 << 20], mixed]
    }

    #[test]
    fn pieces_can_be_put_together_and_none_is_the_last() {
        for level in 0..=9 {
            let mut deflate = Deflate::new(level);
            let mut stream = Vec::new();
            for sample in samples() {
                let piece = deflate.piece(&sample).unwrap();
                assert!(piece.ends_with(&EMPTY), "level {level}");
                stream.extend(piece);
            }
            // Without a last block it is not the end.
            let mut back = Vec::new();
            flate2::read::DeflateDecoder::new(&stream[..]).read_to_end(&mut back).unwrap_err();
            stream.extend([3, 0]);
            back.clear();
            flate2::read::DeflateDecoder::new(&stream[..]).read_to_end(&mut back).unwrap();
            assert!(back == samples().concat(), "level {level}");
        }
    }

    #[test]
    fn what_is_no_deflate_is_told() {
        let mut deflate = Deflate::new(6);
        for bytes in [&[][..], &[7], &[0b110, 9], &[4, 0x80, 0x49, 0x92], &[1, 9, 0, 0xf6, 0xff]] {
            assert_eq!(deflate.last_block(bytes), None, "{bytes:?}");
        }
        assert_eq!(deflate.last_block(&[3, 0]), Some((0, 10)));
        assert_eq!(deflate.last_block(&[1, 0, 0, 0xff, 0xff]), Some((0, 40)));
    }
}
