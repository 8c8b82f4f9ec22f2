//! A process's standard streams, as containerd names them: FIFOs, a log file, a logging program
//! ([`logger`]), or nothing.
//!
//! Without a terminal a container's first process gets the output's FIFOs themselves: nothing is copied, and
//! output costs the shim nothing. An exec's output is copied: what it leaves behind in the container may hold its
//! output open, and yet the reader is to see the end when the exec is deleted. Input is copied, too ([`Input`]).
//!
//! The shim keeps an end of each FIFO open, so that a client which goes away (containerd restarts, `ctr`
//! detaches) neither kills the process by SIGPIPE nor ends its input: output waits in the FIFO for the next
//! reader, and input ends when containerd asks for it (`CloseIO`). When the process has ended the kept ends are
//! closed, and the reader sees the end.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use rustix::event::PollFlags;
use rustix::fs::{Gid, OFlags, Uid};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::logger;
use crate::pump::Pump;
use crate::runtime::Streams;
use crate::wire::Refusal;

/// So long a FIFO's reader may take to open it: without one, what a quick process writes is lost.
const READER_PATIENCE: Duration = Duration::from_secs(1);

/// What containerd says of a process's streams: paths or URIs, empty for none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paths {
    pub(crate) stdin: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) terminal: bool,
}

/// The ends that the shim keeps open.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    stdin: Option<File>,
    /// Whether the input may end, which containerd can say while the process is still being started.
    input_ended: bool,
    #[expect(dead_code, reason = "held, not used: the descriptors keep the FIFOs alive")]
    outputs: Vec<File>,
}

impl Kept {
    /// Holds an input open, unless it may end already.
    fn keep_stdin(&mut self, writer: File) {
        self.stdin = (!self.input_ended).then_some(writer);
    }

    /// From now on the process's input can end.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
        self.input_ended = true;
    }

    /// Takes the ends that were opened for the process, less an input that has ended meanwhile.
    pub(crate) fn take_over(&mut self, mut opened: Self) {
        if self.input_ended {
            opened.close_stdin();
        }
        *self = opened;
    }
}

/// The input of a process without a terminal: a pipe, into which goes what comes by a FIFO.
///
/// The FIFO is opened when the process runs, and no sooner: its writer waits for that. ctr tells of the input's end
/// (`CloseIO`) only where that comes after the answer to `Create`, which a short input's would not.
#[derive(Debug, Default)]
pub(crate) enum Input {
    /// None, or one that is no FIFO, or that has ended.
    #[default]
    Direct,
    Waiting {
        fifo: String,
        to: File,
    },
    Flowing(Pump),
}

impl Input {
    /// The process runs.
    ///
    /// # Errors
    /// The FIFO cannot be opened: then the input has ended.
    pub(crate) fn begin(&mut self, kept: &mut Kept) -> anyhow::Result<()> {
        let Self::Waiting { fifo, to } = std::mem::take(self) else { return Ok(()) };
        let from = open_file(&fifo, OFlags::RDONLY | OFlags::NONBLOCK)?;
        kept.keep_stdin(open_file(&fifo, OFlags::WRONLY | OFlags::NONBLOCK)?);
        *self = Self::Flowing(Pump::new(from, to));
        Ok(())
    }

    /// Carries what there is.
    pub(crate) fn turn(&mut self) {
        if let Self::Flowing(pump) = self {
            pump.turn();
            if pump.is_done() {
                *self = Self::Direct;
            }
        }
    }

    /// What to poll for.
    pub(crate) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match self {
            Self::Flowing(pump) => pump.interest(),
            _ => None,
        }
    }
}

/// The streams of a process that is to be made, and what the shim does with them.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    pub(crate) kept: Kept,
    pub(crate) input: Input,
    pub(crate) copied: Vec<Copied>,
}

/// Output on its way from a pipe, which the process has, to a FIFO.
#[derive(Debug)]
pub(crate) struct Copied {
    pub(crate) pump: Pump,
    #[expect(dead_code, reason = "held, not used: without a reader there is no broken pipe")]
    kept: Option<File>,
}

