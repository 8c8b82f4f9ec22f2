//! Compressing a stream on all cores, with the same bytes whatever their number.
//!
//! The input is cut into pieces of a fixed size, each compressed by itself and written in order:
//!
//! ```text
//! worker: take the next piece (input lock) ─▶ compress ─▶ wait for its turn ─▶ write (output lock)
//! ```
//!
//! gzip: one member, whose deflate blocks end at a byte's boundary after each piece (`deflate.rs`), so that
//! they can be put together. zstd: a frame for each piece (RFC
//! 8878, section 3.1). A worker holds one piece, so memory is bounded by the number of workers.

use std::io::{self, Read, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crc32fast::Hasher;
use image::media_type::Compression;

use super::Recipe;
use super::deflate::Deflate;

/// The size of a piece in bytes: a window's worth many times over, so that starting anew costs little.
const PIECE: usize = 512 << 10;
/// More workers than this would hold more memory than they save time.
const MAX_WORKERS: usize = 6;

/// RFC 1952, section 2.3: deflate, no name, no time, no system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// A last block with nothing in it, in the fixed code.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// Compresses `input` into `output`. `heed` hears how many bytes more of the input are done, and may
/// end the work by an error.
pub(super) fn compress<R: Read + Send, W: Write + Send>(
    input: R,
    output: W,
    recipe: Recipe,
    heed: &(dyn Fn(u64) -> io::Result<()> + Sync),
) -> io::Result<()> {
    let work = Work {
        input: Mutex::new(Input { reader: input, taken: 0, ended: false }),
        output: Mutex::new(Output::start(output, recipe)?),
        turn: Condvar::new(),
        recipe,
        heed,
    };
    let workers = thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS);
    thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(|| work.run());
        }
        work.run();
    });
    work.output.into_inner().unwrap_or_else(PoisonError::into_inner).end(recipe)
}

struct Work<'a, R, W> {
    input: Mutex<Input<R>>,
    output: Mutex<Output<W>>,
    turn: Condvar,
    recipe: Recipe,
    heed: &'a (dyn Fn(u64) -> io::Result<()> + Sync),
}

struct Input<R> {
    reader: R,
    /// How many pieces were taken.
    taken: u64,
    ended: bool,
}

struct Output<W> {
    writer: W,
    /// How many pieces were written.
    written: u64,
    /// Checksum and length of what the pieces were.
    crc: Hasher,
    length: u64,
    failed: io::Result<()>,
}

/// A compressed piece, and the checksum of what it was.
struct Pressed {
    bytes: Vec<u8>,
    crc: Hasher,
    size: u64,
}

impl<R: Read, W: Write> Work<'_, R, W> {
    fn run(&self) {
        let mut press = Press::new(self.recipe);
        let mut piece = Vec::with_capacity(PIECE);
        loop {
            let number = match self.take(&mut piece) {
                Ok(Some(number)) => number,
                Ok(None) => return,
                Err(error) => return self.fail(error),
            };
            match press.press(&piece) {
                Ok(pressed) => {
                    if !self.write(number, pressed) {
                        return;
                    }
                }
                Err(error) => return self.fail(error),
            }
        }
    }

    /// The next piece and its number; `None` at the end.
    fn take(&self, piece: &mut Vec<u8>) -> io::Result<Option<u64>> {
        let mut input = lock(&self.input);
        if input.ended {
            return Ok(None);
        }
        piece.clear();
        let read = (&mut input.reader).take(PIECE as u64).read_to_end(piece);
        input.ended = !matches!(read, Ok(PIECE));
        if read? == 0 {
            return Ok(None);
        }
        input.taken += 1;
        Ok(Some(input.taken - 1))
    }

    /// Writes a piece when it is its turn; `false` when there is no point in going on.
    fn write(&self, number: u64, pressed: Pressed) -> bool {
        let mut output = lock(&self.output);
        while output.written != number && output.failed.is_ok() {
            output = self.turn.wait(output).unwrap_or_else(PoisonError::into_inner);
        }
        if output.failed.is_ok() {
            output.failed = output.take(&pressed).and_then(|()| (self.heed)(pressed.size));
        }
        self.turn.notify_all();
        output.failed.is_ok()
    }

    fn fail(&self, error: io::Error) {
        lock(&self.input).ended = true;
        let mut output = lock(&self.output);
        if output.failed.is_ok() {
            output.failed = Err(error);
        }
        self.turn.notify_all();
    }
}

impl<W: Write> Output<W> {
    fn start(mut writer: W, recipe: Recipe) -> io::Result<Self> {
        if recipe.compression() == Compression::Gzip {
            writer.write_all(&GZIP_HEADER)?;
        }
        Ok(Self { writer, written: 0, crc: Hasher::new(), length: 0, failed: Ok(()) })
    }

