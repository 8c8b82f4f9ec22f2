//! A compressed stream in, a tar's bytes and its changeset out, on two threads.
//!
//! ```text
//! thread: input ─▶ inflate ─▶ chunks ══queue══▶ caller: sink (hash, write) ─▶ read the tar's headers
//! ```
//!
//! Inflating costs about as much as hashing, writing and reading together, so two cores are enough.
//! At most [`QUEUE`] + 2 chunks exist.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use tree::{Changeset, ReadError};

use crate::decompress::{decompressed, fill};

/// Bytes in a chunk.
const CHUNK: usize = 256 << 10;
/// Chunks that may wait.
const QUEUE: usize = 6;

/// What became of the stream; the caller knows which of several failures is the cause.
pub(super) struct Decoded {
    /// How decompression ended.
    pub(super) stream: io::Result<()>,
    /// Why the sink stopped.
    pub(super) sink: io::Result<()>,
    /// The tar's changeset.
    pub(super) changeset: Result<Changeset, ReadError>,
}

/// How a tar is read.
pub(super) type Reading = fn(&mut dyn Read) -> Result<Changeset, ReadError>;

/// Decompresses `input` by its first bytes, gives the tar to `sink` piece by piece, and reads it.
/// The sink gets all of it, unless it fails itself, or the tar is malformed: then the rest is not decompressed.
pub(super) fn decode<R: Read + Send>(
    input: &mut R,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    read: Reading,
) -> Decoded {
    let (chunks, queue) = sync_channel(QUEUE);
    let (give_back, empty) = channel();
    std::thread::scope(|scope| {
        let producer = scope.spawn(move || produce(input, &chunks, &empty));
        let mut tee = Tee { queue, give_back, chunk: Vec::new(), served: 0, sink, failed: Ok(()) };
        let changeset = read(&mut tee);
        if changeset.is_ok() {
            tee.drain();
        }
        let failed = tee.end();
        let stream = producer.join().expect("the decompressors do not panic");
        Decoded { stream, sink: failed, changeset }
    })
}

fn produce<R: Read>(
    input: &mut R,
    chunks: &SyncSender<Vec<u8>>,
    empty: &Receiver<Vec<u8>>,
) -> io::Result<()> {
    let mut reader = decompressed(input, CHUNK)?;
    loop {
        let mut chunk = empty.try_recv().unwrap_or_default();
        chunk.resize(CHUNK, 0);
        let filled = fill(&mut reader, &mut chunk)?;
        chunk.truncate(filled);
        // Nobody listens any more when the sink failed; the sink's error tells why.
        if filled == 0 || chunks.send(chunk).is_err() {
            return Ok(());
        }
    }
}

/// The reading end of the queue: each chunk goes to the sink before it is read.
struct Tee<'a> {
    queue: Receiver<Vec<u8>>,
    give_back: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    served: usize,
    sink: &'a mut dyn FnMut(&[u8]) -> io::Result<()>,
    failed: io::Result<()>,
}

impl Tee<'_> {
    /// Fetches the next chunk; `false` at the end and after a failure of the sink.
    fn advance(&mut self) -> bool {
        if self.failed.is_err() {
            return false;
        }
        let Ok(chunk) = self.queue.recv() else { return false };
        self.failed = (self.sink)(&chunk);
        // The producer may have ended already.
        let _ = self.give_back.send(std::mem::replace(&mut self.chunk, chunk));
        self.served = 0;
        self.failed.is_ok()
    }

    fn drain(&mut self) {
        while self.advance() {}
    }

    /// Closes the queue, so that the producer stops.
    fn end(self) -> io::Result<()> {
        self.failed
    }
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.served == self.chunk.len() && !self.advance() {
            return Ok(0);
        }
        let count = buffer.len().min(self.chunk.len() - self.served);
        buffer[..count].copy_from_slice(&self.chunk[self.served..][..count]);
        self.served += count;
        Ok(count)
    }
}
