//! Lack of memory: says when the kernel has killed in a container's cgroup.
//!
//! Version 1 signals an eventfd (Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control"); it signals
//! the cgroup's removal, too. Version 2 counts in `memory.events`, whose change inotify(7) tells
//! (admin-guide/cgroup-v2.rst). Either is one descriptor in the poll of the serving process.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};

use crate::stats::{Groups, counter};

/// The watch on one container's memory.
#[derive(Debug)]
pub(crate) struct OomWatch {
    /// An eventfd or an inotify descriptor, non-blocking.
    signals: File,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Version 1: the file is there as long as the cgroup is.
    Signalled { control: PathBuf },
    /// Version 2: so many were killed when last asked.
    Counted { group: PathBuf, killed: u64 },
}

impl OomWatch {
    /// Begins to watch the memory of these cgroups; nothing where none counts it.
    ///
    /// # Errors
    /// The cgroup is gone, or the kernel refuses.
    pub(crate) fn new(groups: &Groups) -> anyhow::Result<Option<Self>> {
        if let Some(group) = groups.controller("memory") {
            return Self::signalled(group).map(Some);
        }
        let unified = groups.unified().filter(|_| !groups.has_controllers());
        match unified.filter(|group| group.join("memory.events").exists()) {
            Some(group) => Self::counted(group).map(Some),
            None => Ok(None),
        }
    }

    fn signalled(group: &Path) -> anyhow::Result<Self> {
        let control = group.join("memory.oom_control");
        let file = File::open(&control).with_context(|| format!("open {}", control.display()))?;
        let signals = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .context("make an eventfd")?;
        let signals = File::from(signals);
        let registration = format!("{} {}", signals.as_raw_fd(), file.as_raw_fd());
        let name = group.join("cgroup.event_control");
        fs::write(&name, registration).with_context(|| format!("write {}", name.display()))?;
        Ok(Self { signals, kind: Kind::Signalled { control } })
    }

    fn counted(group: &Path) -> anyhow::Result<Self> {
        let file = group.join("memory.events");
        let signals =
            init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).context("make an inotify")?;
        add_watch(&signals, &file, WatchFlags::MODIFY)
            .with_context(|| format!("watch {}", file.display()))?;
        let killed = counter(group, "memory.events", "oom_kill");
        let kind = Kind::Counted { group: group.to_owned(), killed };
        Ok(Self { signals: File::from(signals), kind })
    }

    /// What to poll for.
    pub(crate) fn interest(&self) -> (BorrowedFd<'_>, PollFlags) {
        (self.signals.as_fd(), PollFlags::IN)
    }

    /// Whether the kernel has killed since the last call. When a process has `ended` it looks without being
    /// told to: version 2 counts the killed before it has ended, but inotify tells a moment later.
    pub(crate) fn has_killed(&mut self, ended: bool) -> bool {
        let signalled = self.drain();
        match &mut self.kind {
            Kind::Signalled { control } => signalled && control.exists(),
            Kind::Counted { .. } if !signalled && !ended => false,
            Kind::Counted { group, killed } => {
                let before = *killed;
                *killed = counter(group, "memory.events", "oom_kill").max(before);
                *killed > before
            }
        }
    }

    fn drain(&mut self) -> bool {
        let mut buffer = [0; 512];
        let mut signalled = false;
        while matches!(self.signals.read(&mut buffer), Ok(length) if length > 0) {
            signalled = true;
        }
        signalled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_counts() {
        let group = tempfile::tempdir().unwrap();
        let write = |text: &str| fs::write(group.path().join("memory.events"), text).unwrap();
        write("low 0\noom 1\noom_kill 1\n");
        let mut watch = OomWatch::counted(group.path()).unwrap();
        assert!(!watch.has_killed(true), "that was before");
        write("low 0\noom 2\noom_kill 1\n");
        assert!(!watch.has_killed(false), "nobody was killed");
        write("low 0\noom 3\noom_kill 2\n");
        let (signals, flags) = watch.interest();
        let mut ready = [rustix::event::PollFd::from_borrowed_fd(signals, flags)];
        assert_eq!(rustix::event::poll(&mut ready, None), Ok(1));
        assert!(watch.has_killed(true));
        assert!(!watch.has_killed(true), "it is told once");
    }

    #[test]
    fn without_a_memory_controller_nothing_is_watched() {
        assert!(OomWatch::new(&Groups::default()).unwrap().is_none());
    }
}
