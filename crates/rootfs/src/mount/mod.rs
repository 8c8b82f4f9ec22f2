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
//! One thing EROFS cannot: overlayfs sets an access control list on a lower file only if the lower file
//! system has set_acl, which read-only ones lack; once the file is copied up it does. So the first
//! setfacl(1) on an image's own file fails there (EOPNOTSUPP), and after any other change it works.
//! See the kernel's Documentation/filesystems/overlayfs.rst.

mod context;
mod fuse;
mod lower;
mod memory;
mod upper;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags, fstatvfs, openat};
use rustix::mount::{MountAttrFlags, MoveMountFlags, UnmountFlags, move_mount};

use context::Context;
pub(crate) use context::proc_path;
use lower::Lower;
pub use memory::mount_memory;
use upper::Upper;

use crate::prepare::Prepared;
use crate::{Error, ids};

/// What stands as the source of our mounts in the mount table, and tells them from others'.
pub(crate) const SOURCE: &str = "tare";

/// The thin read-write layer of a mounted root file system: two directories in one file system.
/// They are made where missing. Mounted for the first time, `upper` gets the owner, mode and
/// attributes of the root.
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
    match (make_overlay(&lowers, upper.as_ref(), &place, target), rw.zip(upper.as_ref())) {
        (Ok(overlay), upper) => {
            if let Some((rw, _)) = upper {
                assert_writable(&overlay, &rw.work)?;
            }
            attach(&overlay, &place, target)?;
        }
        (Err(refused), Some((rw, upper))) if ids().is_some() => {
            fuse::mount(&lowers, upper, &rw.upper, target, refused)?;
        }
        (Err(refused), _) => return Err(refused),
    }
    Ok(Mount { target: absolute, armed: true })
}

/// How overlayfs is told its directories.
#[derive(Clone, Copy)]
enum Form {
    /// By descriptor, since Linux 6.13. The mount table then shows their paths.
    Descriptors,
    /// By their names in procfs, which have neither the length nor the letters of their paths.
    Names,
}

/// Makes the overlay, attached nowhere, in the best way that the kernel knows.
///
/// Before Linux 6.15 overlayfs takes no lower directory from a mount that is attached nowhere. Then
/// the lower ones stand at the target for a moment, until the overlay holds copies of its own.
fn make_overlay(
    lowers: &[Lower],
    upper: Option<&Upper>,
    place: &OwnedFd,
    target: &Path,
) -> Result<OwnedFd, Error> {
    let mut result = overlay(lowers, upper, target, Form::Descriptors);
    if is_unknown(&result) {
        result = overlay(lowers, upper, target, Form::Names);
    }
    if is_unknown(&result) && lowers.iter().any(|lower| lower.detached.is_some()) {
        result = overlay_of_attached(lowers, upper, place, target);
    }
    result
}

/// Whether the kernel refused in the way in which it refuses what it does not know.
fn is_unknown(result: &Result<OwnedFd, Error>) -> bool {
    let kind = io::ErrorKind::InvalidInput;
    matches!(result, Err(Error::Mount { source, .. }) if source.kind() == kind)
}

fn overlay(
    lowers: &[Lower],
    upper: Option<&Upper>,
    target: &Path,
    form: Form,
) -> Result<OwnedFd, Error> {
    let context = Context::open("overlay", target)?;
    context.string("source", SOURCE)?;
    for (key, value) in
        [("redirect_dir", "nofollow"), ("metacopy", "off"), ("index", "off"), ("xino", "on")]
    {
        context.string(key, value)?;
    }
    if ids().is_some() {
        // There nobody may write trusted attributes; its signs are then user.overlay.*
        context.flag("userxattr")?;
    }
    set_directories(&context, lowers, upper, form)?;
    match upper {
        Some(upper) if upper.volatile => context.flag("volatile")?,
        _ => {}
    }
    let read_only = MountAttrFlags::MOUNT_ATTR_RDONLY;
    context.mount(if upper.is_some() { MountAttrFlags::empty() } else { read_only })
}

