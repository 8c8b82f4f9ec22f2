//! Working directories of running steps, and what killed builds left of theirs.
//!
//! ```text
//! <store>/tare/build/tmp/<unique>/      one per build, flocked as long as the build lives
//!   hosts, resolv.conf, network         what all containers of the build see
//!   run-N/                              one per container: bundle, upper and work directories
//! ```
//!
//! A build that ends, well or not, removes its directory. One that was killed leaves it unlocked, with
//! mounts and perhaps a container; its guard ends all that, or else the next build, which finds it by
//! the free lock. The lock is also held by a child between its fork and its program, so that whoever
//! has it sees each runtime by its command line.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::guard::Guard;
use crate::own_network::OwnNetwork;
use crate::{Error, Runner, leftover, names};

/// The working directory of one build. Removed when dropped.
pub(crate) struct Scratch {
    path: PathBuf,
    name: String,
    next: AtomicUsize,
    _lock: File,
    /// After the lock: it waits for that.
    guard: Option<Guard>,
}

/// The working directory of one step. Removed when dropped; unmount what is in it before.
pub(crate) struct Step {
    path: PathBuf,
    id: String,
}

impl Scratch {
    /// Makes a directory below `tmp`.
    pub(crate) fn new(tmp: &Path) -> Result<Self, Error> {
        let name = names::unique().to_string();
        let path = tmp.join(&name);
        fs::create_dir_all(tmp).map_err(|error| Error::io("create", tmp, error))?;
        // Held until it has its name: no sweeper takes it for one of a killed build.
        let _making = File::open(tmp)
            .and_then(|folder| Ok(flock(&folder, FlockOperation::LockShared).map(|()| folder)?))
            .map_err(|error| Error::io("lock", tmp, error))?;
        // Locked before it has its name: a sweeper never sees it free.
        let hidden = tmp.join(format!(".{name}"));
        let make = || {
            fs::create_dir(&hidden)?;
            let lock = File::open(&hidden)?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            fs::rename(&hidden, &path)?;
            Ok(lock)
        };
        let lock = make().map_err(|error: std::io::Error| Error::io("create", &path, error))?;
        Ok(Self { path, name, next: AtomicUsize::new(1), _lock: lock, guard: None })
    }

    /// The same with a guard. Without one, the next build does its work.
    pub(crate) fn guarded(mut self, program: Option<&Path>, runner: &dyn Runner) -> Self {
        let start = |program| Guard::start(program, &self.path, runner.name()).ok();
        self.guard = program.and_then(start);
        self
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A new directory for a step.
    pub(crate) fn step(&self) -> Result<Step, Error> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(format!("run-{number}"));
        fs::create_dir(&path).map_err(|error| Error::io("create", &path, error))?;
        Ok(Step { path, id: id(&self.name, number) })
    }
}

impl Step {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the step's container.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = rootfs::remove(&self.path);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        let _ = rootfs::remove(&self.path);
    }
}

fn id(build: &str, number: impl std::fmt::Display) -> String {
    format!("tare-build-{build}-{number}")
}

/// Ends what builds that are gone have left below `tmp`. What cannot be removed now stays for the
/// next time: it must not stop this build.
pub(crate) fn sweep(tmp: &Path, runner: &dyn Runner) {
    sweep_unnamed(tmp);
    let Ok(entries) = fs::read_dir(tmp) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let Ok(lock) = File::open(entry.path()) else { continue };
        let free = flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
        if free && entry.path().exists() {
            sweep_build(&entry.path(), &name, runner);
        }
    }
}

/// Removes directories whose makers were killed before they had named them: they are empty. Nobody
/// makes one meanwhile.
fn sweep_unnamed(tmp: &Path) {
    let Ok(alone) = File::open(tmp) else { return };
    if flock(&alone, FlockOperation::NonBlockingLockExclusive).is_err() {
        return;
    }
    for entry in fs::read_dir(tmp).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Ends what a build leaves that was killed, once it is gone. A directory that is gone, too, was its
/// own to remove.
pub fn clean_up(folder: &Path, runner: &dyn Runner) {
    let Ok(lock) = File::open(folder) else { return };
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if flock(&lock, FlockOperation::LockExclusive).is_ok() && folder.exists() {
        sweep_build(folder, &name, runner);
    }
}

/// Removes files that a killed build was reading archives into. A young one may not be locked yet.
pub(crate) fn sweep_spool(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(file) = File::open(entry.path()) else { continue };
        if is_old(&entry) && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether its maker must have had the time to lock it.
pub(crate) fn is_old(entry: &fs::DirEntry) -> bool {
    let age = entry.metadata().and_then(|metadata| metadata.modified()).map(|at| at.elapsed());
    matches!(age, Ok(Ok(age)) if age > Duration::from_secs(60))
}

fn sweep_build(path: &Path, name: &str, runner: &dyn Runner) {
    // Before their containers: a runtime that has just begun would still make one.
    leftover::end_programs_on(path);
    for step in fs::read_dir(path).into_iter().flatten().flatten() {
        let folder = step.file_name().to_string_lossy().into_owned();
        if let Some(number) = folder.strip_prefix("run-") {
            runner.delete(&id(name, number));
            // With secrets the bundle is a mount as well.
            for mounted in ["bundle/rootfs", "bundle"] {
                let _ = rootfs::unmount(&step.path().join(mounted));
            }
            for mounted in fs::read_dir(step.path().join("mounts")).into_iter().flatten().flatten()
            {
                let _ = rootfs::unmount(&mounted.path().join("rootfs"));
            }
        }
    }
    OwnNetwork::remove(path);
    let _ = rootfs::remove(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_named_is_swept_unless_someone_is_at_it() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join(".1-2-3");
        fs::create_dir(&left).unwrap();
        let making = File::open(folder.path()).unwrap();
        flock(&making, FlockOperation::LockShared).unwrap();
        sweep_unnamed(folder.path());
        assert!(left.exists());
        drop(making);
        sweep_unnamed(folder.path());
        assert!(!left.exists());
        let scratch = Scratch::new(folder.path()).unwrap();
        sweep_unnamed(folder.path());
        assert!(scratch.path().exists());
    }
}
