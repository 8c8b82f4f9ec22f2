//! SHA-256 of a stream, beside the work that makes the stream.
//!
//! Little data is hashed where it stands. From [`THRESHOLD`] on a thread does it, so that hashing
//! and writing take one core each. Buffers go round between the two: memory stays at
//! [`QUEUE`] + 2 buffers.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use image::Digest;
use sha2::{Digest as _, Sha256};

use super::buffer::Buffer;

/// Buffers that may wait for the thread.
const QUEUE: usize = 2;
/// Bytes that are hashed without a thread: starting one costs as much as hashing some of them.
const THRESHOLD: u64 = 1 << 20;

const ZEROS: [u8; 16 << 10] = [0; 16 << 10];

enum Piece {
    Data(Buffer),
    Zeros(u64),
}

struct Worker {
    pieces: SyncSender<Piece>,
    empty: Receiver<Buffer>,
    thread: JoinHandle<Sha256>,
}

enum State {
    Here(Sha256),
    Thread(Worker),
}

/// A digest in the making.
pub(crate) struct Hash {
    state: State,
    seen: u64,
}

impl Hash {
    pub(crate) fn new() -> Self {
        Self { state: State::Here(Sha256::new()), seen: 0 }
    }

    /// Takes a full buffer and gives an empty one back.
    pub(crate) fn data(&mut self, mut buffer: Buffer) -> Buffer {
        self.grow(buffer.bytes().len() as u64);
        match &mut self.state {
            State::Here(hasher) => {
                hasher.update(buffer.bytes());
                buffer.clear();
                buffer
            }
            State::Thread(worker) => {
                worker.send(Piece::Data(buffer));
                worker.empty.try_recv().unwrap_or_default()
            }
        }
    }

    /// Takes `count` zeros.
    pub(crate) fn zeros(&mut self, count: u64) {
        self.grow(count);
        match &mut self.state {
            State::Here(hasher) => update_zeros(hasher, count),
            State::Thread(worker) => worker.send(Piece::Zeros(count)),
        }
    }

    /// The digest of all that was taken.
    pub(crate) fn finish(self) -> Digest {
        let hasher = match self.state {
            State::Here(hasher) => hasher,
            State::Thread(Worker { pieces, thread, .. }) => {
                drop(pieces);
                thread.join().expect("hashing does not panic")
            }
        };
        Digest::from_bytes(hasher.finalize().into())
    }

    fn grow(&mut self, count: u64) {
        self.seen = self.seen.saturating_add(count);
        if let State::Here(hasher) = &self.state
            && self.seen > THRESHOLD
        {
            // Without a thread to be had, hashing stays here.
            if let Some(worker) = Worker::start(hasher.clone()) {
                self.state = State::Thread(worker);
            }
        }
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hash").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl Worker {
    fn start(mut hasher: Sha256) -> Option<Self> {
        let (pieces, queue) = sync_channel(QUEUE);
        let (give_back, empty) = sync_channel(QUEUE + 2);
        let work = move || {
            for piece in queue {
                match piece {
                    Piece::Data(mut buffer) => {
                        hasher.update(buffer.bytes());
                        buffer.clear();
                        // A full return queue means that there are buffers enough.
                        let _ = give_back.try_send(buffer);
                    }
                    Piece::Zeros(count) => update_zeros(&mut hasher, count),
                }
            }
            hasher
        };
        let thread = std::thread::Builder::new().name("hash".to_owned()).spawn(work).ok()?;
        Some(Self { pieces, empty, thread })
    }

    fn send(&self, piece: Piece) {
        self.pieces.send(piece).expect("the thread runs until the queue is closed");
    }
}

fn update_zeros(hasher: &mut Sha256, mut count: u64) {
    while count > 0 {
        let now = count.min(ZEROS.len() as u64);
        hasher.update(&ZEROS[..now as usize]);
        count -= now;
    }
}
