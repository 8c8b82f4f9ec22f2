//! A terminal in the foreground: what is typed goes to the container's terminal, what that shows goes
//! to our standard output. Our own terminal is raw meanwhile and restored on drop, so that keys like
//! Ctrl-C are the container's.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, OutputModes, Termios};

use crate::error::{Doing, Result};

/// Both directions.
pub(crate) struct Relay {
    master: OwnedFd,
    /// Typed, and not yet taken by the container.
    typed: Vec<u8>,
    input_open: bool,
    /// Our terminal as it was.
    saved: Option<Termios>,
}

impl Relay {
    pub(crate) fn new(master: OwnedFd) -> Result<Self> {
        rustix::fs::fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK)
            .doing(|| "prepare the terminal".into())?;
        let mut saved = None;
        if let Ok(termios) = rustix::termios::tcgetattr(stdin()) {
            let mut raw = termios.clone();
            raw.make_raw();
            // The container's terminal leaves line ends as they are, so ours must still complete them.
            raw.output_modes |= termios.output_modes & OutputModes::OPOST;
            rustix::termios::tcsetattr(stdin(), OptionalActions::Now, &raw)
                .doing(|| "make our terminal raw".into())?;
            saved = Some(termios);
        }
        let relay = Self { master, typed: Vec::new(), input_open: true, saved };
        relay.resize();
        Ok(relay)
    }

    /// Gives the container's terminal the size of ours, if we have one.
    pub(crate) fn resize(&self) {
        if let Ok(size) = rustix::termios::tcgetwinsize(stdin()) {
            let _ = rustix::termios::tcsetwinsize(&self.master, size);
        }
    }

    /// What to wait for: the master, then our input. A stream of no interest is watched for nothing.
    pub(crate) fn interest(&self) -> [(BorrowedFd<'static>, PollFlags); 2] {
        // SAFETY: the master lives as long as the relay, which outlives the poll that this is for.
        let master =
            unsafe { BorrowedFd::borrow_raw(std::os::fd::AsRawFd::as_raw_fd(&self.master)) };
        let write = if self.typed.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        let read = self.input_open && self.typed.is_empty();
        // A hang-up cannot be masked: an input that has ended is replaced by the quiet master.
        let input = if self.input_open { stdin() } else { master };
        [
            (master, PollFlags::IN | write),
            (input, if read { PollFlags::IN } else { PollFlags::empty() }),
        ]
    }

    /// Moves what can be moved.
    pub(crate) fn work(&mut self, _master: PollFlags, input: PollFlags) {
        self.show();
        if self.input_open && self.typed.is_empty() && !input.is_empty() {
            self.read_input();
        }
        self.pass_on();
    }

    /// Shows what the container wrote last.
    pub(crate) fn finish(mut self) {
        self.show();
    }

    fn show(&mut self) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(length @ 1..) = rustix::io::read(&self.master, &mut buffer) {
            if write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    }

    fn read_input(&mut self) {
        let mut buffer = [0; 4096];
        match rustix::io::read(stdin(), &mut buffer) {
            Ok(0) => self.input_open = false,
            Ok(length) => self.typed.extend_from_slice(&buffer[..length]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.input_open = false,
        }
    }

    fn pass_on(&mut self) {
        while !self.typed.is_empty() {
            match rustix::io::write(self.master.as_fd(), &self.typed) {
                Ok(length) => drop(self.typed.drain(..length)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.typed.clear(),
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(saved) = &self.saved {
            let _ = rustix::termios::tcsetattr(stdin(), OptionalActions::Now, saved);
        }
    }
}

fn write_all(mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(stdout(), bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut out = [rustix::event::PollFd::from_borrowed_fd(stdout(), PollFlags::OUT)];
                rustix::event::poll(&mut out, None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
