//! How `start` reaches the process that `create` left waiting.
//!
//! ```text
//! <root>/<id>/start.sock      there from create until start: a word to it starts the program
//! <root>/<id>/exec.fifo       what starting failed of; its end, without a word, means that the
//!                             program runs
//! ```
//!
//! The container's filter may be in force while the process waits, so that does with read(2) and
//! write(2) alone, which a filter must allow anyway.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::error::{Doing, Error, Result};
use crate::state::StateDir;

const SOCKET: &str = "start.sock";
const REPORT: &str = "exec.fifo";

/// The waiting side. Both descriptors close on exec.
pub(crate) struct Waiting {
    socket: OwnedFd,
    report: OwnedFd,
}

impl Waiting {
    /// Makes the two files.
    pub(crate) fn prepare(dir: &StateDir) -> Result<Self> {
        let doing = || format!("make {}", dir.start_socket().display());
        let place = open_place(dir)?;
        let private = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(&place, REPORT, FileType::Fifo, private, 0).doing(doing)?;
        // With both ends it opens at once, and later can fail to be written only for want of a reader.
        let both = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let report = rustix::fs::openat(&place, REPORT, both, Mode::empty()).doing(doing)?;
        let socket = datagrams().doing(doing)?;
        rustix::net::bind(&socket, &address(&place).doing(doing)?).doing(doing)?;
        Ok(Self { socket, report })
    }

    /// What must stay open while it waits.
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.socket.as_fd(), self.report.as_fd()]
    }

    /// Returns when the program shall start.
    pub(crate) fn wait(&self) -> Result<()> {
        loop {
            match rustix::io::read(&self.socket, &mut [0; 1]) {
                Err(Errno::INTR) => {}
                heard => return heard.map(drop).doing(|| "wait for the start".into()),
            }
        }
    }

    /// Says why it did not.
    pub(crate) fn report(&self, text: &str) {
        let _ = rustix::io::write(&self.report, text.as_bytes());
    }
}

/// Has the program started; returns what that failed of, nothing if it runs.
pub(crate) fn tell(dir: &StateDir) -> Result<String> {
    let doing = || format!("start the container at {}", dir.path.display());
    let place = open_place(dir)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let report = rustix::fs::openat(&place, REPORT, flags, Mode::empty()).doing(doing)?;
    rustix::fs::fcntl_setfl(&report, OFlags::empty()).doing(doing)?;
    let socket = datagrams().doing(doing)?;
    rustix::net::connect(&socket, &address(&place).doing(doing)?).doing(doing)?;
    match std::fs::remove_file(dir.start_socket()) {
        // Of several that want to start it one is first.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Error::WrongState { verb: "start", status: "running" });
        }
        removed => removed.doing(|| format!("remove {}", dir.start_socket().display()))?,
    }
    rustix::io::write(&socket, b"s").doing(doing)?;
    let _ = std::fs::remove_file(dir.path.join(REPORT));
    let mut text = String::new();
    File::from(report).read_to_string(&mut text).doing(doing)?;
    Ok(text)
}

fn open_place(dir: &StateDir) -> Result<OwnedFd> {
    rustix::fs::open(&dir.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .doing(|| format!("open {}", dir.path.display()))
}

fn datagrams() -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
}

/// By the directory's descriptor: a socket's path may have only 107 bytes.
fn address(place: &OwnedFd) -> rustix::io::Result<SocketAddrUnix> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET}", place.as_raw_fd()))
}
