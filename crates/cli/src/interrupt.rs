//! SIGINT, SIGTERM and SIGHUP as a flag to look at and a descriptor to poll.
//!
//! The first signal asks the program to stop and clean up; a second SIGINT ends it at once with code
//! 130, and then mounts and temporary files may stay behind.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use signal_hook::{SigId, flag, low_level};

/// Whether the user asked the program to stop. Clones share the answer.
#[derive(Clone, Debug)]
pub struct Interrupt {
    flag: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
    readable: Arc<UnixStream>,
    handlers: Arc<Vec<SigId>>,
}

/// The error of an action that ended because the user asked it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

impl Interrupt {
    /// Handles SIGINT, SIGTERM and SIGHUP from here on, until [`Interrupt::uninstall`]. Call it once. A
    /// SIGHUP that nohup(1) has the program pass over stays so.
    ///
    /// # Errors
    /// Where a socket pair or a signal handler cannot be made.
    pub fn install() -> io::Result<Self> {
        let (readable, writer) = UnixStream::pair()?;
        let flag = Arc::new(AtomicBool::new(false));
        let last = Arc::new(AtomicUsize::new(0));
        // Handlers run in the order of registration: this one reads the flag before it is set.
        let mut handlers = vec![flag::register_conditional_shutdown(SIGINT, 130, flag.clone())?];
        let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
        for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
            let number = usize::try_from(signal).unwrap_or_default();
            handlers.push(flag::register_usize(signal, last.clone(), number)?);
            handlers.push(flag::register(signal, flag.clone())?);
            handlers.push(pipe::register(signal, writer.try_clone()?)?);
        }
        Ok(Self { flag, signal: last, readable: Arc::new(readable), handlers: Arc::new(handlers) })
    }

    /// Handles the signals no more, so that somebody else can; until then they are passed over.
    pub fn uninstall(self) {
        for &handler in self.handlers.iter() {
            low_level::unregister(handler);
        }
    }

    /// Whether a signal came.
    pub fn is_set(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }

    /// The number of the last signal that came.
    pub fn signal(&self) -> Option<i32> {
        match self.signal.load(Ordering::SeqCst) {
            0 => None,
            number => i32::try_from(number).ok(),
        }
    }

    /// [`Interrupted`] once a signal came. Call it between the steps of a long action.
    ///
    /// # Errors
    /// [`Interrupted`], and nothing else.
    pub fn check(&self) -> Result<(), Interrupted> {
        if self.is_set() { Err(Interrupted) } else { Ok(()) }
    }

    /// The flag itself, for crates that know nothing of this one.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.flag.clone()
    }
}

/// Whether whoever started this program had it pass over a signal (proc(5), `SigIgn`).
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Readable from the first signal on. Poll it; never read from it.
impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.readable.as_fd()
    }
}
