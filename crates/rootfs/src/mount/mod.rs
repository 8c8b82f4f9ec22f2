//! Mounting: one overlay that can be seen, over a lower file system that cannot.
//!
//! ```text
//! target/        overlay, source "tare"              the only mount in the mount table
//!   upper, work  the caller's ReadWrite directories, on the disk
//!   lower        the EROFS index with its layer tars, a mount attached nowhere: the overlay holds
//!                it, and it goes when the overlay goes; or the unpacked directory
//! ```
//!
//! The options keep the upper directory a plain changeset: `redirect_dir=nofollow` makes renames of
//! lower directories copies, `metacopy=off` makes a copied-up file whole, `index=off` keeps hard
//! links out of the work directory. `xino=on` gives files one device number and lasting inode
//! numbers, which `find -xdev`, `tar --one-file-system` and hard link detection rely on.
//! See the kernel's Documentation/filesystems/overlayfs.rst.

mod context;
mod lower;
mod upper;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{MountAttrFlags, MoveMountFlags, UnmountFlags, move_mount};

use context::Context;
use lower::Lower;

use crate::Error;
use crate::prepare::Prepared;

/// What stands as the source of our mounts in the mount table, and tells them from others'.
pub(crate) const SOURCE: &str = "tare";

/// The thin read-write layer of a mounted root file system: two directories in one file system.
/// They are made where missing, and a new `upper` gets the owner, mode and attributes of the root.
#[derive(Clone, Debug)]
pub struct ReadWrite {
    /// Receives what changes, as a changeset in overlayfs's form.
    pub upper: PathBuf,
    /// Overlayfs's own. A work directory of a volatile mount cannot be used again.
    pub work: PathBuf,
    /// Do not sync anything to the disk, neither for the container nor at the unmount
    /// (overlayfs.rst, "Volatile mount"). For layers that do not outlive a crash anyway.
    pub volatile: bool,
}

/// A mounted root file system. Dropping it unmounts; [`Mount::keep`] leaves it.
#[derive(Debug)]
pub struct Mount {
    target: PathBuf,
    armed: bool,
}

impl Mount {
    /// Where it is mounted.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Leaves it mounted, beyond the end of the process. [`unmount`](crate::unmount) ends it.
    pub fn keep(mut self) {
        self.armed = false;
    }

    /// Unmounts it.
    ///
    /// # Errors
    /// As [`unmount`](crate::unmount).
    pub fn unmount(mut self) -> Result<(), Error> {
        self.armed = false;
        crate::unmount(&self.target)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.armed {
            // Nobody is left to report to; what stays mounted is visible in the mount table.
            let _ = crate::unmount(&self.target);
        }
    }
}

/// Mounts a prepared root file system at the directory `target`: read-write over `rw`, else
/// read-only. One mount becomes visible, at once and complete; it does not depend on this process.
///
/// # Errors
/// A kernel that refuses (with its own words), missing files, or no privilege. Nothing is left
/// mounted then.
pub fn mount(prepared: &Prepared, rw: Option<&ReadWrite>, target: &Path) -> Result<Mount, Error> {
    let place = open_target(target)?;
    let absolute = std::path::absolute(target).map_err(Error::io("name", target))?;
    let lower = lower::open(prepared)?;
    let mut lowers = vec![lower];
    let upper = match rw {
        Some(rw) => Some(upper::open(rw, &lowers[0])?),
        None => {
            lowers.push(lower::empty(target)?);
            None
        }
    };
    let overlay = make_overlay(&lowers, upper.as_ref(), &place, target)?;
    attach(&overlay, &place, target)?;
    Ok(Mount { target: absolute, armed: true })
}

/// Makes the overlay, attached nowhere, in the way that the kernel knows.
fn make_overlay(
    lowers: &[Lower],
    upper: Option<&upper::Upper>,
    place: &OwnedFd,
    target: &Path,
) -> Result<OwnedFd, Error> {
    match overlay(lowers, upper, target) {
        Err(error) if unsupported(&error) && lowers.iter().any(|l| l.detached.is_some()) => {
            overlay_of_attached(lowers, upper, place, target)
        }
        other => other,
    }
}

fn overlay(
    lowers: &[Lower],
    upper: Option<&upper::Upper>,
    target: &Path,
) -> Result<OwnedFd, Error> {
    let context = Context::open("overlay", target)?;
    context.string("source", SOURCE)?;
    for (key, value) in
        [("redirect_dir", "nofollow"), ("metacopy", "off"), ("index", "off"), ("xino", "on")]
    {
        context.string(key, value)?;
    }
    set_lowers(&context, lowers)?;
    match upper {
        Some(upper) => {
            context.layer("upperdir", upper.upper.as_fd())?;
            context.layer("workdir", upper.work.as_fd())?;
            if upper.volatile {
                context.flag("volatile")?;
            }
            context.mount(MountAttrFlags::empty())
        }
        None => context.mount(MountAttrFlags::MOUNT_ATTR_RDONLY),
    }
}

/// Sets the lower directories: one by one since Linux 6.5, before that in one string.
fn set_lowers(context: &Context<'_>, lowers: &[Lower]) -> Result<(), Error> {
    let first = lowers.iter().try_for_each(|l| context.layer("lowerdir+", l.directory.as_fd()));
    if first.is_ok() {
        return Ok(());
    }
    let names: Vec<_> = lowers.iter().map(|l| context::proc_path(&l.directory)).collect();
    context.string("lowerdir", &names.join(":"))
}

/// Before Linux 6.15 overlayfs takes no lower directory from a mount that is attached nowhere. Then
/// the lower ones stand at the target for a moment, until the overlay holds copies of its own.
fn overlay_of_attached(
    lowers: &[Lower],
    upper: Option<&upper::Upper>,
    place: &OwnedFd,
    target: &Path,
) -> Result<OwnedFd, Error> {
    let mut shown = Vec::new();
    let attached = lowers.iter().filter_map(|lower| lower.detached.as_ref()).try_for_each(|fd| {
        attach(fd, place, target)?;
        shown.push(fd);
        Ok(())
    });
    let made = attached.and_then(|()| overlay(lowers, upper, target));
    for fd in shown.into_iter().rev() {
        rustix::mount::unmount(context::proc_path(fd), UnmountFlags::DETACH)
            .map_err(Error::io("unmount the lower file system from", target))?;
    }
    made
}

fn attach(mount: &OwnedFd, place: &OwnedFd, target: &Path) -> Result<(), Error> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", place, "", flags).map_err(Error::io("mount at", target))
}

fn open_target(target: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(CWD, target, flags, Mode::empty()).map_err(Error::io("open the mount point", target))
}

fn unsupported(error: &Error) -> bool {
    matches!(error, Error::Mount { source, .. } if source.kind() == io::ErrorKind::InvalidInput)
}

/// Mounts as [`mount()`] does, but nowhere, and opens the file `name` in its root.
pub(crate) fn read_detached(
    prepared: &Prepared,
    rw: &ReadWrite,
    place: &Path,
    name: &str,
) -> Result<File, Error> {
    let lowers = [lower::open(prepared)?];
    let upper = upper::open(rw, &lowers[0])?;
    let overlay = make_overlay(&lowers, Some(&upper), &open_target(place)?, place)?;
    let file = openat(&overlay, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    file.map(File::from).map_err(Error::io("open a file of the mount for", place))
}
