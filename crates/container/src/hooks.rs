//! Hooks: programs that the bundle wants run at six points of a container's life, each with the
//! container's state on its standard input (runtime-spec, config.md "POSIX-platform Hooks").
//!
//! A host's hooks run in the bundle, the container's in its root; they get no descriptor but the
//! standard streams. The runner knows no threads, for it is also called between clone and exec: it waits for a hook by
//! its pidfd, with the hook's time limit.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oci_spec::runtime::{Hook, Hooks};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

use crate::error::{Error, Result, reason};
use crate::signals::SignalQueue;
use crate::state::{State, Status};
use crate::syscalls;

/// A point in a container's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    Prestart,
    CreateRuntime,
    CreateContainer,
    StartContainer,
    Poststart,
    Poststop,
}

impl Point {
    /// The container's status while hooks of this point run. That prestart hooks see `created` is what
    /// the validation suite of OCI's runtime-tools asks for and crun says; runc says `creating`.
    pub(crate) fn status(self) -> Status {
        match self {
            Self::CreateRuntime | Self::CreateContainer => Status::Creating,
            Self::Prestart | Self::StartContainer => Status::Created,
            Self::Poststart => Status::Running,
            Self::Poststop => Status::Stopped,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::CreateContainer => "createContainer",
            Self::StartContainer => "startContainer",
            Self::Poststart => "poststart",
            Self::Poststop => "poststop",
        }
    }
}

/// The hooks of a point, in their order.
pub(crate) fn at(hooks: Option<&Hooks>, point: Point) -> &[Hook] {
    let Some(hooks) = hooks else { return &[] };
    let list = match point {
        Point::Prestart => hooks.prestart(),
        Point::CreateRuntime => hooks.create_runtime(),
        Point::CreateContainer => hooks.create_container(),
        Point::StartContainer => hooks.start_container(),
        Point::Poststart => hooks.poststart(),
        Point::Poststop => hooks.poststop(),
    };
    list.as_deref().unwrap_or_default()
}

/// Runs the hooks of a point; the first that fails ends it.
pub(crate) fn run(hooks: Option<&Hooks>, point: Point, state: &State) -> Result<()> {
    run_in(hooks, point, state, &[])
}

/// The same for hooks that have `environment` where they name none of their own.
pub(crate) fn run_in(
    hooks: Option<&Hooks>,
    point: Point,
    state: &State,
    environment: &[String],
) -> Result<()> {
    run_until_failure(hooks, &Run { point, state, environment, signals: None })
}

/// Runs the hooks that come while the first process waits in the host's file system. A signal that asks
/// the runtime to end is a hook's failure.
pub(crate) fn run_for_runtime(
    hooks: Option<&Hooks>,
    mut state: State,
    signals: Option<&SignalQueue>,
) -> Result<()> {
    for point in [Point::Prestart, Point::CreateRuntime] {
        state.status = point.status();
        let run = Run { point, state: &state, environment: &[], signals };
        run_until_failure(hooks, &run)?;
    }
    Ok(())
}

/// Runs all hooks of a point, whatever becomes of each, and returns the first failure.
pub(crate) fn run_all(hooks: Option<&Hooks>, point: Point, state: &State) -> Result<()> {
    let run = Run { point, state, environment: &[], signals: None };
    let mut first = Ok(());
    for (index, hook) in at(hooks, point).iter().enumerate() {
        first = first.and(run_one(&run, index, hook));
    }
    first
}

/// What all hooks of a point run with.
struct Run<'a> {
    point: Point,
    state: &'a State,
    environment: &'a [String],
    /// Held back by the runtime, which is not waited for in vain then.
    signals: Option<&'a SignalQueue>,
}

fn run_until_failure(hooks: Option<&Hooks>, run: &Run<'_>) -> Result<()> {
    let mut numbered = at(hooks, run.point).iter().enumerate();
    numbered.try_for_each(|(index, hook)| run_one(run, index, hook))
}

fn run_one(run: &Run<'_>, index: usize, hook: &Hook) -> Result<()> {
    try_one(run, hook).map_err(|reason| Error::Hook {
        point: run.point.name(),
        index,
        path: hook.path().display().to_string(),
        reason,
    })
}

/// How much of what a failed hook said is repeated of each stream, in bytes.
const SAID_AT_MOST: u64 = 4096;

/// Runs a hook. What it says is repeated only when it fails, as runc has it.
fn try_one(run: &Run<'_>, hook: &Hook) -> Result<(), String> {
    let (said, complained) = (sink("stdout"), sink("stderr"));
    let mut command = command(run, hook);
    let input = input(run.state).map_err(|error| format!("prepare its input: {error}"))?;
    command.stdin(input).stdout(stream(&said)).stderr(stream(&complained));
    let mut child = command.spawn().map_err(|error| reason(&error))?;
    drop(command);
    let limit = hook.timeout().and_then(|seconds| u64::try_from(seconds).ok());
    wait(&mut child, limit.map(Duration::from_secs), run.signals).map_err(|failure| {
        let (said, complained) = (text(said), text(complained));
        format!("{failure}, stdout: {said}, stderr: {complained}")
    })
}