/// How the output of a process without a terminal leaves it.
pub(crate) enum Output {
    /// Directly.
    Direct,
    /// By pipes, which the shim reads.
    Copied,
    /// To a logging program, whose ends nobody else keeps.
    Logged(File, File),
}

/// One end for the process (or its terminal), one to be kept.
struct Ends {
    used: File,
    kept: Option<File>,
}

impl Ends {
    fn alone(used: File) -> Self {
        Self { used, kept: None }
    }
}

/// Opens the streams of a process without a terminal.
///
/// # Errors
/// A path that cannot be opened, a scheme that is not supported.
pub(crate) fn open(
    paths: &Paths,
    owner: Option<(u32, u32)>,
    output: Output,
) -> Result<(Streams, Carried), Refusal> {
    let (stdin, input) = open_input(&paths.stdin, owner)?;
    let mut copied = Vec::new();
    let (stdout, stderr) = match output {
        Output::Logged(out, err) => (Ends::alone(out), Ends::alone(err)),
        Output::Direct => {
            (open_output(&paths.stdout, false, owner)?, open_output(&paths.stderr, false, owner)?)
        }
        Output::Copied => {
            (open_copied(&paths.stdout, &mut copied)?, open_copied(&paths.stderr, &mut copied)?)
        }
    };
    let outputs = [stdout.kept, stderr.kept].into_iter().flatten().collect();
    let kept = Kept { outputs, ..Kept::default() };
    let streams = Streams {
        stdin: Stdio::from(stdin),
        stdout: Stdio::from(stdout.used),
        stderr: Stdio::from(stderr.used),
    };
    Ok((streams, Carried { kept, input, copied }))
}

/// A pipe to a FIFO. What is no FIFO has no reader that waits for its end, and is written to directly.
fn open_copied(path: &str, copied: &mut Vec<Copied>) -> Result<Ends, Refusal> {
    let ends = open_output(path, true, None)?;
    if ends.kept.is_none() {
        return open_output(path, false, None);
    }
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).context("make a pipe")?;
    rustix::io::ioctl_fionbio(&read, true).context("make a pipe non-blocking")?;
    copied.push(Copied { pump: Pump::new(File::from(read), ends.used), kept: ends.kept });
    Ok(Ends::alone(File::from(write)))
}

/// Opens what a terminal's input comes from and its output goes to, both non-blocking.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_for_terminal(
    paths: &Paths,
    logger: Option<File>,
) -> Result<(Option<File>, File, Kept), Refusal> {
    let stdin = match paths.stdin.is_empty() {
        true => None,
        false => Some(open_typed(&paths.stdin)?),
    };
    let stdout = match logger {
        Some(used) => Ends::alone(used),
        None => open_output(&paths.stdout, true, None)?,
    };
    let (input, kept) = stdin.map_or((None, None), |ends| (Some(ends.used), ends.kept));
    Ok((
        input,
        stdout.used,
        Kept { stdin: kept, input_ended: false, outputs: stdout.kept.into_iter().collect() },
    ))
}

fn open_input(path: &str, owner: Option<(u32, u32)>) -> Result<(File, Input), Refusal> {
    if path.is_empty() {
        return Ok((null()?.used, Input::Direct));
    }
    let path = plain_path(path)?;
    if !is_fifo(path)? {
        return Ok((open_file(path, OFlags::RDONLY)?, Input::Direct));
    }
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).context("make a pipe")?;
    rustix::io::ioctl_fionbio(&write, true).context("make a pipe non-blocking")?;
    give(&read, owner)?;
    Ok((File::from(read), Input::Waiting { fifo: path.to_owned(), to: File::from(write) }))
}

