//! Making, once per chain of layers, what stands below an overlay.
//!
//! ```text
//! <at>.erofs            the index of a chain           Driver::Erofs
//! <at>/                 its files                      Driver::Directory
//! <at>….partial         one that is being made, locked (flock) by its maker
//! ```
//!
//! An index is sealed: its time of modification is as many seconds as it has bytes. Whatever cuts it short
//! or writes to it breaks the seal, and the index is made again. So is one that was copied without its
//! times, at the cost of milliseconds.
//!
//! A maker that dies leaves a partial, unlocked: the next maker of the same chain starts over in it.
//! One that comes while another is at work waits, and finds it done.

use std::borrow::Borrow;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock, syncfs};
use tree::Tree;

use crate::remove::clear;
use crate::unpack::unpack_into;
use crate::{Driver, Error};

/// A layer as an uncompressed tar on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerTar {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// A root file system that is ready to be mounted.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The kind that it is of.
    pub driver: Driver,
    /// The EROFS index, or the directory.
    pub path: PathBuf,
    /// The layers, lowest first. The directory driver does not need them to mount.
    pub layers: Vec<LayerTar>,
}

/// A directory that the directory driver has prepared, of some of the lowest layers of another stack.
#[derive(Clone, Debug)]
pub struct Base {
    /// The fold of those layers, numbered as in the other stack.
    pub tree: Tree,
    /// The directory.
    pub path: PathBuf,
}

impl Prepared {
    /// The root file system at `at`, if `driver` has prepared it before. Costs one system call.
    pub fn find(driver: Driver, layers: &[LayerTar], at: &Path) -> Option<Self> {
        let path = place(driver, at);
        is_there(driver, &path).then(|| Self { driver, path, layers: layers.to_vec() })
    }
}

fn is_there(driver: Driver, path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| match driver {
        Driver::Erofs => {
            found.is_file() && found.modified().is_ok_and(|at| at == seal(found.len()))
        }
        Driver::Directory => found.is_dir(),
    })
}

/// The time of modification of an index of so many bytes.
fn seal(size: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(size)
}

/// Makes what `driver` needs to mount the fold of `layers`: the index `<at>.erofs` or the directory
/// `<at>`, unless it is there. Only then is `tree` called. It appears complete, and on the disk, or
/// not at all; any number of processes may do this at once.
///
/// # Errors
/// [`Error::Tree`] if `tree` fails, [`Error::Index`] if the tree has no index (then the other driver
/// still works), else what the disk says.
pub fn prepare<T, E>(
    driver: Driver,
    tree: impl FnOnce() -> Result<T, E>,
    layers: &[LayerTar],
    at: &Path,
) -> Result<Prepared, Error>
where
    T: Borrow<Tree>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    prepare_over(driver, tree, layers, at, || None)
}

/// As [`prepare`]. Where the directory driver has to write files, it gives those that are the same in
/// `base` one more name (a hard link) instead. `base` is called only then.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_over<T, E>(
    driver: Driver,
    tree: impl FnOnce() -> Result<T, E>,
    layers: &[LayerTar],
    at: &Path,
    base: impl FnOnce() -> Option<Base>,
) -> Result<Prepared, Error>
where
    T: Borrow<Tree>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if let Some(prepared) = Prepared::find(driver, layers, at) {
        return Ok(prepared);
    }
    let path = place(driver, at);
    if let Some(partial) = Partial::lock(driver, &path)? {
        let made = tree()
            .map_err(|error| Error::Tree(error.into()))
            .and_then(|tree| match driver {
                Driver::Erofs => partial.write_index(tree.borrow(), layers),
                Driver::Directory => partial.write_files(tree.borrow(), layers, base().as_ref()),
            })
            .and_then(|()| {
                fs::rename(&partial.path, &path).map_err(Error::io("rename", &partial.path))
            });
        made.inspect_err(|_| discard(driver, &partial.path))?;
    }
    Ok(Prepared { driver, path, layers: layers.to_vec() })
}

fn place(driver: Driver, at: &Path) -> PathBuf {
    match driver {
        Driver::Erofs => with_suffix(at, ".erofs"),
        Driver::Directory => at.to_owned(),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// What is being made: a locked file or directory, empty at first.
struct Partial {
    path: PathBuf,
    file: File,
}

impl Partial {
    /// Locks the partial of `path`, or gives `None` if `path` is there by the time of the lock.
    fn lock(driver: Driver, path: &Path) -> Result<Option<Self>, Error> {
        let partial = with_suffix(path, ".partial");
        loop {
            let file = match open(driver, &partial) {
                // The one that was to be locked has just been renamed or removed.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound && partial_parent(&partial) =>
                {
                    continue;
                }
                other => other.map_err(Error::io("create", &partial))?,
            };
            flock(&file, FlockOperation::LockExclusive).map_err(Error::io("lock", &partial))?;
            if is_there(driver, path) {
                // Only an unfinished one of this name may go, never the finished one under its new.
                if is_at(&file, &partial) {
                    discard(driver, &partial);
                }
                return Ok(None);
            }
            if is_at(&file, &partial) {
                return Ok(Some(Self { path: partial, file }));
            }
        }
    }

    fn write_index(&self, tree: &Tree, layers: &[LayerTar]) -> Result<(), Error> {
        let sizes: Vec<u64> = layers.iter().map(|layer| layer.size).collect();
        let index = erofs::index(tree, &sizes).map_err(Error::Index)?;
        let write = || {
            self.file.set_len(0)?;
            (&self.file).write_all(&index)?;
            self.file.set_modified(seal(index.len() as u64))?;
            self.file.sync_all()
        };
        write().map_err(Error::io("write", &self.path))
    }

    fn write_files(
        &self,
        tree: &Tree,
        layers: &[LayerTar],
        base: Option<&Base>,
    ) -> Result<(), Error> {
        clear(&self.path)?;
        unpack_into(tree, layers, &self.path, base)?;
        syncfs(&self.file).map_err(Error::io("sync", &self.path))
    }
}

fn open(driver: Driver, partial: &Path) -> io::Result<File> {
    match driver {
        Driver::Erofs => {
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(partial)
        }
        Driver::Directory => {
            match DirBuilder::new().mode(0o700).create(partial) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            File::open(partial)
        }
    }
}

/// Whether a missing partial is worth another try: its directory is there.
fn partial_parent(partial: &Path) -> bool {
    partial.parent().is_some_and(Path::is_dir)
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// Removes a partial that will not be finished. What cannot be removed, the next maker takes over.
fn discard(driver: Driver, partial: &Path) {
    let _ = match driver {
        Driver::Erofs => fs::remove_file(partial).map_err(Error::io("remove", partial)),
        Driver::Directory => crate::remove(partial),
    };
}
