//! Directories that stay between builds: `RUN --mount=type=cache`.
//!
//! ```text
//! <store>/tare/build/mounts/KEY/      a cache, by its name and what it was made from
//!   1/ 2/ …                           flocked while in use: by all who share it, or by one alone
//!     files/                          what commands see
//! ```
//!
//! A directory's time of modification says when it was last used: gc removes the oldest, as long as
//! nobody holds their lock.
//!
//! Mostly there is only `1`. Whoever wants one alone (`private`) while all are in use gets another,
//! and so does who shares while all are held alone. `locked` waits instead. Made complete, then named.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{Snapshot, Solver};
use crate::key::{self, Key};
use crate::plan::{Access, Sharing};
use crate::{Error, hold, names};

/// How often someone who waits for a cache looks whether it is free.
const LOOK: Duration = Duration::from_millis(20);

/// A cache, before it is taken.
pub(super) struct Cache<'a> {
    pub(super) id: &'a str,
    pub(super) sharing: Sharing,
    /// What it is made from.
    pub(super) from: Option<&'a Snapshot>,
    /// Of the directory, where it is made empty.
    pub(super) access: Option<Access>,
}

/// A cache that is in use until this is dropped.
pub(super) struct Taken {
    /// What commands see.
    pub(super) files: PathBuf,
    _lock: File,
}

impl Cache<'_> {
    /// What tells caches apart: those of one name that start differently are different.
    pub(super) fn key(&self) -> Key {
        key::cache_mount(self.id, self.from.map(|from| from.key), self.access)
    }

    /// Waits for a directory of the cache that it may use, or makes one.
    pub(super) fn take(&self, solver: &Solver<'_>) -> Result<Taken, Error> {
        let folder = solver.store.build_dir().join("mounts").join(self.key().to_string());
        loop {
            if let Some(taken) = self.try_take(solver, &folder)? {
                return Ok(taken);
            }
            solver.check()?;
            std::thread::sleep(LOOK);
        }
    }

    /// `None` where it has to wait.
    fn try_take(&self, solver: &Solver<'_>, folder: &Path) -> Result<Option<Taken>, Error> {
        let operation = match self.sharing {
            Sharing::Shared => FlockOperation::NonBlockingLockShared,
            Sharing::Private | Sharing::Locked => FlockOperation::NonBlockingLockExclusive,
        };
        for number in 1_u32.. {
            let path = folder.join(number.to_string());
            if !path.is_dir() {
                if number > 1 && self.sharing == Sharing::Locked {
                    break;
                }
                self.make(solver, &path)?;
            }
            let lock = match File::open(&path) {
                Ok(lock) => lock,
                // gc was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(Error::io("open", &path, error)),
            };
            match flock(&lock, operation) {
                Ok(()) if !hold::is_at(&lock, &path) => return Ok(None),
                Ok(()) => {
                    hold::note_use(&lock);
                    return Ok(Some(Taken { files: path.join("files"), _lock: lock }));
                }
                Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(Error::io("lock", &path, error)),
            }
        }
        Ok(None)
    }

    /// Makes a directory, unless someone else does at the same time.
    fn make(&self, solver: &Solver<'_>, path: &Path) -> Result<(), Error> {
        let hidden = path.with_extension(names::unique().to_string());
        let failed = |error| Error::io("create", path, error);
        DirBuilder::new().recursive(true).mode(0o700).create(&hidden).map_err(failed)?;
        let filled = self.fill(solver, &hidden.join("files"));
        let named = filled.and_then(|()| match fs::rename(&hidden, path) {
            Err(_) if path.is_dir() => Ok(()),
            other => other.map_err(failed),
        });
        // What did not get the name, because of an error or because someone else was faster.
        let _ = rootfs::remove(&hidden);
        named
    }

    fn fill(&self, solver: &Solver<'_>, files: &Path) -> Result<(), Error> {
        if let (Some(from), None) = (self.from, self.access) {
            let mut from = from.clone();
            let tree = from.tree(solver.store)?;
            return Ok(rootfs::unpack(&tree, &from.tars(solver.store)?, files)?);
        }
        let access = self.access.unwrap_or(Access { mode: 0o755, uid: 0, gid: 0 });
        directory(files, access).map_err(|error| Error::io("create", files, error))
    }
}

/// Makes a directory with exactly this access, whatever the umask.
fn directory(path: &Path, access: Access) -> io::Result<()> {
    fs::create_dir(path)?;
    chown(path, Some(access.uid), Some(access.gid))?;
    fs::set_permissions(path, fs::Permissions::from_mode(access.mode))
}
