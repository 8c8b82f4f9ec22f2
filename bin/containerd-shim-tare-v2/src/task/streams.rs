//! What a process's streams need before the runtime makes it, and after.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::container::{Container, Process};
use super::{Caller, Tasks};
use crate::logger;
use crate::runtime::{Started, Streams};
use crate::stdio::{self, Carried, Output, Paths};
use crate::terminal::{ConsoleSocket, Terminal};
use crate::wire::{Refusal, Reply};

/// A logging program may take so long to say that it is ready.
const LOGGER_PATIENCE: Duration = Duration::from_secs(30);

/// What waits for the runtime.
pub(super) struct Prepared {
    ends: Ends,
    logger: Option<Logging>,
}

enum Ends {
    /// Handed over already.
    Streams(Carried),
    /// For the terminal that the runtime will send; its output may go to a logging program.
    Console { socket: ConsoleSocket, paths: Paths, output: Option<File> },
}

struct Logging {
    pid: u32,
    ready: File,
}

type Then = Box<dyn FnOnce(&mut Tasks, anyhow::Result<()>)>;

/// What is done when a logging program is ready, or has not been in time.
pub(super) struct Awaited {
    pub(super) ready: File,
    pub(super) until: Instant,
    then: Then,
}

impl Awaited {
    /// What came of it; nothing as long as it is still to come.
    fn outcome(&self) -> Option<anyhow::Result<()>> {
        if logger::is_ready(&self.ready) {
            return Some(Ok(()));
        }
        let late = Instant::now() >= self.until;
        late.then(|| Err(anyhow::anyhow!("the logging program was not ready in time")))
    }
}

/// Opens the streams, or the socket for a terminal and adds it to the arguments. `name` is the process's
/// own: the container's id, or that of an exec.
pub(super) fn prepare(
    container: &Container,
    process: &Process,
    name: &str,
    namespace: &str,
    arguments: &mut Vec<OsString>,
) -> Result<(Option<Streams>, Prepared), Refusal> {
    let paths = &process.paths;
    let (outputs, logger) = match logger::is_wanted(&paths.stdout) {
        true => {
            let started = logger::start(&paths.stdout, name, namespace)?;
            let logger = Logging { pid: started.pid, ready: started.ready };
            (Some((started.stdout, started.stderr)), Some(logger))
        }
        false => (None, None),
    };
    if !paths.terminal {
        let output = match outputs {
            Some((stdout, stderr)) => Output::Logged(stdout, stderr),
            None if process.is_exec() => Output::Copied,
            None => Output::Direct,
        };
        let (streams, carried) = stdio::open(paths, container.options.io_owner, output)?;
        return Ok((Some(streams), Prepared { ends: Ends::Streams(carried), logger }));
    }
    let output = outputs.map(|(stdout, _)| nonblocking(stdout)).transpose()?;
    let socket = bind_console(&container.bundle, name, arguments)?;
    let ends = Ends::Console { socket, paths: paths.clone(), output };
    Ok((None, Prepared { ends, logger }))
}

fn nonblocking(file: File) -> anyhow::Result<File> {
    rustix::io::ioctl_fionbio(&file, true).context("make a pipe non-blocking")?;
    Ok(file)
}

fn bind_console(
    bundle: &Path,
    name: &str,
    arguments: &mut Vec<OsString>,
) -> anyhow::Result<ConsoleSocket> {
    let socket = ConsoleSocket::bind(bundle, name)?;
    arguments.extend(["--console-socket".into(), socket.name().into()]);
    Ok(socket)
}

impl Prepared {
    /// Gives a process that the runtime has made what was prepared.
    pub(super) fn connect(self, process: &mut Process) -> Result<(), Refusal> {
        match self.ends {
            Ends::Streams(Carried { kept, input, copied }) => {
                process.kept.take_over(kept);
                process.input = input;
                process.copied = copied;
            }
            Ends::Console { socket, paths, output } => {
                let master = socket.receive()?;
                let (stdin, stdout, kept) = stdio::open_for_terminal(&paths, output)?;
                process.terminal = Some(Terminal::new(master, stdin, stdout)?);
                process.kept.take_over(kept);
            }
        }
        Ok(())
    }
}

impl Tasks {
    /// Goes on with the request when a runtime has ended that makes a process (its container, and its exec or
    /// nothing), and when the process's logging program, if there is one, is ready; the answer goes to the caller.
    /// A logging program that is not used in the end is dismissed.
    pub(super) fn when_made(
        &mut self,
        (id, exec): (&str, &str),
        started: Started,
        mut prepared: Prepared,
        caller: Caller,
        then: impl FnOnce(&mut Self, anyhow::Result<String>, Prepared) -> Reply + 'static,
    ) {
        let Some(logger) = prepared.logger.take() else {
            self.when_ended(started, Some(caller), |tasks, outcome| then(tasks, outcome, prepared));
            return;
        };
        let Logging { pid, ready } = logger;
        self.loggers.add(pid);
        if let Ok(process) = self.process_mut(id, exec) {
            process.logger = Some(pid);
        }
        let answer = move |tasks: &mut Self, outcome| {
            let reply = then(tasks, outcome, prepared);
            if reply.is_err() {
                tasks.loggers.dismiss(pid);
            }
            tasks.answers.push((caller, reply));
        };
        self.after(started, move |tasks, outcome| match outcome {
            Err(error) => answer(tasks, Err(error)),
            Ok(output) => {
                let then = move |tasks: &mut Self, ready: anyhow::Result<()>| {
                    answer(tasks, ready.map(|()| output));
                };
                let until = Instant::now() + LOGGER_PATIENCE;
                tasks.awaited.push(Awaited { ready, until, then: Box::new(then) });
            }
        });
    }

    /// Goes on with those that have waited long enough.
    pub(super) fn turn_awaited(&mut self) {
        for awaited in std::mem::take(&mut self.awaited) {
            match awaited.outcome() {
                Some(outcome) => (awaited.then)(self, outcome),
                None => self.awaited.push(awaited),
            }
        }
    }
}
