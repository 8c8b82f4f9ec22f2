//! One connection: frames in, frames out, without ever waiting.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use containerd_shim_protos::ttrpc::proto::{
    MESSAGE_HEADER_LENGTH, MESSAGE_LENGTH_MAX, MessageHeader,
};
use rustix::event::PollFlags;

/// A ttrpc message: a header of ten bytes, then as many as it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) header: MessageHeader,
    pub(crate) payload: Vec<u8>,
}

/// A stream socket with what was read of a frame and what is still to be written.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Connection {
    /// Takes a stream over.
    ///
    /// # Errors
    /// A descriptor that cannot be made non-blocking.
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, input: Vec::new(), output: Vec::new() })
    }

    /// What to poll for.
    pub(crate) fn interest(&self) -> PollFlags {
        if self.output.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT }
    }

    /// Reads what has arrived; the frames that are complete.
    ///
    /// # Errors
    /// The other side has closed ([`ErrorKind::UnexpectedEof`]), or sends too long a frame.
    pub(crate) fn receive(&mut self) -> io::Result<Vec<Frame>> {
        let mut buffer = [0; 4096];
        let mut frames = Vec::new();
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) if frames.is_empty() => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(0) => return Ok(frames),
                Ok(length) => self.input.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            while let Some(frame) = take_frame(&mut self.input)? {
                frames.push(frame);
            }
        }
        if self.input.is_empty() {
            self.input = Vec::new(); // an idle shim holds no buffers
        }
        Ok(frames)
    }

    /// Sends a frame, as far as the socket takes it now; [`Connection::flush`] sends the rest.
    ///
    /// # Errors
    /// The other side has closed.
    pub(crate) fn send(&mut self, header: MessageHeader, payload: &[u8]) -> io::Result<()> {
        self.output.extend_from_slice(&Vec::from(header));
        self.output.extend_from_slice(payload);
        self.flush()
    }

    /// Sends what is left.
    ///
    /// # Errors
    /// The other side has closed.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(length) => drop(self.output.drain(..length)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output = Vec::new();
        Ok(())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Takes the first frame out of what was read, if all of it is there.
fn take_frame(input: &mut Vec<u8>) -> io::Result<Option<Frame>> {
    let Some(head) = input.get(..MESSAGE_HEADER_LENGTH) else { return Ok(None) };
    let header = MessageHeader::from(head);
    let length = header.length as usize;
    if length > MESSAGE_LENGTH_MAX {
        let message = format!("a frame of {length} bytes, more than {MESSAGE_LENGTH_MAX}");
        return Err(io::Error::new(ErrorKind::InvalidData, message));
    }
    let end = MESSAGE_HEADER_LENGTH + length;
    if input.len() < end {
        return Ok(None);
    }
    let payload = input[MESSAGE_HEADER_LENGTH..end].to_vec();
    input.drain(..end);
    Ok(Some(Frame { header, payload }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_arrive_whole_however_they_are_cut() {
        let (here, there) = UnixStream::pair().unwrap();
        let mut receiver = Connection::new(here).unwrap();
        let mut bytes = Vec::from(MessageHeader::new_request(1, 3));
        bytes.extend_from_slice(b"abc");
        bytes.extend(Vec::from(MessageHeader::new_request(3, 0)));
        let mut frames = Vec::new();
        for byte in bytes {
            (&there).write_all(&[byte]).unwrap();
            frames.extend(receiver.receive().unwrap());
        }
        assert_eq!(frames.len(), 2);
        assert_eq!((frames[0].header.stream_id, frames[0].payload.as_slice()), (1, &b"abc"[..]));
        assert_eq!((frames[1].header.stream_id, frames[1].payload.len()), (3, 0));
        drop(there);
        assert_eq!(receiver.receive().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_the_socket_does_not_take_is_sent_later() {
        let (here, there) = UnixStream::pair().unwrap();
        let (mut sender, mut receiver) =
            (Connection::new(here).unwrap(), Connection::new(there).unwrap());
        let payload = vec![7; 3 << 20];
        sender.send(MessageHeader::new_response(1, 3 << 20), &payload).unwrap();
        assert!(sender.interest().contains(PollFlags::OUT));
        let frame = loop {
            if let Some(frame) = receiver.receive().unwrap().pop() {
                break frame;
            }
            sender.flush().unwrap();
        };
        assert_eq!(frame.payload, payload);
        assert!(!sender.interest().contains(PollFlags::OUT));
    }

    #[test]
    fn a_frame_too_long_ends_the_connection() {
        let (here, there) = UnixStream::pair().unwrap();
        let mut receiver = Connection::new(here).unwrap();
        (&there).write_all(&Vec::from(MessageHeader::new_request(1, u32::MAX))).unwrap();
        assert_eq!(receiver.receive().unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