    fn take(&mut self, pressed: &Pressed) -> io::Result<()> {
        self.writer.write_all(&pressed.bytes)?;
        self.crc.combine(&pressed.crc);
        self.length += pressed.size;
        self.written += 1;
        Ok(())
    }

    fn end(mut self, recipe: Recipe) -> io::Result<()> {
        self.failed?;
        match recipe.compression() {
            Compression::Gzip => {
                self.writer.write_all(&LAST_BLOCK)?;
                self.writer.write_all(&self.crc.finalize().to_le_bytes())?;
                // Modulo 2^32 (RFC 1952, section 2.3.1).
                self.writer.write_all(&(self.length as u32).to_le_bytes())?;
            }
            // No frame at all would be no zstd.
            Compression::Zstd if self.written == 0 => {
                self.writer.write_all(&zstd::bulk::compress(&[], recipe.level().into())?)?;
            }
            Compression::Zstd | Compression::None => {}
        }
        self.writer.flush()
    }
}

/// What one worker compresses with.
enum Press {
    None,
    Gzip(Box<Deflate>),
    Zstd(io::Result<zstd::bulk::Compressor<'static>>),
}

impl Press {
    fn new(recipe: Recipe) -> Self {
        match recipe.compression() {
            Compression::None => Self::None,
            Compression::Gzip => Self::Gzip(Box::new(Deflate::new(recipe.level()))),
            Compression::Zstd => Self::Zstd(zstd::bulk::Compressor::new(recipe.level().into())),
        }
    }

    fn press(&mut self, piece: &[u8]) -> io::Result<Pressed> {
        let mut crc = Hasher::new();
        let bytes = match self {
            Self::None => piece.to_vec(),
            Self::Gzip(state) => {
                crc.update(piece);
                state.piece(piece)?
            }
            Self::Zstd(Ok(compressor)) => compressor.compress(piece)?,
            Self::Zstd(Err(error)) => return Err(io::Error::new(error.kind(), error.to_string())),
        };
        Ok(Pressed { bytes, crc, size: piece.len() as u64 })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text and noise by turns, of a size that is no multiple of a piece.
    fn sample(size: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let step = |at: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if (at / 50_000).is_multiple_of(2) {
                b"all work and no play "[at % 21]
            } else {
                (state >> 24) as u8
            }
        };
        (0..size).map(step).collect()
    }

    fn compressed(input: &[u8], recipe: Recipe) -> Vec<u8> {
        let mut output = Vec::new();
        compress(input, &mut output, recipe, &|_| Ok(())).unwrap();
        output
    }

    #[test]
    fn what_is_compressed_reads_back_and_is_the_same_each_time() {
        for size in [0, 1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 123] {
            let input = sample(size);
            for level in [1, 6, 9] {
                let recipe = Recipe::new(Compression::Gzip, Some(level)).unwrap();
                let output = compressed(&input, recipe);
                assert_eq!(output, compressed(&input, recipe), "{size}");
                let mut back = Vec::new();
                // Of one member: whoever reads only the first has read all.
                flate2::read::GzDecoder::new(&output[..]).read_to_end(&mut back).unwrap();
                assert!(back == input, "{size} at level {level}");
            }
            let recipe = Recipe::new(Compression::Zstd, None).unwrap();
            let output = compressed(&input, recipe);
            assert!(zstd::stream::decode_all(&output[..]).unwrap() == input, "{size}");
            assert_eq!(Compression::of_magic(&output), Compression::Zstd);
        }
    }

    #[test]
    fn noise_grows_by_little() {
        let input: Vec<u8> = (0..3_000_000_u64)
            .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8 ^ (at >> 9) as u8)
            .collect();
        let output = compressed(&input, Recipe::new(Compression::Gzip, None).unwrap());
        assert!(output.len() < input.len() + 10_000, "{}", output.len());
    }

    #[test]
    fn failures_of_either_end_and_of_the_listener_are_told() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is full"))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let recipe = Recipe::new(Compression::Zstd, None).unwrap();
        let input = sample(10 * PIECE);
        let read = compress(Broken, Vec::new(), recipe, &|_| Ok(())).unwrap_err();
        assert_eq!(read.to_string(), "the disk is gone");
        let write = compress(&input[..], Broken, recipe, &|_| Ok(())).unwrap_err();
        assert_eq!(write.to_string(), "the disk is full");
        let stop = |_| Err(io::Error::other("enough"));
        let stopped = compress(&input[..], Vec::new(), recipe, &stop).unwrap_err();
        assert_eq!(stopped.to_string(), "enough");
    }
}
