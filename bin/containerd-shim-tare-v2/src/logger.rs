//! Logging programs, which a process's output goes to: containerd's `binary://` URIs.
//!
//! ```text
//! binary:///usr/bin/log?--tag=web   ▶   /usr/bin/log --tag web
//!     3 the output   4 the errors   5 closed or written to when it is ready
//!     CONTAINER_ID, CONTAINER_NAMESPACE: its whole environment
//! ```
//!
//! The descriptors arrive as standard streams of this program's own `logger` command, which moves them and
//! becomes the logging program: in a fresh process 3, 4 and 5 are the next that are free.
//!
//! A logging program sees the end of the output when the process and all its children have ended. What it
//! must never do is outlive the container: then it is asked to end, and killed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::IntoRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use percent_encoding::percent_decode_str;
use rustix::fs::Access;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process};

use crate::task::Caller;
use crate::wire::Reply;

/// The command of this program that becomes a logging program.
pub(crate) const COMMAND: &str = "logger";

const SCHEME: &str = "binary://";

/// So long after the container's end a logging program is asked to end, and so long after that killed:
/// the latter is what containerd's own shim grants.
const ASK_AFTER: Duration = Duration::from_secs(1);
const KILL_AFTER: Duration = Duration::from_secs(13);

/// A logging program that was started.
#[derive(Debug)]
pub(crate) struct Logger {
    pub(crate) pid: u32,
    /// Becomes readable when it is ready; non-blocking.
    pub(crate) ready: File,
    /// Where the process writes.
    pub(crate) stdout: File,
    pub(crate) stderr: File,
}

/// Whether output goes to a logging program.
pub(crate) fn is_wanted(uri: &str) -> bool {
    uri.starts_with(SCHEME)
}

/// Starts the logging program that a URI names, for a process with this id.
///
/// # Errors
/// There is no such program.
pub(crate) fn start(uri: &str, id: &str, namespace: &str) -> anyhow::Result<Logger> {
    let words = words(uri)?;
    let program = &words[0];
    rustix::fs::access(program.as_str(), Access::EXEC_OK)
        .with_context(|| format!("start the logging program {program}"))?;
    let pipe = || pipe_with(PipeFlags::CLOEXEC).context("make a pipe");
    let ((out, stdout), (err, stderr), (ready, tell)) = (pipe()?, pipe()?, pipe()?);
    rustix::io::ioctl_fionbio(&ready, true).context("make a pipe non-blocking")?;
    let child = Command::new(std::env::current_exe().context("find this program")?)
        .arg(COMMAND)
        .args(&words)
        .env_clear()
        .envs([("CONTAINER_ID", id), ("CONTAINER_NAMESPACE", namespace)])
        .stdin(Stdio::from(out))
        .stdout(Stdio::from(err))
        .stderr(Stdio::from(tell))
        .spawn()
        .with_context(|| format!("start the logging program {program}"))?;
    let (ready, stdout, stderr) = (File::from(ready), File::from(stdout), File::from(stderr));
    Ok(Logger { pid: child.id(), ready, stdout, stderr })
}

