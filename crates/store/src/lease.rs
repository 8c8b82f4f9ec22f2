//! Leases: what running work and bundles hold, so that gc leaves it alone.
//!
//! A lease is a small JSON file in `tare/leases`. One of a process lives as long as the process keeps
//! its lock; besides what it names, it covers all that got its name in the store since the lease was
//! taken. One of a bundle lives as long as the bundle's `tare.json` names it, or while the process
//! that made it still holds it. So a lease dies with its holder, killed or not.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use image::Digest;
use serde::{Deserialize, Serialize};

use crate::temp::Temp;
use crate::{Error, Store, files, lock};

/// Who holds a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder<'a> {
    /// This process, until the [`Lease`] is dropped.
    Process,
    /// The bundle in this directory, from when its `tare.json` has the lease's ID in its `lease`
    /// field until that file is gone. Dropping the [`Lease`] does not end it.
    Bundle(&'a Path),
}

/// A lease that this process took.
#[derive(Debug)]
pub struct Lease {
    id: String,
    path: PathBuf,
    bundle: bool,
    #[expect(dead_code, reason = "closing it lets go of the lock")]
    file: File,
}

/// What a lease's file says.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    holds: Vec<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bundle: Option<PathBuf>,
}

/// A lease that gc must respect.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) id: String,
    pub(crate) holds: Vec<Digest>,
    /// All that changed since this moment is covered too: seconds and nanoseconds.
    pub(crate) since: Option<(i64, i64)>,
    /// The bundle that it is of.
    pub(crate) bundle: Option<PathBuf>,
}

/// The largest lease file, in bytes.
const MAX_LEASE: u64 = 16 << 20;

impl Lease {
    /// What a bundle's `tare.json` names it by.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Ends the lease, a bundle's too.
    pub fn release(mut self) {
        self.bundle = false;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.bundle {
            // A file that stays is no lease: nobody locks it. gc removes it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Store {
    /// Takes a lease on blobs, layers (by diff ID) and stacks of layers (by chain ID). A manifest or
    /// index brings all that it refers to.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn lease(&self, holds: &[Digest], holder: Holder<'_>) -> Result<Lease, Error> {
        let bundle = match holder {
            Holder::Process => None,
            Holder::Bundle(path) => {
                Some(std::path::absolute(path).map_err(Error::io("find", path))?)
            }
        };
        let is_bundle = bundle.is_some();
        let record = Record { holds: holds.to_vec(), bundle };
        let bytes = serde_json::to_vec(&record)
            .map_err(|source| Error::Serialize { media_type: "lease".to_owned(), source })?;
        let temp = self.temp()?;
        std::io::Write::write_all(&mut temp.file(), &bytes)
            .map_err(Error::io("write", temp.path()))?;
        let id = lease_id(&temp)?;
        let path = self.tare("leases").join(&id);
        let file = temp.file().try_clone().map_err(Error::io("open", temp.path()))?;
        let _names = self.lock_names()?;
        temp.publish(&path)?;
        Ok(Lease { id, path, bundle: is_bundle, file })
    }

    /// Ends a bundle's lease by its ID. One that is not there has ended already.
    ///
    /// # Errors
    /// The ID is none, or the file cannot be removed.
    pub fn release_lease(&self, id: &str) -> Result<(), Error> {
        let is_id = |id: &str| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let path = self.tare("leases").join(id);
        if id.is_empty() || !is_id(id) {
            let invalid = std::io::Error::from(std::io::ErrorKind::InvalidInput);
            return Err(Error::io("remove lease", &path)(invalid));
        }
        match std::fs::remove_file(&path) {
            Err(error) if !files::is_absent(&error) => Err(Error::io("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    /// The living leases. The dead ones' files are removed, unless `keep_dead`. gc's lock is held.
    pub(crate) fn living_leases(&self, keep_dead: bool) -> Result<Vec<Held>, Error> {
        let mut living = Vec::new();
        let directory = self.tare("leases");
        for name in files::names(&directory)? {
            let path = directory.join(name);
            match living_lease(&path)? {
                Some(held) => living.push(held),
                None if keep_dead => {}
                None => drop(std::fs::remove_file(&path)),
            }
        }
        Ok(living)
    }
}

/// An ID that no other lease has: the inode is this file's alone as long as it lives, the time tells
/// it from those before it.
fn lease_id(temp: &Temp) -> Result<String, Error> {
    let metadata = temp.file().metadata().map_err(Error::io("read", temp.path()))?;
    let (seconds, nanoseconds) = (metadata.ctime(), metadata.ctime_nsec());
    Ok(format!("{:x}-{seconds:x}-{nanoseconds:x}", metadata.ino()))
}

fn living_lease(path: &Path) -> Result<Option<Held>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if files::is_absent(&error) => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    let locked = lock::is_locked(&file);
    let metadata = file.metadata().map_err(Error::io("read", path))?;
    let since = locked.then(|| (metadata.mtime(), metadata.mtime_nsec()));
    let bytes = files::read_optional(path, MAX_LEASE)?.unwrap_or_default();
    let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // A file that is no lease holds nothing: power was lost before it was on disk, and with the
    // power its holder.
    let Ok(record) = serde_json::from_slice::<Record>(&bytes) else {
        let holds = Vec::new();
        return Ok(since.map(|since| Held { id, holds, since: Some(since), bundle: None }));
    };
    let bundle = record.bundle.filter(|bundle| bundle_names(bundle, &id));
    let alive = locked || bundle.is_some();
    Ok(alive.then_some(Held { id, holds: record.holds, since, bundle }))
}

/// Whether the bundle's `tare.json` names the lease. One that cannot be read might.
fn bundle_names(bundle: &Path, id: &str) -> bool {
    match files::read_optional(&bundle.join("tare.json"), MAX_LEASE) {
        Ok(None) => false,
        Err(_) => true,
        Ok(Some(bytes)) => match serde_json::from_slice::<serde_json::Value>(&bytes) {
            Ok(value) => value.get("lease").and_then(|lease| lease.as_str()) == Some(id),
            Err(_) => true,
        },
    }
}
