//! Room for the next bytes of a stream.

use super::direct::UNIT;

/// Size of a full buffer in bytes.
pub(crate) const BUFFER: usize = 512 << 10;
/// What most blobs need: a configuration, a manifest.
const SMALL: usize = 4 << 10;

/// Bytes, and room for more: none, [`SMALL`], or [`BUFFER`]. They stand at the beginning of a page.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    room: Vec<u8>,
    /// Where the page begins.
    start: usize,
    filled: usize,
}

impl Buffer {
    /// A part of the room that is left, which has at least one byte: larger where more is expected.
    pub(crate) fn room(&mut self, expected: usize) -> &mut [u8] {
        if self.start + self.filled >= self.room.len() {
            let size = if self.filled + expected <= SMALL { SMALL } else { BUFFER };
            // Zeros that the kernel makes when they are touched.
            let mut room = vec![0; size + UNIT];
            let start = room.as_ptr().align_offset(UNIT).min(UNIT);
            room.truncate(start + size);
            room[start..][..self.filled].copy_from_slice(self.bytes());
            (self.room, self.start) = (room, start);
        }
        &mut self.room[self.start + self.filled..]
    }

    /// Counts bytes that were put where the room began.
    pub(crate) fn add(&mut self, count: usize) {
        self.filled += count;
        assert!(self.start + self.filled <= self.room.len(), "more was put there than fits");
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.room[self.start..][..self.filled]
    }

    pub(crate) fn is_full(&self) -> bool {
        self.filled >= BUFFER
    }

    pub(crate) fn clear(&mut self) {
        self.filled = 0;
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self { filled: bytes.len(), start: 0, room: bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_once_and_keeps_what_it_has() {
        let mut buffer = Buffer::default();
        assert_eq!(buffer.room(10).len(), SMALL);
        buffer.room(10)[..3].copy_from_slice(b"abc");
        buffer.add(3);
        assert_eq!(buffer.room(1 << 30).len(), SMALL - 3);
        buffer.add(SMALL - 3);
        assert_eq!((buffer.is_full(), buffer.room(1).len()), (false, BUFFER - SMALL));
        assert_eq!(&buffer.bytes()[..3], b"abc");
        buffer.add(BUFFER - SMALL);
        assert!(buffer.is_full());
        buffer.clear();
        assert_eq!((buffer.room(1).len(), buffer.bytes().len()), (BUFFER, 0));
    }
}
