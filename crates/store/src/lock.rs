//! The two locks: who may change the index, who may give names to files.
//!
//! flock(2): the kernel drops a lock when its holder dies, so none outlives a crash. `index` is taken
//! after `names` where both are needed.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::{Error, Store};

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(crate) struct Guard(#[expect(dead_code, reason = "closing it lets go")] File);

impl Store {
    /// The right to change index.json, alone.
    pub(crate) fn lock_index(&self) -> Result<Guard, Error> {
        lock(&self.tare("lock"), FlockOperation::LockExclusive)
    }

    /// The right to give names to files; gc waits.
    pub(crate) fn lock_names(&self) -> Result<Guard, Error> {
        lock(&self.tare("gc.lock"), FlockOperation::LockShared)
    }

    /// The right to take names away: nobody gives any meanwhile.
    pub(crate) fn lock_gc(&self) -> Result<Guard, Error> {
        lock(&self.tare("gc.lock"), FlockOperation::LockExclusive)
    }
}

/// Opens or makes `path` and waits for its lock.
pub(crate) fn lock(path: &Path, operation: FlockOperation) -> Result<Guard, Error> {
    let options = File::options().read(true).write(true).create(true).truncate(false).open(path);
    let file = options.map_err(Error::io("open", path))?;
    wait(&file, operation).map_err(Error::sys("lock", path))?;
    Ok(Guard(file))
}

/// flock(2), again after a signal that was handled.
pub(crate) fn wait(file: &File, operation: FlockOperation) -> Result<(), Errno> {
    rustix::io::retry_on_intr(|| flock(file, operation))
}

/// Whether another open file holds a lock on this one.
pub(crate) fn is_locked(file: &File) -> bool {
    let taken = flock(file, FlockOperation::NonBlockingLockExclusive);
    if taken.is_ok() {
        // Unlocking a lock that is held cannot fail.
        let _ = flock(file, FlockOperation::Unlock);
    }
    taken == Err(Errno::WOULDBLOCK)
}