fn command(run: &Run<'_>, hook: &Hook) -> Command {
    let &Run { point, state, environment, .. } = run;
    let mut command = Command::new(hook.path());
    if let Some((name, arguments)) = hook.args().as_deref().and_then(<[String]>::split_first) {
        command.arg0(name).args(arguments);
    }
    let own = hook.env().as_deref();
    let variables = match point {
        Point::StartContainer => own.filter(|own| !own.is_empty()).or(Some(environment)),
        Point::CreateContainer => own.or(Some(&[])),
        // A host's program without a list of its own has the runtime's variables.
        _ => own,
    };
    if let Some(variables) = variables {
        let variables = variables.iter().filter_map(|variable| variable.split_once('='));
        command.env_clear().envs(variables);
    }
    match point {
        // In its own directory, with the descriptors that its program will have: a filter is in force.
        Point::StartContainer => return command,
        Point::CreateContainer => command.current_dir(&state.rootfs),
        // The bundle may be gone when its container is deleted.
        _ if state.bundle.is_dir() => command.current_dir(&state.bundle),
        _ => command.current_dir("/"),
    };
    // SAFETY: only system calls that pass numbers and a set on the stack.
    unsafe { command.pre_exec(syscalls::detach_from_caller) };
    command
}

/// The state, readable to its end whether the hook reads it or not: never more in a pipe than the
/// smallest one holds.
fn input(state: &State) -> std::io::Result<Stdio> {
    const SMALLEST_PIPE: usize = 4096;
    let bytes = serde_json::to_vec(&told(state))?;
    if bytes.len() <= SMALLEST_PIPE {
        let (reader, mut writer) = std::io::pipe()?;
        writer.write_all(&bytes)?;
        return Ok(reader.into());
    }
    let mut file = File::from(memfd_create("state", MemfdFlags::CLOEXEC)?);
    file.write_all(&bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// Where a hook's words are kept; None where the container's filter forbids to make it.
fn sink(name: &str) -> Option<File> {
    memfd_create(name, MemfdFlags::CLOEXEC).ok().map(File::from)
}

fn stream(sink: &Option<File>) -> Stdio {
    sink.as_ref().and_then(|sink| sink.try_clone().ok()).map_or_else(Stdio::null, Stdio::from)
}

fn text(sink: Option<File>) -> String {
    let mut text = Vec::new();
    if let Some(mut sink) = sink {
        // What cannot be read is not repeated.
        let _ = sink.rewind().and_then(|()| sink.take(SAID_AT_MOST).read_to_end(&mut text));
    }
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

/// The state as runtime-spec has it (runtime.md "State"), without what `state` adds.
pub(crate) fn told(state: &State) -> serde_json::Value {
    let mut told = serde_json::json!({
        "ociVersion": state.oci_version,
        "id": state.id,
        "status": state.status,
        "bundle": state.bundle,
    });
    if state.pid != 0 {
        told["pid"] = state.pid.into();
    }
    if !state.annotations.is_empty() {
        told["annotations"] = serde_json::json!(state.annotations);
    }
    told
}

fn wait(
    child: &mut Child,
    limit: Option<Duration>,
    signals: Option<&SignalQueue>,
) -> Result<(), String> {
    if (limit.is_some() || signals.is_some())
        && let Err(reason) = ends_in_time(child, limit, signals)
    {
        let _ = child.kill();
        let _ = child.wait();
        return Err(reason);
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    Err(match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        // Named as in runc's messages.
        (None, Some(libc::SIGSYS)) => "signal: bad system call".into(),
        (None, Some(libc::SIGKILL)) => "signal: killed".into(),
        _ => status.to_string(),
    })
}

/// Waits for the end of `child`; Err says why it is not waited for any longer.
fn ends_in_time(
    child: &Child,
    limit: Option<Duration>,
    signals: Option<&SignalQueue>,
) -> Result<(), String> {
    let text = |error: Errno| std::io::Error::from(error).to_string();
    let pid = Pid::from_raw(child.id().cast_signed()).ok_or("it has no number")?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(text)?;
    let begin = Instant::now();
    loop {
        let left = limit.map(|limit| timespec(limit.saturating_sub(begin.elapsed())));
        let mut watched = vec![PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
        watched.extend(signals.map(|queue| PollFd::from_borrowed_fd(queue.as_fd(), PollFlags::IN)));
        match poll(&mut watched, left.as_ref()) {
            Ok(0) => {
                let seconds = limit.unwrap_or_default().as_secs();
                return Err(format!("hook ran past specified timeout of {seconds}.0s"));
            }
            Ok(_) if !watched[0].revents().is_empty() => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(text(error)),
        }
        if let Some(signal) = signals.and_then(SignalQueue::end_wanted) {
            return Err(format!("ended by signal {signal}"));
        }
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() }
}
