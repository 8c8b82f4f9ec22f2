//! Watching a container from outside, for `events`: what it uses, and when its memory runs out.

use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};
use serde_json::Value;

use crate::cgroup::stats;
use crate::error::{Doing, Error, Result};
use crate::id::ContainerId;
use crate::state::{Record, StateDir, Status};

/// What happened to a watched container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The time is over and nothing happened.
    Nothing,
    /// The kernel found no memory for it within its limit.
    OutOfMemory,
    /// Its first process has ended.
    End,
}

/// A container that is watched; nothing of it is changed.
#[derive(Debug)]
pub struct Watch {
    record: Record,
    first: OwnedFd,
    memory: Option<Memory>,
}

/// What becomes readable when memory runs out.
#[derive(Debug)]
enum Memory {
    /// v1: an eventfd; the file is open as long as the kernel shall tell.
    V1 { event: OwnedFd, _control: fs::File },
    /// v2: an inotify instance, which tells of every change, and the count of kills so far.
    V2 { changes: OwnedFd, file: PathBuf, kills: u64 },
}

impl Watch {
    /// Begins to watch a container.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::IdNotRunning`] when it is stopped.
    pub fn open(root: &Path, id: &ContainerId) -> Result<Self> {
        let dir = StateDir::new(root, id);
        let record = dir.load()?;
        let gone = || Error::IdNotRunning(id.to_string());
        let pid = Pid::from_raw(record.pid).ok_or_else(gone)?;
        let first = rustix::process::pidfd_open(pid, PidfdFlags::empty());
        if dir.status(&record) == Status::Stopped {
            return Err(gone());
        }
        let first = first.doing(|| format!("open the container's process {}", record.pid))?;
        let memory = Memory::open(&record)?;
        Ok(Self { record, first, memory })
    }

    /// What the container has used until now, as the `data` of runc's event `stats`: times in
    /// nanoseconds, sizes in bytes.
    pub fn stats(&self) -> Value {
        stats::read(&self.record.cgroup)
    }

    /// Waits for an event, at most so long.
    ///
    /// # Errors
    /// When the kernel refuses to wait.
    pub fn wait(&mut self, time: Duration) -> Result<Event> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let (ended, told) = self.poll(left)?;
            if told && self.memory.as_mut().is_some_and(Memory::ran_out) && !self.is_removed() {
                return Ok(Event::OutOfMemory);
            }
            if ended {
                return Ok(Event::End);
            }
            if left.is_zero() {
                return Ok(Event::Nothing);
            }
        }
    }

    /// v1 tells of a cgroup's removal as it tells of its memory.
    fn is_removed(&self) -> bool {
        self.record.cgroup.group("memory").is_some_and(|group| !group.path.exists())
    }

    fn poll(&self, time: Duration) -> Result<(bool, bool)> {
        let mut watched = vec![PollFd::new(&self.first, PollFlags::IN)];
        if let Some(Memory::V1 { event: fd, .. } | Memory::V2 { changes: fd, .. }) = &self.memory {
            watched.push(PollFd::new(fd, PollFlags::IN));
        }
        let time = Timespec {
            tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: time.subsec_nanos().into(),
        };
        match poll(&mut watched, Some(&time)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).doing(|| "wait for an event".into()),
        }
        let happened = |index: usize| watched.get(index).is_some_and(|fd| !fd.revents().is_empty());
        Ok((happened(0), happened(1)))
    }
}

impl Memory {
    fn open(record: &Record) -> Result<Option<Self>> {
        let Some(group) = record.cgroup.group("memory") else { return Ok(None) };
        let watch = if record.cgroup.is_unified() { Self::open_v2 } else { Self::open_v1 };
        watch(&group.path).map(Some)
    }

    /// The kernel's cgroup-v1/memory.rst, "OOM Control".
    fn open_v1(path: &Path) -> Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .doing(|| "make an eventfd".into())?;
        let name = path.join("memory.oom_control");
        let control = fs::File::open(&name).doing(|| format!("open {}", name.display()))?;
        let name = path.join("cgroup.event_control");
        fs::OpenOptions::new()
            .write(true)
            .open(&name)
            .and_then(|mut file| {
                file.write_all(format!("{} {}", event.as_raw_fd(), control.as_raw_fd()).as_bytes())
            })
            .doing(|| format!("write {}", name.display()))?;
        Ok(Self::V1 { event, _control: control })
    }

    fn open_v2(path: &Path) -> Result<Self> {
        let file = path.join("memory.events");
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let changes = inotify::init(flags).doing(|| "watch files".into())?;
        inotify::add_watch(changes.as_fd(), &file, inotify::WatchFlags::MODIFY)
            .doing(|| format!("watch {}", file.display()))?;
        let kills = kills(&file);
        Ok(Self::V2 { changes, file, kills })
    }

    /// Takes what was told, and says whether it was about memory that ran out.
    fn ran_out(&mut self) -> bool {
        let mut told = [0; 4096];
        match self {
            Self::V1 { event, .. } => rustix::io::read(event, &mut told[..8]).is_ok(),
            Self::V2 { changes, file, kills: before } => {
                while rustix::io::read(&*changes, &mut told).is_ok_and(|length| length > 0) {}
                let now = kills(file);
                now > std::mem::replace(before, now)
            }
        }
    }
}

fn kills(file: &Path) -> u64 {
    stats::entry(&stats::table(file), "oom_kill").unwrap_or(0)
}
