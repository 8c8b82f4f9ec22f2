//! A process's terminal: the runtime makes it and sends its master to a socket (runc's
//! `--console-socket`); the shim carries what is typed and printed between it and containerd's FIFOs.

use std::fs::{self, File};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::event::PollFlags;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::termios::Winsize;

use crate::pump::Pump;

/// The socket that a runtime sends the master to. It goes when it is dropped.
#[derive(Debug)]
pub(crate) struct ConsoleSocket {
    listener: UnixListener,
    directory: File,
    file: PathBuf,
}

impl ConsoleSocket {
    /// Binds a socket of this name in the bundle. A path of any length does: it is named by the
    /// directory's descriptor, because an address holds 107 bytes.
    ///
    /// # Errors
    /// It cannot be bound.
    pub(crate) fn bind(bundle: &Path, name: &str) -> anyhow::Result<Self> {
        let name = format!("{name}.sock");
        let file = bundle.join(&name);
        let directory = File::open(bundle).with_context(|| format!("open {}", bundle.display()))?;
        let short = format!("/proc/self/fd/{}/{name}", directory.as_raw_fd());
        let _ = fs::remove_file(&file);
        let listener =
            UnixListener::bind(short).with_context(|| format!("listen on {}", file.display()))?;
        listener.set_nonblocking(true).context("make a socket non-blocking")?;
        Ok(Self { listener, directory, file })
    }

    /// The name for the runtime.
    pub(crate) fn name(&self) -> PathBuf {
        let directory = format!("/proc/{}/fd/{}", std::process::id(), self.directory.as_raw_fd());
        Path::new(&directory).join(self.file.file_name().expect("it was made of a name"))
    }

    /// The master that the runtime, which has ended, sent.
    ///
    /// # Errors
    /// It sent none.
    pub(crate) fn receive(self) -> anyhow::Result<OwnedFd> {
        let (stream, _) = self.listener.accept().context("the runtime sent no terminal")?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut name = [0; 256];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        recvmsg(&stream, &mut [IoSliceMut::new(&mut name)], &mut ancillary, flags)
            .context("receive the terminal")?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(mut descriptors) = message
                && let Some(master) = descriptors.next()
            {
                return Ok(master);
            }
        }
        bail!("the runtime sent no descriptor to its console socket")
    }
}

impl Drop for ConsoleSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// When a process has ended, others may hold its terminal open, that it left in the background. They are
/// listened to as long as they do not pause for this time.
const LINGER: Duration = Duration::from_millis(500);

/// A terminal in use.
#[derive(Debug)]
pub(crate) struct Terminal {
    master: Arc<File>,
    output: Pump,
    input: Option<Pump>,
    last_output: Instant,
}

impl Terminal {
    /// Connects a master with its FIFOs.
    ///
    /// # Errors
    /// The descriptor cannot be made non-blocking.
    pub(crate) fn new(master: OwnedFd, stdin: Option<File>, stdout: File) -> anyhow::Result<Self> {
        rustix::io::ioctl_fionbio(&master, true).context("make the terminal non-blocking")?;
        let master = Arc::new(File::from(master));
        let output = Pump::new(Arc::clone(&master), stdout);
        let input = stdin.map(|from| Pump::new(from, Arc::clone(&master)));
        Ok(Self { master, output, input, last_output: Instant::now() })
    }

    /// Tells the programs how large it is, characters.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn resize(&self, columns: u16, rows: u16) -> anyhow::Result<()> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.master, size).context("resize the terminal")
    }

    /// Whether all output of a process that has ended has been passed on.
    pub(crate) fn is_done(&self) -> bool {
        self.output.is_done() || self.quiet_at().is_some_and(|at| Instant::now() >= at)
    }

    /// Whether its reader has got all that was printed by now.
    pub(crate) fn is_passed_on(&self) -> bool {
        !self.output.is_full()
    }

    /// When nothing more is expected of a process that has ended; never while its reader lags behind.
    pub(crate) fn quiet_at(&self) -> Option<Instant> {
        (!self.output.is_full()).then(|| self.last_output + LINGER)
    }

    /// What to poll for.
    pub(crate) fn interest(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let input = self.input.as_ref().and_then(Pump::interest);
        self.output.interest().into_iter().chain(input)
    }

    /// Carries what there is.
    pub(crate) fn turn(&mut self) {
        if self.output.turn() {
            self.last_output = Instant::now();
        }
        if let Some(input) = &mut self.input {
            input.turn();
            if input.is_done() {
                self.input = None;
            }
        }
    }
}
