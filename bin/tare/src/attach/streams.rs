//! The streams that a process in a container starts with, and our ends of them.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use rustix::pipe::{PipeFlags, pipe_with};

/// Where the process' input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// There is none.
    Closed,
    /// Our standard input.
    Ours,
    /// Nowhere, but it does not end: an interactive program that was started in the background.
    Silent,
}

/// Where the process' output goes, besides the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// To our standard output and error.
    Ours,
    /// To the log only.
    LogOnly,
    /// It is thrown away.
    Nowhere,
}

/// What the process gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) tty: bool,
    pub(crate) input: Input,
    pub(crate) output: Output,
}

/// Our ends of the process' streams.
#[derive(Debug)]
pub(super) struct Ends {
    /// Where its input is written; `None` where it has none.
    pub(super) stdin: Option<File>,
    pub(super) stdout: File,
    pub(super) stderr: File,
    pub(super) terminal: Option<File>,
}

impl Ends {
    /// Makes the pipes and gives the other ends to the command.
    ///
    /// With a terminal the runtime alone has the pipes, to say what went wrong.
    pub(super) fn new(plan: &Plan, command: &mut Command) -> anyhow::Result<Self> {
        let (stdout, theirs) = pipe()?;
        command.stdout(match plan.output {
            Output::Ours | Output::LogOnly => Stdio::from(theirs),
            Output::Nowhere => Stdio::null(),
        });
        let (stderr, theirs) = pipe()?;
        command.stderr(match plan.output {
            Output::Ours | Output::LogOnly => Stdio::from(theirs),
            Output::Nowhere => Stdio::null(),
        });
        let stdin = match plan.input {
            Input::Ours | Input::Silent if !plan.tty => {
                let (theirs, ours) = pipe()?;
                command.stdin(theirs);
                Some(File::from(ours))
            }
            _ => {
                command.stdin(Stdio::null());
                None
            }
        };
        Ok(Self { stdin, stdout: stdout.into(), stderr: stderr.into(), terminal: None })
    }

    /// With the terminal that replaces the pipes, if there is one.
    pub(super) fn with_terminal(self, terminal: Option<File>) -> Self {
        Self { terminal, ..self }
    }

    /// What a runtime that is gone wrote to standard error, 64 KiB at most. It does not wait for more:
    /// somebody may still hold the other end.
    pub(super) fn what_was_said(&self) -> Vec<u8> {
        let mut said = vec![0; 64 << 10];
        let flags = rustix::fs::OFlags::NONBLOCK;
        let count = rustix::fs::fcntl_setfl(&self.stderr, flags)
            .ok()
            .and_then(|()| (&self.stderr).read(&mut said).ok())
            .unwrap_or(0);
        said.truncate(count);
        said
    }
}

fn pipe() -> anyhow::Result<(OwnedFd, OwnedFd)> {
    pipe_with(PipeFlags::CLOEXEC).context("cannot make a pipe")
}
