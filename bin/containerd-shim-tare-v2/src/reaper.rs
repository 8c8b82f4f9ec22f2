//! The ends of child processes. Containers' processes are children of the shim, because it is their
//! subreaper (prctl(2), PR_SET_CHILD_SUBREAPER): the runtime that started them has ended.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::SystemTime;

use anyhow::Context;
use rustix::process::{WaitOptions, WaitStatus};
use signal_hook::consts::SIGCHLD;

/// How and when a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// Its exit code, or 128 and the number of the signal that killed it.
    pub(crate) status: u32,
    /// When its end was seen.
    pub(crate) at: SystemTime,
}

impl Exit {
    /// The end of a process that nobody saw: it was killed, as far as anyone can tell.
    pub(crate) fn killed() -> Self {
        Self { status: 128 + 9, at: SystemTime::now() }
    }
}

/// Says when children have ended, and which.
#[derive(Debug)]
pub(crate) struct Reaper {
    signals: UnixStream,
}

impl Reaper {
    /// From now on orphans below this process become its children.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let own = rustix::process::getpid();
        rustix::process::set_child_subreaper(Some(own)).context("become a subreaper")?;
        let (signals, sender) = UnixStream::pair().context("make a pair of sockets")?;
        signals.set_nonblocking(true).context("make a socket non-blocking")?;
        signal_hook::low_level::pipe::register(SIGCHLD, sender).context("handle SIGCHLD")?;
        Ok(Self { signals })
    }

    /// All children that have ended since the last call.
    pub(crate) fn reap(&self) -> Vec<(u32, Exit)> {
        self.drain();
        let mut ended = Vec::new();
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if let Some(status) = code(status) {
                let exit = Exit { status, at: SystemTime::now() };
                ended.push((pid.as_raw_nonzero().get().unsigned_abs(), exit));
            }
        }
        ended
    }

    /// Takes the signals out, before the children are asked: one that ends later signals again.
    fn drain(&self) {
        let mut buffer = [0; 64];
        loop {
            match (&self.signals).read(&mut buffer) {
                Ok(length) if length > 0 => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }
}

impl AsFd for Reaper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}

fn code(status: WaitStatus) -> Option<u32> {
    let signalled = status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or(signalled).map(i32::unsigned_abs)
}