fn set_directories(
    context: &Context<'_>,
    lowers: &[Lower],
    upper: Option<&Upper>,
    form: Form,
) -> Result<(), Error> {
    let uppers = upper.map(|upper| [("upperdir", &upper.upper), ("workdir", &upper.work)]);
    match form {
        Form::Descriptors => {
            lowers
                .iter()
                .try_for_each(|lower| context.descriptor("lowerdir+", &lower.directory))?;
            uppers.into_iter().flatten().try_for_each(|(key, fd)| context.descriptor(key, fd))
        }
        Form::Names => {
            let names: Vec<_> = lowers.iter().map(|l| context::proc_path(&l.directory)).collect();
            context.string("lowerdir", &names.join(":"))?;
            uppers.into_iter().flatten().try_for_each(|(key, fd)| context.file(key, fd))
        }
    }
}

fn overlay_of_attached(
    lowers: &[Lower],
    upper: Option<&Upper>,
    place: &OwnedFd,
    target: &Path,
) -> Result<OwnedFd, Error> {
    let mut shown = Vec::new();
    let attached = lowers.iter().filter_map(|lower| lower.detached.as_ref()).try_for_each(|fd| {
        attach(fd, place, target)?;
        shown.push(fd);
        Ok(())
    });
    let made = attached.and_then(|()| overlay(lowers, upper, target, Form::Names));
    for fd in shown.into_iter().rev() {
        rustix::mount::unmount(context::proc_path(fd), UnmountFlags::DETACH)
            .map_err(Error::io("unmount the lower file system from", target))?;
    }
    made
}

/// Overlayfs that cannot make its own directory in the work directory, on a full disk for one, is silently
/// read-only. What it met there is the error.
fn assert_writable(overlay: &OwnedFd, work: &Path) -> Result<(), Error> {
    let flags = fstatvfs(overlay).map_err(Error::io("look at the mount over", work))?.f_flag;
    if !flags.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let probe = work.join("probe");
    let made = std::fs::create_dir(&probe).and_then(|()| std::fs::remove_dir(&probe));
    let refused = made.err().unwrap_or_else(|| io::ErrorKind::ReadOnlyFilesystem.into());
    Err(Error::io("write to", work)(refused))
}

fn attach(mount: &OwnedFd, place: &OwnedFd, target: &Path) -> Result<(), Error> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", place, "", flags).map_err(Error::io("mount at", target))
}

fn open_target(target: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(CWD, target, flags, Mode::empty()).map_err(Error::io("open the mount point", target))
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

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::mount::MountFlags;

    use super::*;
    use crate::Driver;

    /// What older kernels need works on this one, too.
    #[test]
    fn older_ways() {
        let temp = tempfile::tempdir().unwrap();
        let dir = |name: &str| {
            let path = temp.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let prepared =
            Prepared { driver: Driver::Directory, path: dir("lower"), layers: Vec::new() };
        fs::write(prepared.path.join("file"), "x").unwrap();
        let target = dir("target");
        let place = open_target(&target).unwrap();
        let rw = ReadWrite { upper: dir("upper"), work: dir("work"), volatile: false };
        let mut lowers = vec![lower::open(&prepared).unwrap()];
        let upper = upper::open(&rw, &lowers[0]).unwrap();
        let named = overlay(&lowers, Some(&upper), &target, Form::Names).unwrap();
        assert!(openat(&named, "file", OFlags::RDONLY, Mode::empty()).is_ok());

        lowers.push(lower::empty(&target).unwrap());
        let attached = overlay_of_attached(&lowers, None, &place, &target).unwrap();
        assert!(openat(&attached, "file", OFlags::RDONLY, Mode::empty()).is_ok());
        assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
        assert!(rustix::mount::unmount(&target, UnmountFlags::NOFOLLOW).is_err());
    }

    /// A file system with three files: its root, the upper and the work directory.
    #[test]
    fn a_full_disk_is_told() {
        let temp = tempfile::tempdir().unwrap();
        let (small, lower, target) =
            (temp.path().join("small"), temp.path().join("lower"), temp.path().join("target"));
        for path in [&small, &lower, &target] {
            fs::create_dir(path).unwrap();
        }
        let options = c"nr_inodes=3";
        rustix::mount::mount("tare-test", &small, "tmpfs", MountFlags::empty(), Some(options))
            .unwrap();
        let prepared = Prepared { driver: Driver::Directory, path: lower, layers: Vec::new() };
        let rw = ReadWrite { upper: small.join("upper"), work: small.join("work"), volatile: true };
        let mounted = mount(&prepared, Some(&rw), &target);
        rustix::mount::unmount(&small, UnmountFlags::DETACH).unwrap();
        let Err(Error::Io { source, .. }) = mounted else { panic!("{mounted:?}") };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    }
}
