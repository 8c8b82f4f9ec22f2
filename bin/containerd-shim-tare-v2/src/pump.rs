//! Bytes from one descriptor to another, without ever waiting and with little memory.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::event::PollFlags;

/// A pipe takes so many bytes whole when poll(2) calls it writable (pipe(7), PIPE_BUF).
const CHUNK: usize = 4096;

/// One direction. Both descriptors are non-blocking.
#[derive(Debug)]
pub(crate) struct Pump {
    from: Option<Arc<File>>,
    to: Arc<File>,
    /// Read, and not yet written.
    pending: Vec<u8>,
}

impl Pump {
    /// A pump that has not begun.
    pub(crate) fn new(from: impl Into<Arc<File>>, to: impl Into<Arc<File>>) -> Self {
        Self { from: Some(from.into()), to: to.into(), pending: Vec::new() }
    }

    /// Whether all that will ever come has been passed on.
    pub(crate) fn is_done(&self) -> bool {
        self.from.is_none() && self.pending.is_empty()
    }

    /// What to poll for: the source, or the sink when it is full.
    pub(crate) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match &self.from {
            _ if !self.pending.is_empty() => Some((self.to.as_fd(), PollFlags::OUT)),
            Some(from) => Some((from.as_fd(), PollFlags::IN)),
            None => None,
        }
    }

    /// Whether bytes wait for the sink.
    pub(crate) fn is_full(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Passes on what there is; whether there was anything.
    pub(crate) fn turn(&mut self) -> bool {
        let mut buffer = [0; CHUNK];
        let mut moved = false;
        while self.flush() {
            let Some(from) = &mut self.from else { break };
            match from.read(&mut buffer) {
                Ok(0) => self.from = None,
                Ok(length) => {
                    self.pending.extend_from_slice(&buffer[..length]);
                    moved = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A terminal that all programs have closed says EIO.
                Err(_) => self.from = None,
            }
        }
        moved
    }

    /// Whether nothing is left to write. A sink that is gone takes everything.
    fn flush(&mut self) -> bool {
        while !self.pending.is_empty() {
            match self.to.write(&self.pending) {
                Ok(length) => drop(self.pending.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.from = None;
                    self.pending.clear();
                }
            }
        }
        self.pending = Vec::new();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};
    use std::time::{Duration, Instant};

    fn pipe() -> (File, File) {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        (File::from(read), File::from(write))
    }

    /// Another test's child may have a copy of a descriptor, for the moment between fork and exec.
    fn until_done(pump: &mut Pump, mut before: impl FnMut()) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !pump.is_done() {
            assert!(Instant::now() < deadline, "not done");
            before();
            pump.turn();
        }
    }

    #[test]
    fn all_bytes_arrive_though_the_sink_is_slow() {
        let ((source, mut feed), (mut drain, sink)) = (pipe(), pipe());
        let mut pump = Pump::new(source, sink);
        let (mut sent, mut received) = (0usize, Vec::new());
        let text: Vec<u8> = (0..300_000u32).map(|it| it as u8).collect();
        while received.len() < text.len() {
            match feed.write(&text[sent..]) {
                Ok(length) => sent += length,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            pump.turn();
            let mut buffer = [0; 1000];
            if let Ok(length) = drain.read(&mut buffer) {
                received.extend_from_slice(&buffer[..length]);
            }
        }
        assert_eq!(received, text);
        drop(feed);
        until_done(&mut pump, || {});
        assert!(pump.interest().is_none());
    }

    #[test]
    fn a_lost_reader_ends_it() {
        let ((source, mut feed), (drain, sink)) = (pipe(), pipe());
        let mut pump = Pump::new(source, sink);
        drop(drain);
        until_done(&mut pump, || feed.write_all(b"x").unwrap());
    }
}
