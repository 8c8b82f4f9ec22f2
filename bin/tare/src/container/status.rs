//! What a container is doing, told from what is on disk and in /proc.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{Container, Process};

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It is being made.
    Created,
    /// Its first process runs.
    Running { since: SystemTime },
    /// Its first process ended.
    Exited { code: u8, at: SystemTime },
    /// It ended, and nobody was there to see how: its monitor was killed.
    Dead,
}

impl Status {
    /// docker's word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running { .. } => "running",
            Self::Exited { .. } => "exited",
            Self::Dead => "dead",
        }
    }

    pub(crate) fn is_running(self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

/// docker's sentence for it.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("Created"),
            Self::Running { since } => {
                let age = cli::age(*since);
                write!(f, "Up {}", age.trim_end_matches(" ago"))
            }
            Self::Exited { code, at } => write!(f, "Exited ({code}) {}", cli::age(*at)),
            Self::Dead => f.write_str("Dead (exit code unknown)"),
        }
    }
}

pub(super) fn of(container: &Container) -> Status {
    // In this order: whatever ends between two looks is seen by the later one.
    let running = container.process().filter(Process::is_alive);
    let watched = container.is_watched();
    match (container.exit(), running) {
        (Some(exit), _) => Status::Exited { code: exit.code, at: exit.finished },
        (None, Some(process)) => Status::Running { since: process.started },
        // The monitor is about to start it, or about to write how it ended.
        (None, None) if watched => match container.process() {
            Some(process) => Status::Running { since: process.started },
            None => Status::Created,
        },
        (None, None) => Status::Dead,
    }
}

/// The process in the runtime's pid file, if it is still the container's: its cgroup tells it from a
/// stranger with the same number.
pub(super) fn unrecorded(container: &Container) -> Option<Process> {
    let path = container.pid_file();
    let pid: i32 = std::fs::read_to_string(&path).ok()?.trim().parse().ok()?;
    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let started = path.metadata().and_then(|file| file.modified()).ok()?;
    let process = Process { started, ..Process::of_pid(pid)? };
    cgroups.contains(container.record.id.as_str()).then_some(process)
}

impl Process {
    /// The process with this number, as it is now.
    pub(crate) fn of_pid(pid: i32) -> Option<Self> {
        let start_ticks = stat(pid)?.1;
        Some(Self { pid, start_ticks, started: SystemTime::now() })
    }

    /// Whether it still runs: a zombie does not.
    pub(crate) fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|(state, start)| {
            start == self.start_ticks && !matches!(state, b'Z' | b'X')
        })
    }
}

impl Process {
    /// Waits until it ends; `false` where it still runs after that time. `None` waits for ever.
    pub(crate) fn wait_end(&self, limit: Option<Duration>) -> anyhow::Result<bool> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(true) };
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => process,
            Err(Errno::SRCH) => return Ok(true),
            Err(error) => {
                return Err(error).context("cannot wait for the container's first process");
            }
        };
        // Asked once it is held: now the number cannot pass to another.
        if !self.is_alive() {
            return Ok(true);
        }
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(&mut [PollFd::new(&process, PollFlags::IN)], timeout.as_ref()) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(error) => {
                    return Err(error).context("cannot wait for the container's first process");
                }
            }
        }
    }
}

/// State and start time from /proc/PID/stat (proc(5), fields 3 and 22). The command before them is in
/// parentheses and may hold any character.
fn stat(pid: i32) -> Option<(u8, u64)> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after = text.iter().rposition(|&byte| byte == b')')? + 2;
    let fields: Vec<&[u8]> = text.get(after..)?.split(|&byte| byte == b' ').collect();
    let start = std::str::from_utf8(fields.get(22 - 3)?).ok()?.parse().ok()?;
    Some((*fields.first()?.first()?, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_a_namesake_is_not() {
        let own = Process::of_pid(std::process::id().cast_signed()).unwrap();
        assert!(own.is_alive());
        assert!(!Process { start_ticks: own.start_ticks + 1, ..own }.is_alive());
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let process = Process::of_pid(child.id().cast_signed());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        // `None` where it ended before it was looked at; never, as nobody waited for it.
        let process = process.unwrap();
        while process.is_alive() {
            assert!(std::time::Instant::now() < deadline, "`true` still runs");
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }
}
