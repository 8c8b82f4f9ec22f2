//! The one seam: how a bundle becomes a running container.

use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::Interrupt;

/// Runs containers.
pub trait Runner: Sync {
    /// Runs the bundle to its end. `output` gets what it writes, standard output and error in order.
    /// When `interrupt` is set, the container is killed. Nothing of it is left when this returns.
    ///
    /// Returns the exit code; 128 and the signal's number where a signal ended it.
    ///
    /// # Errors
    /// The container could not be started.
    fn run(
        &self,
        bundle: &Path,
        id: &str,
        output: &mut dyn FnMut(&[u8]),
        interrupt: &Interrupt,
    ) -> io::Result<i32>;

    /// Ends and removes a container that may be there. Used for what a killed build left.
    fn delete(&self, id: &str);

    /// What to call it in an error.
    fn name(&self) -> &Path;
}

/// A runtime program with runc's command line: `tare-runtime`, `runc`, `crun`.
#[derive(Clone, Debug)]
pub struct ProgramRunner {
    program: PathBuf,
    state: Option<PathBuf>,
}

/// How often the runner looks at the interrupt while the container is silent.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// A container that was told to die is given this long before its runtime is killed as well.
const PATIENCE: Duration = Duration::from_secs(10);

impl ProgramRunner {
    /// A runner that starts `program`: a path, or a name to be found in `$PATH`.
    pub fn new(program: PathBuf) -> Self {
        Self { program, state: None }
    }

    /// The same, with the runtime's state in a directory, which the runtime makes (`--root`).
    pub fn with_state(self, state: PathBuf) -> Self {
        Self { state: Some(state), ..self }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(state) = &self.state {
            command.arg("--root").arg(state);
        }
        command
    }

    /// Calls the program and waits; nobody hears what it says.
    fn call(&self, arguments: &[&str]) {
        let _ = self
            .command()
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }

    /// Waits for the runtime, which has closed its output.
    fn end(&self, id: &str, child: &mut Child, interrupt: &Interrupt) -> io::Result<ExitStatus> {
        while !interrupt.is_set() {
            if let Some(status) = wait(child, Duration::from_millis(50))? {
                return Ok(status);
            }
        }
        self.kill(id, child)
    }

    /// Kills the container, and waits until its runtime is gone.
    fn kill(&self, id: &str, child: &mut Child) -> io::Result<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.call(&["kill", id, "KILL"]);
            if let Some(status) = wait(child, Duration::from_millis(100))? {
                self.delete(id);
                return Ok(status);
            }
            if Instant::now() > deadline {
                child.kill()?;
                let status = child.wait()?;
                self.delete(id);
                return Ok(status);
            }
        }
    }
}

impl Runner for ProgramRunner {
    fn run(
        &self,
        bundle: &Path,
        id: &str,
        output: &mut dyn FnMut(&[u8]),
        interrupt: &Interrupt,
    ) -> io::Result<i32> {
        let (mut reader, writer) = io::pipe()?;
        let mut command = self.command();
        command.arg("run").arg("--bundle").arg(bundle).arg(id);
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        // A group of its own: Ctrl-C on the terminal is for the builder alone, which then cleans up.
        let mut child = command.process_group(0).spawn()?;
        // The command holds the pipe's other end, which must close for the end to be seen.
        drop(command);
        let ended = follow(&mut reader, output, interrupt);
        let status = match ended {
            Ok(true) => self.end(id, &mut child, interrupt)?,
            Ok(false) => self.kill(id, &mut child)?,
            Err(error) => {
                self.kill(id, &mut child)?;
                return Err(error);
            }
        };
        Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    }

    fn delete(&self, id: &str) {
        self.call(&["delete", "--force", id]);
    }

    fn name(&self) -> &Path {
        &self.program
    }
}

/// Passes on what comes, to the end. `false` when interrupted before.
fn follow(
    reader: &mut io::PipeReader,
    output: &mut dyn FnMut(&[u8]),
    interrupt: &Interrupt,
) -> io::Result<bool> {
    let mut buffer = [0; 16 << 10];
    while !interrupt.is_set() {
        let mut ready = [PollFd::from_borrowed_fd(reader.as_fd(), PollFlags::IN)];
        match poll(&mut ready, Some(&LOOK)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => match reader.read(&mut buffer)? {
                0 => return Ok(true),
                count => output(&buffer[..count]),
            },
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

/// The child's status, if it ends in time.
fn wait(child: &mut Child, time: Duration) -> io::Result<Option<ExitStatus>> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let mut ended = [PollFd::new(&process, PollFlags::IN)];
    let time = Timespec { tv_sec: 0, tv_nsec: i64::from(time.subsec_nanos()) };
    match poll(&mut ended, Some(&time)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => child.try_wait(),
        Err(error) => Err(error.into()),
    }
}
