//! Paths that the container must not read or write: masked and read-only ones.
//!
//! A directory is covered by an empty read-only tmpfs, anything else by the host's null device, bound
//! read-only and opened while the host's `/dev` was still in view. So nothing that a container can
//! rename or replace in its own `/dev` decides what a path is masked with (CVE-2025-31133).

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::Spec;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::label;
use super::root::{Place, attach, clone_mount, kind_of};
use crate::error::{Doing, Error, Result};
use crate::syscalls::{MountAttr, mount_setattr};

/// Where the masks are copied from.
pub(crate) struct Masks {
    null: OwnedFd,
    /// The first directory's mask, which the others copy: only what is attached can be copied.
    directory: Option<OwnedFd>,
    /// The SELinux label of a directory's mask.
    label: Option<String>,
}

impl Masks {
    /// To be made while the host's `/dev` is in view.
    pub(crate) fn new(spec: &Spec) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let null = rustix::fs::open("/dev/null", flags, Mode::empty())
            .doing(|| "open /dev/null".into())?;
        let stat = rustix::fs::fstat(&null).doing(|| "look at /dev/null".into())?;
        if stat.st_rdev != rustix::fs::makedev(1, 3) {
            return Err(Error::spec("linux.maskedPaths", "the host's /dev/null is no null device"));
        }
        Ok(Self { null, directory: None, label: label::of(spec).map(str::to_owned) })
    }

    /// Hides what is at `place`, whose path is `path`.
    pub(crate) fn cover(&mut self, place: &Place, path: &Path) -> Result<()> {
        let doing = || format!("mask {}", path.display());
        if kind_of(place.as_fd())? != FileType::Directory {
            let mask = clone_mount(self.null.as_fd(), false).doing(doing)?;
            let read_only = MountAttr { set: super::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
            mount_setattr(mask.as_fd(), false, &read_only).doing(doing)?;
            return attach(mask.as_fd(), place.as_fd()).doing(doing);
        }
        if let Some(first) = &self.directory {
            let mask = clone_mount(first.as_fd(), false).doing(doing)?;
            return attach(mask.as_fd(), place.as_fd()).doing(doing);
        }
        let mask = empty_directory(self.label.as_deref()).doing(doing)?;
        attach(mask.as_fd(), place.as_fd()).doing(doing)?;
        self.directory = Some(mask);
        Ok(())
    }
}

fn empty_directory(label: Option<&str>) -> Result<OwnedFd, Errno> {
    let fs = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_flag(fs.as_fd(), "ro")?;
    rustix::mount::fsconfig_set_string(fs.as_fd(), "nr_inodes", "1")?;
    if let Some(label) = label {
        rustix::mount::fsconfig_set_string(fs.as_fd(), "context", label)?;
    }
    rustix::mount::fsconfig_create(fs.as_fd())?;
    let attr = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOEXEC
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV;
    rustix::mount::fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attr)
}

/// Lays a read-only copy of what is at `place`, whose path is `path`, over it. Mounts below it come
/// along as they are.
pub(crate) fn make_read_only(place: &Place, path: &Path) -> Result<()> {
    let doing = || format!("make {} read-only", path.display());
    let copy = clone_mount(place.as_fd(), true).doing(doing)?;
    let read_only = MountAttr { set: super::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    mount_setattr(copy.as_fd(), false, &read_only).doing(doing)?;
    attach(copy.as_fd(), place.as_fd()).doing(doing)
}
