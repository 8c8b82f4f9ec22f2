//! Images mounted read-only on a directory, without a bundle.
//!
//! ```text
//! RECORDS/NAME/tare.json     as a bundle's (see Record): the lease, and in `mounts` the directory
//! ```
//!
//! NAME is made from the directory's path. RECORDS is of this boot, as mounts are: where it is gone, the
//! lease has ended.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use image::Digest;
use rootfs::Driver;
use store::{Holder, Image, Store};

use crate::Error;
use crate::layers::prepare_rootfs;
use crate::record::{NAME, Record, is_missing};

/// An image that is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// On which directory.
    pub target: PathBuf,
    /// What `tare.json` says of it.
    pub record: Record,
}

/// Mounts an image on `target`, an existing directory, read-only. `reference` is the name by which it was
/// asked for.
///
/// # Errors
/// An image is mounted there already; a missing or corrupt layer; a kernel that refuses. Nothing is left
/// then.
pub fn mount(
    store: &Store,
    image: &Image,
    target: &Path,
    records: &Path,
    driver: Option<Driver>,
    reference: &str,
) -> Result<(), Error> {
    let target = target.canonicalize().map_err(Error::io("find", target))?;
    let place = place(records, &target);
    if place.join(NAME).exists() && rootfs::is_mounted(&target)? {
        return Err(Error::Mounted(target));
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(&place).map_err(Error::io("create", &place))?;
    let digest = image.digest()?;
    let lease = store.lease(&[digest, *image.chain_id().digest()], Holder::Bundle(&place))?;
    let mut record = Record {
        image: digest,
        reference: Some(reference.to_owned()),
        store: store.root().to_owned(),
        lease: lease.id().to_owned(),
        driver: None,
        mounts: vec![target.clone()],
    };
    let mounted = record.write(&place).and_then(|()| {
        let prepared = prepare_rootfs(store, &image.layers(), driver, None)?;
        record.driver = Some(prepared.driver.to_string());
        record.write(&place)?;
        Ok(rootfs::mount(&prepared, None, &target)?)
    });
    match mounted {
        Ok(mount) => {
            mount.keep();
            Ok(())
        }
        Err(error) => {
            lease.release();
            let _ = fs::remove_dir_all(&place);
            Err(error)
        }
    }
}

/// The images that are mounted, sorted by their directories.
///
/// # Errors
/// The records cannot be read.
pub fn mounted(records: &Path) -> Result<Vec<Mounted>, Error> {
    let entries = match fs::read_dir(records) {
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        entries => entries.map_err(Error::io("read", records))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let place = entry.map_err(Error::io("read", records))?.path();
        // One that another process is just taking away.
        let Ok(record) = Record::read(&place) else { continue };
        if let Some(target) = record.mounts.first().cloned() {
            found.push(Mounted { target, record });
        }
    }
    found.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(found)
}

/// Unmounts what [`mount`] mounted on `target`, and lets go of the image.
///
/// # Errors
/// [`Error::NotMounted`]; a mount that is in use.
pub fn unmount(target: &Path, records: &Path) -> Result<(), Error> {
    let target = target.canonicalize().map_err(Error::io("find", target))?;
    let place = place(records, &target);
    let record = match Record::read(&place) {
        Err(Error::NotABundle(_)) => return Err(Error::NotMounted(target)),
        record => record?,
    };
    rootfs::unmount(&target)?;
    fs::remove_file(place.join(NAME)).map_err(Error::io("remove", &place.join(NAME)))?;
    let _ = fs::remove_dir(&place);
    // Without its record the lease has ended; its file is only tidied up, where there still is a store.
    if let Ok(store) = Store::open(&record.store) {
        let _ = store.release_lease(&record.lease);
    }
    Ok(())
}

fn place(records: &Path, target: &Path) -> PathBuf {
    let name: &OsStr = target.as_os_str();
    records.join(Digest::of(name.as_bytes()).hex())
}
