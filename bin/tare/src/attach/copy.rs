//! Threads that copy the streams of a process.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd as _;
use std::thread::JoinHandle;

use anyhow::Context as _;

use super::streams::{Ends, Input, Output, Plan};
use crate::log::{Log, LogStream, Stream};

/// The threads; input is not waited for.
#[derive(Debug)]
pub(super) struct Copies {
    outputs: Vec<JoinHandle<()>>,
    /// Kept open until the process has ended, where nobody writes to it.
    _input: Option<File>,
}

impl Copies {
    pub(super) fn start(ends: Ends, plan: &Plan, log: Option<&Log>) -> anyhow::Result<Self> {
        let log = |stream| log.map(|log| log.stream(stream));
        let Ends { stdin, stdout, stderr, terminal } = ends;
        let mut outputs = Vec::new();
        let input = match terminal {
            Some(terminal) => {
                let input = terminal.try_clone().context("cannot copy a descriptor")?;
                outputs.push(output(terminal, plan.output, Stream::Stdout, log(Stream::Stdout))?);
                Some(input)
            }
            None => {
                outputs.push(output(stdout, plan.output, Stream::Stdout, log(Stream::Stdout))?);
                outputs.push(output(stderr, plan.output, Stream::Stderr, log(Stream::Stderr))?);
                stdin
            }
        };
        match (plan.input, input) {
            (Input::Ours, Some(to)) => {
                spawn("input", move || copy_input(to))?;
                Ok(Self { outputs, _input: None })
            }
            (_, input) => Ok(Self { outputs, _input: input }),
        }
    }

    /// Waits until all output has been copied.
    pub(super) fn finish(self) {
        for thread in self.outputs {
            // A panic there has been reported by the hook.
            let _ = thread.join();
        }
    }
}

fn output(
    from: File,
    to: Output,
    stream: Stream,
    log: Option<LogStream>,
) -> anyhow::Result<JoinHandle<()>> {
    let ours = match (to, stream) {
        (Output::LogOnly | Output::Nowhere, _) => None,
        (Output::Ours, Stream::Stdout) => Some(io::stdout().as_fd().try_clone_to_owned()),
        (Output::Ours, Stream::Stderr) => Some(io::stderr().as_fd().try_clone_to_owned()),
    };
    let ours = ours.transpose().context("cannot copy a descriptor")?.map(File::from);
    spawn("output", move || copy_output(from, ours, log))
}

/// Copies until the container has closed its side, or until nobody reads ours: then `from` is closed,
/// and the container learns of it as it would in a pipeline. A log that cannot be written (a full
/// disk) does not stop the container.
fn copy_output(mut from: File, mut to: Option<File>, mut log: Option<LogStream>) {
    let mut buffer = vec![0; 64 << 10];
    while let Some(count) = read(&mut from, &mut buffer) {
        if log.as_mut().is_some_and(|log| log.write(&buffer[..count]).is_err()) {
            log = None;
        }
        if to.as_mut().is_some_and(|to| to.write_all(&buffer[..count]).is_err()) {
            break;
        }
    }
    if let Some(log) = log {
        let _ = log.finish();
    }
}

fn copy_input(mut to: File) {
    let mut from = io::stdin().lock();
    let mut buffer = vec![0; 64 << 10];
    while let Some(count) = read(&mut from, &mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

/// `None` at the end; a terminal whose other side is closed says `EIO` for that.
fn read(from: &mut impl Read, buffer: &mut [u8]) -> Option<usize> {
    loop {
        match from.read(buffer) {
            Ok(0) => return None,
            Ok(count) => return Some(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(256 << 10)
        .spawn(work)
        .context("cannot start a thread")
}
