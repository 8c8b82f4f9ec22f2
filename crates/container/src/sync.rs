//! The conversation between the runtime and the container's first process: short messages over a
//! socket pair that keeps their boundaries. See the crate's head for who says what when.
//!
//! Both ends close on exec. So the end of the conversation, seen from the runtime, means that the
//! container's program is running, or that its process died: the two are told apart by whether an
//! error was said before.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use crate::error::{Doing, Error, Result};
use crate::notice;
use crate::signals::SignalQueue;

/// The longest error text that is passed on, in bytes.
const MAX_TEXT: usize = 8192;

/// What is said.
#[derive(Debug)]
pub(crate) enum Message {
    /// runtime → init: ids are mapped, limits set; go on.
    Proceed,
    /// init → runtime: namespaces and mounts are there, the root is not yet changed: run the hooks.
    RunHooks,
    /// init → runtime: the terminal's master side.
    Terminal(OwnedFd),
    /// init → runtime: a seccomp notification descriptor, by its number in init.
    SeccompListener(i32),
    /// init → runtime: open the source of the mount with this index for me.
    NeedSource(usize),
    /// runtime → init: the source.
    Source(OwnedFd),
    /// init → runtime: all is set up; only the start is missing.
    Ready,
    /// init → runtime: something to tell the user, though nothing failed.
    Warning(String),
    /// init → runtime: how something is done, for who asked for that.
    Debug(String),
    /// init → runtime: the program could not be executed, in words.
    NotExecuted(String),
    /// init → runtime: it failed, in words.
    Failed(String),
    /// The other side is gone.
    End,
}

/// One end of the conversation.
pub(crate) struct Channel(OwnedFd);

/// A connected pair.
pub(crate) fn pair() -> Result<(Channel, Channel)> {
    let (one, other) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .doing(|| "make a socket pair".into())?;
    Ok((Channel(one), Channel(other)))
}

impl Channel {
    /// Says something. A partner that is gone is no error here: the next `receive` tells.
    pub(crate) fn send(&self, message: &Message) -> Result<()> {
        match message {
            Message::Proceed => self.send_bytes(b"p", None),
            Message::RunHooks => self.send_bytes(b"h", None),
            Message::Ready => self.send_bytes(b"r", None),
            Message::Terminal(master) => self.send_bytes(b"t", Some(master.as_fd())),
            Message::NeedSource(index) => self.send_bytes(format!("m{index}").as_bytes(), None),
            Message::Source(source) => self.send_bytes(b"o", Some(source.as_fd())),
            Message::SeccompListener(fd) => self.send_bytes(format!("s{fd}").as_bytes(), None),
            Message::Warning(text) => self.send_text('w', text),
            Message::Debug(text) => self.send_text('d', text),
            Message::NotExecuted(text) => self.send_text('x', text),
            Message::Failed(text) => self.send_text('e', text),
            Message::End => Ok(()),
        }
    }

    /// Tells what went wrong.
    pub(crate) fn fail(&self, error: Error) -> Result<()> {
        self.send(&match error {
            Error::NotExecuted(report) => Message::NotExecuted(report),
            error => Message::Failed(error.to_string()),
        })
    }

    /// Tells how something is done, where anyone listens.
    pub(crate) fn debug(&self, text: impl FnOnce() -> String) -> Result<()> {
        if notice::debugs() { self.send(&Message::Debug(text())) } else { Ok(()) }
    }

    /// Waits for the next message.
    pub(crate) fn receive(&self) -> Result<Message> {
        let mut bytes = [0; MAX_TEXT];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let length = loop {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.0, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Ok(received) => break received.bytes,
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => break 0,
                Err(error) => return Err(error).doing(|| "hear from the container".into()),
            }
        };
        let descriptor = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        parse(&bytes[..length], descriptor)
    }

    /// The same while signals are held back: whoever wants us to end need not wait for a process that
    /// somebody in the container has stopped.
    pub(crate) fn receive_unless_ended(&self, signals: &SignalQueue) -> Result<Message> {
        loop {
            let mut watched = [
                PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
            ];
            match poll(&mut watched, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error).doing(|| "hear from the container".into()),
            }
            if !watched[0].revents().is_empty() {
                return self.receive();
            }
            if let Some(signal) = signals.end_wanted() {
                return Err(Error::Init(format!(
                    "ended by signal {signal} before the program ran"
                )));
            }
        }
    }

    /// Waits until the other side lets go on.
    pub(crate) fn expect_proceed(&self) -> Result<()> {
        // read(2) and not recvmsg(2): the container's filter may be in force already.
        let mut byte = [0; 1];
        let length = loop {
            match rustix::io::read(&self.0, &mut byte) {
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => break 0,
                length => break length.doing(|| "hear from the runtime".into())?,
            }
        };
        match parse(&byte[..length], None)? {
            Message::Proceed => Ok(()),
            _ => Err(Error::Init("the runtime went away".into())),
        }
    }

    fn send_text(&self, kind: char, text: &str) -> Result<()> {
        let mut bytes = format!("{kind}{text}").into_bytes();
        bytes.truncate(MAX_TEXT);
        self.send_bytes(&bytes, None)
    }

    fn send_bytes(&self, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<()> {
        let Some(descriptor) = descriptor else {
            // write(2) and not sendmsg(2): the container's filter may be in force already.
            return match rustix::io::write(&self.0, bytes) {
                Ok(_) | Err(Errno::PIPE) => Ok(()),
                Err(error) => Err(error).doing(|| "speak to the container".into()),
            };
        };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(&descriptor)));
        match sendmsg(&self.0, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL) {
            Ok(_) | Err(Errno::PIPE) => Ok(()),
            Err(error) => Err(error).doing(|| "speak to the container".into()),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn parse(bytes: &[u8], descriptor: Option<OwnedFd>) -> Result<Message> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let unexpected = || Error::Init(format!("unexpected message {:?}", text(bytes)));
    match (bytes.split_first(), descriptor) {
        (None, _) => Ok(Message::End),
        (Some((b'p', [])), _) => Ok(Message::Proceed),
        (Some((b'h', [])), _) => Ok(Message::RunHooks),
        (Some((b'r', [])), _) => Ok(Message::Ready),
        (Some((b't', [])), Some(master)) => Ok(Message::Terminal(master)),
        (Some((b'o', [])), Some(source)) => Ok(Message::Source(source)),
        (Some((b'm', index)), _) => {
            text(index).parse().map(Message::NeedSource).map_err(|_| unexpected())
        }
        (Some((b's', number)), _) => {
            text(number).parse().map(Message::SeccompListener).map_err(|_| unexpected())
        }
        (Some((b'w', warning)), _) => Ok(Message::Warning(text(warning))),
        (Some((b'd', told)), _) => Ok(Message::Debug(text(told))),
        (Some((b'x', report)), _) => Ok(Message::NotExecuted(text(report))),
        (Some((b'e', report)), _) => Ok(Message::Failed(text(report))),
        _ => Err(unexpected()),
    }
}
