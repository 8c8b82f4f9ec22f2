//! Programs that a killed build has left: those that were started on something below its directory.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How long a process that was killed is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Kills the processes that have a path below `folder` among their arguments, and waits for their end.
pub(crate) fn end_programs_on(folder: &Path) {
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let number = process.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(pid) = number.and_then(Pid::from_raw) else { continue };
        if names(&process.path(), folder)
            && let Ok(process) = pidfd_open(pid, PidfdFlags::empty())
            && names(Path::new(&format!("/proc/{}", pid.as_raw_nonzero())), folder)
        {
            end(&process);
        }
    }
}

/// Whether the command line of a process names something below the folder.
fn names(process: &Path, folder: &Path) -> bool {
    let arguments = fs::read(process.join("cmdline")).unwrap_or_default();
    let below = [folder.as_os_str().as_bytes(), b"/"].concat();
    arguments.split(|&byte| byte == 0).any(|argument| argument.starts_with(&below))
}

fn end(process: &OwnedFd) {
    let _ = pidfd_send_signal(process, Signal::KILL);
    let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    let _ = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&patience));
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn ends_what_names_the_folder_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let sleep = |path: &Path| {
            Command::new("/bin/sh").args(["-c", "sleep 100; :"]).arg(path).spawn().unwrap()
        };
        let mut named = sleep(&folder.path().join("run-1/bundle"));
        let mut other = sleep(&folder.path().with_extension("not"));
        end_programs_on(folder.path());
        assert!(named.try_wait().unwrap().is_some());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
