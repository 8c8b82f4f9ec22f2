//! A process that outlives a build which is killed, and at once ends what that leaves running.
//!
//! ```text
//! build ──starts──▶ guard: waits for the end of its standard input, a pipe whose other end is the build's
//!   │ SIGKILL            │
//!   ╳ the pipe ends ────▶ takes the lock of the working directory, ends commands, unmounts, removes
//! ```
//!
//! A build that ends by itself has removed its directory before, and waits for its guard. Where the
//! guard is killed as well, the next build does its work: see [`crate::scratch`].

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A guard at work. Dropped, it is gone.
pub(crate) struct Guard(Child);

impl Guard {
    /// Starts `program --clean-up folder --runtime runtime`.
    pub(crate) fn start(program: &Path, folder: &Path, runtime: &Path) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.arg("--clean-up").arg(folder).arg("--runtime").arg(runtime);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own: what ends the build by the terminal must not end it.
        command.process_group(0).spawn().map(Self)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
