//! Handing a terminal's master, or a pidfd, to whoever asked for it by `--console-socket` or
//! `--pidfd-socket`.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::error::{Doing, Result};

/// Sends the master with its name, as runc does.
pub(crate) fn send_master(socket: &Path, master: OwnedFd) -> Result<()> {
    send_descriptor(socket, master, b"/dev/ptmx")
        .doing(|| format!("send the terminal to {}", socket.display()))
}

/// Has line ends pass the terminal as they are: whoever reads the output of a container in the
/// foreground shall not find carriage returns in it (termios(3), `ONLCR`).
pub(crate) fn keep_line_ends(master: OwnedFd) -> Result<OwnedFd> {
    use rustix::termios::{OptionalActions, OutputModes, tcgetattr, tcsetattr};
    tcgetattr(&master)
        .and_then(|mut modes| {
            modes.output_modes.remove(OutputModes::ONLCR);
            tcsetattr(&master, OptionalActions::Now, &modes)
        })
        .doing(|| "set up the terminal".into())?;
    Ok(master)
}

/// Sends a process's pidfd to whoever asked for it by `--pidfd-socket`.
pub(crate) fn send_pidfd(socket: &Path, pidfd: &OwnedFd) -> Result<()> {
    let doing = || format!("send the pidfd to {}", socket.display());
    let copy = pidfd.try_clone().doing(doing)?;
    send_descriptor(socket, copy, b"pidfd").doing(doing)
}

/// Connects to a Unix socket, an abstract one if its name begins with `@` (unix(7)), and sends one
/// descriptor beside a message.
pub(crate) fn send_descriptor(
    socket: &Path,
    descriptor: OwnedFd,
    message: &[u8],
) -> io::Result<()> {
    let stream = match socket.as_os_str().as_bytes() {
        [b'@', name @ ..] => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        _ => UnixStream::connect(socket)?,
    };
    let sent = send_beside(&stream, descriptor.as_fd(), message)?;
    io::Write::write_all(&mut &stream, &message[sent..])
}

/// Sends one descriptor beside a message over a connected socket; how much of the message went.
pub(crate) fn send_beside(
    socket: impl AsFd,
    descriptor: BorrowedFd<'_>,
    message: &[u8],
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    Ok(sendmsg(socket, &[IoSlice::new(message)], &mut ancillary, SendFlags::NOSIGNAL)?)
}