/// Opens what a terminal's input comes from.
fn open_typed(path: &str) -> Result<Ends, Refusal> {
    let path = plain_path(path)?;
    // With both directions open neither of the others waits.
    let both = open_file(path, OFlags::RDWR | OFlags::NONBLOCK)?;
    let used = open_file(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
    let kept = open_file(path, OFlags::WRONLY | OFlags::NONBLOCK)?;
    drop(both);
    Ok(Ends { used, kept: Some(kept) })
}

fn open_output(path: &str, nonblocking: bool, owner: Option<(u32, u32)>) -> Result<Ends, Refusal> {
    if path.is_empty() {
        return Ok(null()?);
    }
    if let Some(file) = path.strip_prefix("file://") {
        return Ok(Ends::alone(open_log(file)?));
    }
    let path = plain_path(path)?;
    if !is_fifo(path)? {
        return Ok(Ends::alone(open_file(path, OFlags::WRONLY | OFlags::APPEND)?));
    }
    let first = await_reader(path)?;
    let kept = open_file(path, OFlags::RDWR | OFlags::NONBLOCK)?;
    let used = open_file(path, OFlags::WRONLY | blocking(nonblocking))?;
    // Closed any sooner, the reader would see the end of the output here.
    drop(first);
    give(&used, owner)?;
    Ok(Ends { used, kept: Some(kept) })
}

fn plain_path(path: &str) -> Result<&str, Refusal> {
    match path.split_once("://") {
        None => Ok(path),
        Some(("fifo", path)) => Ok(path),
        Some((scheme, _)) => Err(Refusal::unimplemented(&format!("logging to {scheme}://"))),
    }
}

fn open_log(path: &str) -> anyhow::Result<File> {
    // containerd may put a query behind the path; the path itself is absolute.
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let path = logger::decode(path).with_context(|| format!("{path}: two digits follow %"))?;
    if let Some(folder) = Path::new(&path).parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    let file = OpenOptions::new().create(true).append(true).mode(0o644).open(&path);
    file.with_context(|| format!("open the log {path}"))
}

fn is_fifo(path: &str) -> anyhow::Result<bool> {
    let metadata = std::fs::metadata(path).with_context(|| format!("look at {path}"))?;
    Ok(metadata.file_type().is_fifo())
}

/// Waits until somebody has opened the FIFO for reading, or opens it now. Whoever asked for the process
/// did so before; this is for the moment in between. Without a reader it goes on: one may come later.
fn await_reader(path: &str) -> anyhow::Result<Option<OwnedFd>> {
    let deadline = Instant::now() + READER_PATIENCE;
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    loop {
        match rustix::fs::open(path, flags, rustix::fs::Mode::empty()) {
            Ok(writer) => return Ok(Some(writer)),
            Err(rustix::io::Errno::NXIO) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(rustix::io::Errno::NXIO) => return Ok(None),
            Err(error) => return Err(anyhow!(error).context(format!("open {path}"))),
        }
    }
}

fn blocking(nonblocking: bool) -> OFlags {
    if nonblocking { OFlags::NONBLOCK } else { OFlags::empty() }
}

fn open_file(path: &str, flags: OFlags) -> anyhow::Result<File> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty());
    Ok(File::from(file.with_context(|| format!("open {path}"))?))
}

fn null() -> anyhow::Result<Ends> {
    Ok(Ends::alone(open_file("/dev/null", OFlags::RDWR)?))
}

/// Gives a FIFO to the user that a container's root is outside of it, who may open it again.
fn give(fifo: impl AsFd, owner: Option<(u32, u32)>) -> anyhow::Result<()> {
    let Some((uid, gid)) = owner else { return Ok(()) };
    rustix::fs::fchown(fifo, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .context("give a FIFO to the container's user")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_ended_early_stays_ended() {
        let opened = || Kept { stdin: File::open("/dev/null").ok(), ..Kept::default() };
        let mut kept = Kept::default();
        kept.take_over(opened());
        assert!(kept.stdin.is_some());
        let mut kept = Kept::default();
        kept.close_stdin();
        kept.take_over(opened());
        assert!(kept.stdin.is_none());
    }

    #[test]
    fn schemes_are_told_apart() {
        assert_eq!(plain_path("/run/fifo/a").unwrap(), "/run/fifo/a");
        assert_eq!(plain_path("fifo:///run/a").unwrap(), "/run/a");
        let refusal = plain_path("npipe:///logger").unwrap_err();
        assert!(refusal.message.contains("npipe://"), "{}", refusal.message);
    }
}
