//! The end of a bundle.

use std::fs;
use std::path::Path;

use store::Store;

use crate::Error;
use crate::record::{NAME, Record, is_missing};

/// Unmounts a bundle's root file system, deletes all of the bundle, the container's changes
/// included, and ends its lease. The container should have ended.
///
/// It is no error if `dir` is missing, nor if parts of the bundle are: after a reboot the mount, after
/// a release that was cut short whatever it took away, after `rm -rf` all but the mounted directory.
///
/// # Errors
/// [`Error::NotABundle`] for any other directory: nothing is touched then. Someone else's mount: in
/// the root file system before anything is deleted, elsewhere in the bundle when it is reached; it is
/// never entered. What the disk says.
pub fn release(dir: &Path) -> Result<(), Error> {
    // By its own name: a link to it, or `.`, cannot be removed as a directory.
    let dir = &match dir.canonicalize() {
        Err(error) if is_missing(&error) => return Ok(()),
        other => other.map_err(Error::io("find", dir))?,
    };
    let record = match Record::read(dir) {
        Ok(record) => Some(record),
        Err(Error::NotABundle(named)) if !is_remnant(dir) => return Err(Error::NotABundle(named)),
        // Damaged: the lease cannot be found, and ends when the collector finds this file gone.
        Err(_) => None,
    };
    take_away(dir)?;
    match fs::remove_file(dir.join(NAME)) {
        Err(error) if !is_missing(&error) => {
            return Err(Error::io("remove", &dir.join(NAME))(error));
        }
        _ => {}
    }
    if let Some(record) = record {
        end_lease(&record);
    }
    fs::remove_dir(dir).map_err(Error::io("remove", dir))
}

/// Whether this is what `rm -rf` leaves of a bundle: a root file system of ours, still mounted, and nothing
/// that no bundle has.
fn is_remnant(dir: &Path) -> bool {
    let parts = ["rootfs", "rw", "config.json"];
    let known = fs::read_dir(dir).is_ok_and(|mut entries| {
        entries.all(|entry| {
            entry.is_ok_and(|entry| parts.iter().any(|part| entry.file_name() == *part))
        })
    });
    known && rootfs::is_mounted(&dir.join("rootfs")).unwrap_or(false)
}

/// Removes all but `tare.json`. That goes last, since it says that the rest is ours to remove.
pub(crate) fn take_away(dir: &Path) -> Result<(), Error> {
    rootfs::unmount(&dir.join("rootfs"))?;
    for entry in fs::read_dir(dir).map_err(Error::io("read", dir))? {
        let entry = entry.map_err(Error::io("read", dir))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(Error::io("read", &path))?;
        if kind.is_dir() {
            rootfs::remove(&path)?;
        } else if entry.file_name() != NAME {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Ends the lease at once. It has no bundle any more, so if this fails, or the store is gone, the
/// collector ends it.
fn end_lease(record: &Record) {
    if record.store.join("oci-layout").is_file()
        && let Ok(store) = Store::open(&record.store)
    {
        let _ = store.release_lease(&record.lease);
    }
}
