//! The directories below a cgroup: who is in them, and their removal.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::kernel_file;

/// Adds every process below a directory.
pub(super) fn collect(path: &Path, found: &mut Vec<i32>) -> io::Result<()> {
    // A threaded cgroup tells its threads only (cgroups(7), "Thread mode").
    let listed = match kernel_file::read(path.join("cgroup.procs")) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            kernel_file::read(path.join("cgroup.threads"))?
        }
        listed => listed?,
    };
    found.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()));
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), found)?;
        }
    }
    Ok(())
}

/// How long a dying process may keep its cgroup busy.
const PATIENCE: Duration = Duration::from_secs(2);

/// Removes a directory with those below it, waiting for dying processes.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(200);
    loop {
        match fs::remove_dir(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ResourceBusy && Instant::now() < deadline => {
                for entry in fs::read_dir(path)?.flatten() {
                    if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                        remove_tree(&entry.path())?;
                    }
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            done => return done,
        }
    }
}
