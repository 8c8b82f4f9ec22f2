//! Programs that a build starts besides its runtime: they get their input, are heard, and end when the
//! build is interrupted.

use std::io::{self, Read, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::{Error, Interrupt};

/// What a program gave.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: ExitStatus,
    /// All of its standard output.
    pub(crate) out: Vec<u8>,
    /// The end of its standard error.
    pub(crate) err: String,
}

/// More than this on standard output is a failure, in bytes.
const MAX_OUT: usize = 256 << 20;

/// How much of standard error is kept, in bytes.
const MAX_ERR: usize = 64 << 10;

/// How often the interrupt is looked at.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// How long a program that was told to end may take before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs a program to its end. `input` is little enough for a pipe; `hear` gets what it writes to
/// standard error. `None` when the build was interrupted: the program and its children are then gone.
///
/// # Errors
/// The program cannot be started.
pub(crate) fn run(
    command: &mut Command,
    input: &[u8],
    hear: &mut dyn FnMut(&[u8]),
    interrupt: &Interrupt,
) -> io::Result<Option<Said>> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own, so that its children end with it.
    let mut child = command.process_group(0).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input says itself why.
        let _ = stdin.write_all(input);
    }
    let mut ears = Ears { out: Vec::new(), err: Vec::new(), open: [true, true] };
    match ears.listen(&mut child, hear, interrupt) {
        Ok(Some(status)) => {
            let err = String::from_utf8_lossy(&ears.err).into_owned();
            Ok(Some(Said { status, out: ears.out, err }))
        }
        Ok(None) => {
            end(&mut child);
            Ok(None)
        }
        Err(error) => {
            end(&mut child);
            Err(error)
        }
    }
}

/// As [`run`], for a program that has to succeed: its standard output. `fail` makes an error of why it
/// did not, in its own words.
///
/// # Errors
/// That error, or that the build was interrupted.
pub(crate) fn output(
    command: &mut Command,
    input: &[u8],
    hear: &mut dyn FnMut(&[u8]),
    interrupt: &Interrupt,
    fail: impl Fn(String) -> Error,
) -> Result<Vec<u8>, Error> {
    let said = run(command, input, hear, interrupt);
    let program = || command.get_program().display().to_string();
    let said = said.map_err(|error| fail(format!("cannot start {}: {error}", program())))?;
    let said = said.ok_or(Error::Interrupted)?;
    if said.status.success() { Ok(said.out) } else { Err(fail(said.err)) }
}

struct Ears {
    out: Vec<u8>,
    err: Vec<u8>,
    /// Whether standard output and standard error have not ended.
    open: [bool; 2],
}

impl Ears {
    /// Takes in what comes until the program is gone; `None` when interrupted before.
    fn listen(
        &mut self,
        child: &mut Child,
        hear: &mut dyn FnMut(&[u8]),
        interrupt: &Interrupt,
    ) -> io::Result<Option<ExitStatus>> {
        while !interrupt.is_set() {
            if self.open == [false, false] || !self.take(child, hear)? {
                // Somebody whom it left behind may keep the pipes open for ever.
                if let Some(status) = child.try_wait()? {
                    return Ok(Some(status));
                }
                if self.open == [false, false] {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        Ok(None)
    }

    /// Waits for more; whether anything came.
    fn take(&mut self, child: &mut Child, hear: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
        let (Some(out), Some(err)) = (&mut child.stdout, &mut child.stderr) else {
            return Ok(false);
        };
        let flags = |open: bool| if open { PollFlags::IN } else { PollFlags::empty() };
        let mut ready = [
            PollFd::from_borrowed_fd(out.as_fd(), flags(self.open[0])),
            PollFd::from_borrowed_fd(err.as_fd(), flags(self.open[1])),
        ];
        match poll(&mut ready, Some(&LOOK)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(false),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = [!ready[0].revents().is_empty(), !ready[1].revents().is_empty()];
        let mut came = false;
        if ready[0] && self.open[0] {
            self.open[0] = read(out, |bytes| self.out.extend_from_slice(bytes))?;
            came = true;
        }
        if ready[1] && self.open[1] {
            self.open[1] = read(err, |bytes| {
                hear(bytes);
                self.err.extend_from_slice(bytes);
            })?;
            came = true;
        }
        if self.out.len() > MAX_OUT {
            return Err(io::Error::other("it writes too much"));
        }
        let surplus = self.err.len().saturating_sub(MAX_ERR);
        self.err.drain(..surplus);
        Ok(came)
    }
}

/// Reads once; whether there may be more.
fn read(from: &mut impl Read, take: impl FnOnce(&[u8])) -> io::Result<bool> {
    let mut buffer = [0; 16 << 10];
    match from.read(&mut buffer) {
        Ok(count) => {
            take(&buffer[..count]);
            Ok(count > 0)
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
        Err(error) => Err(error),
    }
}

/// Ends the program and its children: first politely, so that they clean up.
fn end(child: &mut Child) {
    let group = Pid::from_child(child);
    let _ = kill_process_group(group, Signal::TERM);
    let deadline = Instant::now() + PATIENCE;
    while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_it_says_and_how_it_ends() {
        let mut heard = Vec::new();
        let mut hear = |bytes: &[u8]| heard.extend_from_slice(bytes);
        let script = "read line; echo \"$line\"; echo oops >&2; exit 3";
        let said = run(&mut shell(script), b"in\n", &mut hear, &Interrupt::new()).unwrap().unwrap();
        assert_eq!((said.status.code(), &*said.out, &*said.err), (Some(3), &b"in\n"[..], "oops\n"));
        assert_eq!(heard, b"oops\n");
    }

    #[test]
    fn one_that_leaves_a_child_behind_is_not_waited_for() {
        let started = Instant::now();
        let said = run(&mut shell("sleep 60 & echo x"), b"", &mut |_| {}, &Interrupt::new());
        assert_eq!(said.unwrap().unwrap().out, b"x\n");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn an_interrupt_ends_it_and_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let interrupt = Interrupt::new();
        let said = std::thread::scope(|scope| {
            scope.spawn(|| {
                while std::fs::read_to_string(&file).map_or(true, |text| text.is_empty()) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                interrupt.set();
            });
            run(&mut shell(&script), b"", &mut |_| {}, &interrupt).unwrap()
        });
        assert!(said.is_none());
        let pid: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !gone() {
            assert!(Instant::now() < deadline, "the child lives");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
