//! Terminals: the one that the container gets, and ours.
//!
//! The runtime makes the container's terminal inside the container and sends us its master side
//! through a socket (runc, docs/terminals.md, "new terminal" in detached mode).

use std::fs::File;
use std::io::{IoSliceMut, IsTerminal as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::termios::{
    OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

/// A socket for the master side of one terminal. Its directory goes with it.
#[derive(Debug)]
pub(super) struct Console {
    listener: UnixListener,
    dir: PathBuf,
    path: PathBuf,
}

impl Console {
    /// Makes the socket in a directory of its own, as short as a socket's name must be (unix(7)).
    pub(super) fn listen() -> anyhow::Result<Self> {
        let dir = private_dir()?;
        let path = dir.join("console");
        match UnixListener::bind(&path) {
            Ok(listener) => Ok(Self { listener, dir, path }),
            Err(error) => {
                let _ = std::fs::remove_dir(&dir);
                Err(error).with_context(|| format!("cannot make the socket {}", path.display()))
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The terminal that a runtime which is done has sent.
    pub(super) fn receive(self) -> anyhow::Result<File> {
        let what = "cannot receive the container's terminal from the runtime";
        // The runtime has returned: what it did not send by now never comes.
        self.listener.set_nonblocking(true).context(what)?;
        let (stream, _) = self.listener.accept().context(what)?;
        stream.set_nonblocking(false).context(what)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut buffer = RecvAncillaryBuffer::new(&mut space);
        let mut name = [0; 4096];
        recvmsg(&stream, &mut [IoSliceMut::new(&mut name)], &mut buffer, RecvFlags::CMSG_CLOEXEC)
            .context(what)?;
        let mut descriptors = buffer.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect::<Vec<OwnedFd>>(),
            _ => Vec::new(),
        });
        match descriptors.next() {
            Some(terminal) => Ok(terminal.into()),
            None => bail!("{what}: it sent none"),
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_dir(&self.dir);
    }
}

fn private_dir() -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    let id = crate::container::ContainerId::random()?;
    let dir = std::env::temp_dir().join(format!("tare-{}", id.short()));
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&dir)
        .with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// Our own terminal in raw mode: every key goes to the container. Dropped, it is as it was.
#[derive(Debug)]
pub(crate) struct RawMode(Termios);

impl RawMode {
    /// `None` where our standard input is no terminal.
    pub(crate) fn enter() -> Option<Self> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.0);
    }
}

/// Rows and columns of our own terminal, where we have one that knows them.
pub(crate) fn size() -> Option<(u16, u16)> {
    let ours = [tcgetwinsize(std::io::stdin()), tcgetwinsize(std::io::stdout())];
    let mut known = ours.into_iter().flatten().map(|size| (size.ws_row, size.ws_col));
    known.find(|&(rows, columns)| rows > 0 && columns > 0)
}

/// Gives the container's terminal the size of ours.
pub(super) fn copy_size(terminal: impl AsFd) {
    if let Some((rows, columns)) = size()
        && let Ok(before) = tcgetwinsize(&terminal)
    {
        let _ = tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ..before });
    }
}