/// Whether a logging program has said that it is ready.
pub(crate) fn is_ready(mut ready: &File) -> bool {
    let said = ready.read(&mut [0; 1]);
    !said.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// The `logger` command: becomes the program with these words.
///
/// # Errors
/// It cannot.
pub(crate) fn become_program(mut words: impl Iterator<Item = OsString>) -> anyhow::Result<()> {
    let program = words.next().context("a logging program is missing")?;
    let [stdin, stdout, stderr] =
        [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    for (stream, wanted) in [(stdin, 3), (stdout, 4), (stderr, 5)] {
        let moved = rustix::io::dup(stream).context("move a pipe")?.into_raw_fd();
        if moved != wanted {
            bail!("descriptor {wanted} is in use, got {moved}");
        }
    }
    let mut command = Command::new(&program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Err(anyhow!(command.exec()).context(format!("start {}", program.display())))
}

/// The program and its arguments: each name of the query is followed by its value.
fn words(uri: &str) -> anyhow::Result<Vec<String>> {
    let rest = uri.strip_prefix(SCHEME).with_context(|| format!("{uri}: no {SCHEME}"))?;
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = decode(path).with_context(|| format!("{uri}: what follows % are two digits"))?;
    if !path.starts_with('/') {
        bail!("{uri}: the path of a logging program is absolute");
    }
    let mut words = vec![path];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        for text in [name, value] {
            let text = decode(&text.replace('+', " "));
            words.push(text.with_context(|| format!("{uri}: what follows % are two digits"))?);
        }
    }
    Ok(words)
}

/// Text with its `%xx` resolved (RFC 3986, section 2.1); none if a `%` stands before anything else.
pub(crate) fn decode(text: &str) -> Option<String> {
    let digit = |at: Option<&u8>| at.is_some_and(u8::is_ascii_hexdigit);
    let mut escapes = text.split('%').skip(1).map(str::as_bytes);
    if !escapes.all(|escape| digit(escape.first()) && digit(escape.get(1))) {
        return None;
    }
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

/// All that run, and who waits for their end.
#[derive(Debug, Default)]
pub(crate) struct Loggers {
    /// By pid: since when each is needed no more.
    running: BTreeMap<u32, Option<Instant>>,
    farewells: Vec<(Vec<u32>, Caller, Reply)>,
}

impl Loggers {
    pub(crate) fn add(&mut self, pid: u32) {
        self.running.insert(pid, None);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Answers when these, which are needed no more, have ended and so have written all.
    pub(crate) fn answer_after(&mut self, pids: Vec<u32>, caller: Caller, reply: Reply) {
        pids.iter().for_each(|pid| self.dismiss(*pid));
        self.farewells.push((pids, caller, reply));
    }

    /// The process whose output it takes is gone.
    pub(crate) fn dismiss(&mut self, pid: u32) {
        if let Some(dismissed) = self.running.get_mut(&pid) {
            dismissed.get_or_insert_with(Instant::now);
        }
    }

    /// One of these has ended; whether it was one.
    pub(crate) fn ended(&mut self, pid: u32) -> bool {
        self.running.remove(&pid).is_some()
    }

    /// The answers that wait for nobody any more.
    pub(crate) fn answers(&mut self) -> Vec<(Caller, Reply)> {
        let running = &self.running;
        let over = |pids: &[u32]| !pids.iter().any(|pid| running.contains_key(pid));
        let (done, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.farewells).into_iter().partition(|(pids, ..)| over(pids));
        self.farewells = waiting;
        done.into_iter().map(|(_, caller, reply)| (caller, reply)).collect()
    }

    /// When [`Loggers::turn`] is to be called at the latest.
    pub(crate) fn due(&self) -> Option<Instant> {
        let next = |dismissed: &Instant| {
            let asked = dismissed.elapsed() >= ASK_AFTER;
            *dismissed + if asked { KILL_AFTER } else { ASK_AFTER }
        };
        self.running.values().flatten().map(next).min()
    }

    /// Ends those that do not end by themselves. A signal that comes twice does no harm.
    pub(crate) fn turn(&self) {
        for (pid, dismissed) in &self.running {
            let waited = dismissed.map_or(Duration::ZERO, |since| since.elapsed());
            if waited >= KILL_AFTER {
                signal(*pid, Signal::KILL);
            } else if waited >= ASK_AFTER {
                signal(*pid, Signal::TERM);
            }
        }
    }
}

/// Signals a child that has not been reaped.
fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // One that has ended just now does not mind.
        let _ = kill_process(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_a_command() {
        let words = |uri| words(uri).unwrap();
        assert_eq!(words("binary:///bin/log"), ["/bin/log"]);
        assert_eq!(
            words("binary:///opt/my%20log?--tag=a%26b&-v&c=d+e"),
            ["/opt/my log", "--tag", "a&b", "-v", "", "c", "d e"]
        );
        for wrong in [
            "binary://log",
            "binary:///log%2",
            "binary:///log?a=%zz",
            "binary:///%+1",
            "file:///log",
        ] {
            assert!(super::words(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_answer_waits_for_the_last_words() {
        let caller = Caller { connection: 0, stream: 1 };
        let mut loggers = Loggers::default();
        loggers.add(7);
        assert!(loggers.due().is_none());
        loggers.answer_after(vec![7, 8], caller, Ok(Vec::new()));
        assert!(loggers.due().is_some() && loggers.answers().is_empty());
        assert!(!loggers.ended(8));
        assert!(loggers.ended(7) && loggers.is_empty());
        assert_eq!(loggers.answers().len(), 1);
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = start("binary:///no/such", "id", "default").unwrap_err();
        assert!(format!("{error:#}").contains("/no/such"), "{error:#}");
    }
}
