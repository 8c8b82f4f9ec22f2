//! The read-only part of a root file system: an EROFS index with its tars, or a directory.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::MountAttrFlags;

use super::context::Context;
use crate::prepare::{LayerTar, Prepared};
use crate::{Driver, Error};

/// What an overlay is laid over.
pub(super) struct Lower {
    /// The root directory.
    pub(super) directory: OwnedFd,
    /// The mount that holds it where nobody sees it, if it has one of its own.
    pub(super) detached: Option<OwnedFd>,
}

/// Opens the lower directory of a prepared root file system.
pub(super) fn open(prepared: &Prepared) -> Result<Lower, Error> {
    match prepared.driver {
        Driver::Directory => {
            Ok(Lower { directory: open_directory(&prepared.path)?, detached: None })
        }
        Driver::Erofs => {
            let mount = erofs(&prepared.path, &prepared.layers)?;
            Ok(Lower { directory: root_of(&mount, &prepared.path)?, detached: Some(mount) })
        }
    }
}

/// An empty directory in a file system of its own. An overlay without an upper directory wants two
/// lower ones (overlayfs.rst, "Multiple lower layers").
pub(super) fn empty(target: &Path) -> Result<Lower, Error> {
    let context = Context::open("tmpfs", target)?;
    context.string("source", super::SOURCE)?;
    context.string("mode", "0755")?;
    let mount = context.mount(MountAttrFlags::MOUNT_ATTR_RDONLY)?;
    Ok(Lower { directory: root_of(&mount, target)?, detached: Some(mount) })
}

/// Mounts an EROFS index, attached nowhere. Device n + 1 of the index is tar n, in the order of the
/// `device` options (erofs.rst).
fn erofs(index: &Path, layers: &[LayerTar]) -> Result<OwnedFd, Error> {
    let context = Context::open("erofs", index)?;
    let source = open_file(index)?;
    context.file("source", &source)?;
    let tars = layers.iter().map(|layer| open_file(&layer.path)).collect::<Result<Vec<_>, _>>()?;
    for tar in &tars {
        context.file("device", tar)?;
    }
    context.flag("ro")?;
    context.mount(MountAttrFlags::MOUNT_ATTR_RDONLY)
}

fn open_file(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(Error::io("open", path))
}

fn open_directory(path: &Path) -> Result<OwnedFd, Error> {
    openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(Error::io("open", path))
}

/// The root directory of a mount, opened as a file: the mount's own descriptor is only a name.
fn root_of(mount: &OwnedFd, path: &Path) -> Result<OwnedFd, Error> {
    openat(mount, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(Error::io("open the root of", path))
}
