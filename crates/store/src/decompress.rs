//! Compressed streams, read.
//!
//! gzip goes through zlib-rs directly. flate2 1.1 would take the C zlib instead, at half the speed, as soon as
//! any crate of the program asks for that one, and ocidir 0.8 does.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use image::media_type::Compression;
use zlib_rs::{Inflate, InflateFlush, Status};

/// zlib's way to say: a window of 2^15 bytes, with gzip's header and trailer around the stream.
const GZIP: u8 = 16 + 15;

/// The stream behind one that may be compressed, told by its first bytes: all members of gzip, all frames of
/// zstd, anything else as it is. Of the input `piece` bytes are read at a time.
///
/// # Errors
/// The input cannot be read. What is wrong with the compressed stream is told when it is read.
pub fn decompressed<'a>(mut input: impl Read + 'a, piece: usize) -> io::Result<Box<dyn Read + 'a>> {
    let mut start = [0; 4];
    let known = fill(&mut input, &mut start)?;
    let compression = Compression::of_magic(&start[..known]);
    let start = io::Cursor::new(start).take(known as u64);
    let input = BufReader::with_capacity(piece, start.chain(input));
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(Gunzip::new(input)),
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
    })
}

/// Reads until the buffer is full or the input ends.
pub(crate) fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The stream behind a gzip stream, all its members (RFC 1952); every member's length and checksum are checked.
pub struct Gunzip<R> {
    input: R,
    /// Of the member that is being read; none after one, where the stream may end.
    member: Option<Inflate>,
}

impl<R: BufRead> Gunzip<R> {
    /// Reads what is behind `input`, which must hold nothing but the gzip stream.
    pub fn new(input: R) -> Self {
        Self { input, member: Some(begin()) }
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let input = self.input.fill_buf()?;
            let at_end = input.is_empty();
            if at_end && self.member.is_none() {
                return Ok(0);
            }
            let member = self.member.get_or_insert_with(begin);
            let (read, made) = (member.total_in(), member.total_out());
            let status = member.decompress(input, buffer, InflateFlush::NoFlush);
            // Neither is more than the two buffers have.
            let (read, made) =
                ((member.total_in() - read) as usize, (member.total_out() - made) as usize);
            let status = status.map_err(|_| malformed(member.error_message()))?;
            self.input.consume(read);
            match status {
                Status::StreamEnd => self.member = None,
                _ if made > 0 => {}
                _ if at_end => return Err(cut_off()),
                _ if read == 0 => return Err(malformed(None)),
                _ => {}
            }
            if made > 0 {
                return Ok(made);
            }
        }
    }
}

fn begin() -> Inflate {
    Inflate::new(true, GZIP)
}

fn malformed(why: Option<&str>) -> io::Error {
    let why = why.unwrap_or("it makes no progress");
    io::Error::new(ErrorKind::InvalidData, format!("the gzip stream is malformed: {why}"))
}

fn cut_off() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "the gzip stream is cut off")
}

impl<R> std::fmt::Debug for Gunzip<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gunzip").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, GzBuilder};
    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let header = GzBuilder::new().filename("name").comment("comment").extra("extra").mtime(7);
        let mut writer = header.write(Vec::new(), Compression::default());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    /// Through buffers of such sizes.
    fn gunzip(stream: &[u8], input: usize, output: usize) -> io::Result<Vec<u8>> {
        let mut reader = Gunzip::new(BufReader::with_capacity(input, stream));
        let (mut all, mut piece) = (Vec::new(), vec![0; output]);
        loop {
            match reader.read(&mut piece)? {
                0 => return Ok(all),
                count => all.extend_from_slice(&piece[..count]),
            }
        }
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            members in prop::collection::vec(prop::collection::vec(0u8..4, 0..2000), 1..4),
            input in 1usize..300,
            output in 1usize..300,
        ) {
            let stream: Vec<u8> = members.iter().flat_map(|it| gzip(it)).collect();
            prop_assert_eq!(gunzip(&stream, input, output).unwrap(), members.concat());
        }

        #[test]
        fn what_is_changed_is_noticed_or_has_the_same_bytes(at in 0usize..400, bit in 0u8..8) {
            let bytes: Vec<u8> = (0..1500u32).map(|it| ((it * it) >> 5) as u8).collect();
            let mut stream = gzip(&bytes);
            let at = at % stream.len();
            stream[at] ^= 1 << bit;
            if let Ok(back) = gunzip(&stream, 64, 64) {
                prop_assert!(back == bytes, "a changed stream passed with other bytes");
            }
        }
    }

    #[test]
    fn what_is_cut_off_is_noticed() {
        let stream = [gzip(b"one"), gzip(b"two")].concat();
        let first = gzip(b"one").len();
        for end in (0..stream.len()).filter(|end| *end != first) {
            let error = gunzip(&stream[..end], 16, 16).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "cut off at {end}: {error}");
        }
        assert_eq!(gunzip(&stream[..first], 16, 16).unwrap(), b"one");
    }

    #[test]
    fn what_follows_must_be_a_member() {
        for rest in [&b"garbage"[..], b"\0\0\0\0", b"\x1f\x8b\x07\0\0\0\0\0\0\0"] {
            let error = gunzip(&[&gzip(b"one")[..], rest].concat(), 64, 64).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
            assert!(error.to_string().starts_with("the gzip stream is malformed: "), "{error}");
        }
    }

    #[test]
    fn other_streams_are_told_by_their_start() {
        let zstd = zstd::encode_all(&b"text"[..], 3).unwrap();
        for (stream, want) in [
            (gzip(b"text"), &b"text"[..]),
            (zstd, b"text"),
            (b"text".to_vec(), b"text"),
            (Vec::new(), b""),
        ] {
            // As from a pipe, into which a byte is written at a time.
            let slow = BufReader::with_capacity(1, &stream[..]);
            let mut back = Vec::new();
            decompressed(slow, 64).unwrap().read_to_end(&mut back).unwrap();
            assert_eq!(back, want);
        }
    }
}
