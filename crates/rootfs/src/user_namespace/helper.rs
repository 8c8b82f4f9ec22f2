//! The process that stays outside and maps the ids: who is inside may map no other than its own.

use std::fs;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::process::{Command, Stdio};

use rustix::process::{Pid, WaitOptions, getpid, waitpid};

use super::ids::IdRange;
use super::plan::{Kind, Map, Plan};

/// A forked process that waits to be told that the namespace is there. Dropped before, it ends.
pub(super) struct Helper {
    child: Option<Pid>,
    go: Option<PipeWriter>,
    said: PipeReader,
    own: Vec<Kind>,
}

impl Helper {
    /// Forks it. The caller has a single thread.
    pub(super) fn start(plan: &Plan) -> io::Result<Self> {
        let (wait, go) = io::pipe()?;
        let (said, say) = io::pipe()?;
        let maps = [(Kind::Users, &plan.users), (Kind::Groups, &plan.groups)];
        let (own, others): (Vec<_>, Vec<_>) =
            maps.into_iter().partition(|(_, map)| **map == Map::Own);
        let parent = getpid();
        // SAFETY: there is no other thread whose locks the child could find taken, and it ends in _exit.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                drop((go, said));
                work(wait, say, parent, &others);
                // SAFETY: nothing of the parent's is flushed or released twice.
                unsafe { libc::_exit(0) }
            }
            child => {
                let own = own.into_iter().map(|(kind, _)| kind).collect();
                Ok(Self { child: Pid::from_raw(child), go: Some(go), said, own })
            }
        }
    }

    /// Has the ids of this process mapped; the maps that are still to be written, and why they are.
    pub(super) fn map(mut self) -> io::Result<Vec<(Kind, Option<String>)>> {
        if let Some(mut go) = self.go.take() {
            go.write_all(b"!")?;
        }
        let mut said = String::new();
        self.said.read_to_string(&mut said)?;
        let failed = said.lines().filter_map(|line| {
            let (kind, why) = line.split_once(' ')?;
            let kind = if kind == Kind::Users.map() { Kind::Users } else { Kind::Groups };
            Some((kind, Some(why.to_owned())))
        });
        Ok(self.own.iter().map(|&kind| (kind, None)).chain(failed).collect())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.go.take());
        if let Some(child) = self.child {
            let _ = waitpid(Some(child), WaitOptions::empty());
        }
    }
}

/// The helper's life: a line for each map that it could not make.
fn work(mut wait: PipeReader, mut say: PipeWriter, process: Pid, maps: &[(Kind, &Map)]) {
    if wait.read_exact(&mut [0]).is_err() {
        return;
    }
    for (kind, map) in maps {
        let made = match map {
            Map::Own => Ok(()),
            Map::Program(ranges) => call(kind.program(), process, ranges),
            Map::Same(ranges) => write(*kind, process, ranges),
        };
        if let Err(why) = made {
            let why = why.trim().replace('\n', "; ");
            let _ = writeln!(say, "{} {why}", kind.map());
        }
    }
}

fn call(program: &str, process: Pid, ranges: &[IdRange]) -> Result<(), String> {
    let numbers = ranges.iter().flat_map(|range| [range.inside, range.outside, range.count]);
    let output = Command::new(program)
        .arg(process.as_raw_nonzero().to_string())
        .args(numbers.map(|number| number.to_string()))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!("{program} is not installed (package uidmap)"),
            _ => format!("cannot start {program}: {error}"),
        })?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

fn write(kind: Kind, process: Pid, ranges: &[IdRange]) -> Result<(), String> {
    let line = |range: &IdRange| format!("{} {} {}\n", range.inside, range.outside, range.count);
    let file = format!("/proc/{}/{}", process.as_raw_nonzero(), kind.map());
    let text: String = ranges.iter().map(line).collect();
    fs::write(&file, text).map_err(|error| format!("cannot write {file}: {error}"))
}
