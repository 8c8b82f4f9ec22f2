//! The container's root file system, built in its own mount namespace by its first process.
//!
//! ```text
//! enter            the host's mounts stop propagating from here; the root becomes a mount
//! mount_all        the configuration's mounts, in order, each onto a descriptor resolved in the root
//! device nodes     /dev, its links, the terminal
//! protect          read-only and masked paths, read-only root
//! pivot            the root is changed, the host's tree is detached
//! ```
//!
//! Nothing here leaves anything behind on the host but directories and empty files that the image
//! lacked as mount points, inside the image's own root.

mod cgroup_mount;
mod copy_up;
mod device;
mod mask;
mod mount;
mod options;
mod root;

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::Spec;
use rustix::fs::{Mode, OFlags};
use rustix::mount::UnmountFlags;

use crate::cgroup::Cgroup;
use crate::error::{Doing, Error, Result};
use crate::syscalls::{MountAttr, mount_setattr};

pub(crate) use device::{open_terminal, set_up_console, set_up_devices};
pub(crate) use root::Root;

const MOUNT_ATTR_RDONLY: u64 = 1;

/// The root under construction, and what must wait until the end.
pub(crate) struct Rootfs {
    pub(crate) root: Root,
    /// Mounts that become read-only when everything is in them.
    read_only_later: Vec<OwnedFd>,
    /// Where masks come from, made with the host's view.
    masks: Option<mask::Masks>,
}

/// Makes the mount namespace the container's own and its root directory a mount in it.
pub(crate) fn enter(spec: &Spec, rootfs: &Path) -> Result<Rootfs> {
    let linux = crate::spec::linux(spec)?;
    let propagation = linux.rootfs_propagation().as_deref().filter(|name| !name.is_empty());
    let (flag, recursive) = match propagation {
        None => (libc::MS_SLAVE, true),
        Some(name) => name
            .strip_prefix('r')
            .and_then(options::propagation)
            .map(|flag| (flag, true))
            .or(options::propagation(name).map(|flag| (flag, false)))
            .ok_or_else(|| {
                Error::spec("linux.rootfsPropagation", format!("{name:?} is not known"))
            })?,
    };
    propagate(Path::new("/"), flag, recursive)?;
    if flag == libc::MS_SHARED {
        make_parent_private(rootfs)?;
    }
    let place = open_path(rootfs)?;
    let tree = root::clone_mount(place.as_fd(), true)
        .doing(|| format!("copy the mount of {}", rootfs.display()))?;
    root::attach(tree.as_fd(), place.as_fd())
        .doing(|| format!("mount the root {}", rootfs.display()))?;
    let wanted = linux.masked_paths().as_ref().is_some_and(|paths| !paths.is_empty());
    let masks = wanted.then(mask::Masks::new).transpose()?;
    Ok(Rootfs { root: Root::new(tree), read_only_later: Vec::new(), masks })
}

/// An unbindable mount cannot be copied: it is private now, and itself when it is in place.
fn propagate(path: &Path, flag: u64, recursive: bool) -> Result<()> {
    let unbindable = flag == libc::MS_UNBINDABLE;
    let flag = if unbindable { libc::MS_PRIVATE } else { flag };
    let root = open_path(path)?;
    let attr = MountAttr { propagation: flag, ..MountAttr::default() };
    mount_setattr(root.as_fd(), recursive, &attr)
        .doing(|| format!("set the propagation of {}", path.display()))
}

/// pivot_root(2) wants the mount above the new root not to be shared.
fn make_parent_private(rootfs: &Path) -> Result<()> {
    let table = std::fs::read_to_string("/proc/self/mountinfo")
        .doing(|| "read /proc/self/mountinfo".into())?;
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    let above = points.filter(|point| rootfs.starts_with(point)).max_by_key(|point| point.len());
    let parent = open_path(Path::new(above.unwrap_or("/")))?;
    let attr = MountAttr { propagation: libc::MS_PRIVATE, ..MountAttr::default() };
    mount_setattr(parent.as_fd(), false, &attr)
        .doing(|| format!("make the mount above {} private", rootfs.display()))
}

impl Rootfs {
    /// All mounts of the configuration, in their order.
    pub(crate) fn mount_all(&mut self, spec: &Spec, bundle: &Path, cgroup: &Cgroup) -> Result<()> {
        for mount in spec.mounts().iter().flatten() {
            let later = mount::mount(&self.root, mount, bundle, cgroup, spec)?;
            self.read_only_later.extend(later);
        }
        Ok(())
    }

    /// Makes the working directory, where the image lacks it, before the root may become read-only.
    pub(crate) fn ensure_cwd(&self, cwd: &Path) -> Result<()> {
        self.root.directory(cwd).map(drop)
    }

    /// Read-only and masked paths, resolved in the root like mount targets, and mounts that were kept
    /// writable until now.
    pub(crate) fn protect(&mut self, spec: &Spec) -> Result<()> {
        let linux = crate::spec::linux(spec)?;
        let read_only = MountAttr { set: MOUNT_ATTR_RDONLY, ..MountAttr::default() };
        for mount in &self.read_only_later {
            mount_setattr(mount.as_fd(), false, &read_only)
                .doing(|| "make a mount read-only".into())?;
        }
        for path in linux.readonly_paths().iter().flatten() {
            mask::make_read_only(&self.root, Path::new(path))?;
        }
        if let Some(masks) = &mut self.masks {
            for path in linux.masked_paths().iter().flatten() {
                masks.cover(&self.root, Path::new(path))?;
            }
        }
        if spec.root().as_ref().and_then(|root| root.readonly()) == Some(true) {
            mount_setattr(self.root.as_fd(), false, &read_only)
                .doing(|| "make the root read-only".into())?;
        }
        Ok(())
    }

    /// Makes the root the root, and the host's tree unreachable (pivot_root(2), "pivot_root(".",
    /// ".")").
    pub(crate) fn pivot(&self, spec: &Spec, no_pivot: bool) -> Result<()> {
        let old = open_path(Path::new("/"))?;
        rustix::process::fchdir(&self.root).doing(|| "enter the root".into())?;
        if no_pivot {
            move_root()?;
        } else {
            rustix::process::pivot_root(".", ".").doing(|| "pivot_root".into())?;
            // The old root now lies over the new one. Its unmounting must not reach the host.
            rustix::process::fchdir(&old).doing(|| "enter the old root".into())?;
            let attr = MountAttr { propagation: libc::MS_SLAVE, ..MountAttr::default() };
            mount_setattr(old.as_fd(), true, &attr)
                .doing(|| "cut the old root off from the host".into())?;
            rustix::mount::unmount(".", UnmountFlags::DETACH)
                .doing(|| "detach the old root".into())?;
        }
        rustix::process::chdir("/").doing(|| "enter the new root".into())?;
        let unbindable = crate::spec::linux(spec)?
            .rootfs_propagation()
            .as_deref()
            .is_some_and(|name| name.trim_start_matches('r') == "unbindable");
        if unbindable {
            let attr = MountAttr { propagation: libc::MS_UNBINDABLE, ..MountAttr::default() };
            mount_setattr(self.root.as_fd(), false, &attr)
                .doing(|| "make the root unbindable".into())?;
        }
        Ok(())
    }
}

/// `--no-pivot`, for a root on the initial ramdisk: the tree is moved over the old root instead.
fn move_root() -> Result<()> {
    rustix::mount::mount_move(".", "/").doing(|| "move the root over the host's".into())?;
    rustix::process::chroot(".").doing(|| "change the root".into())
}

/// A descriptor for a place, by the host's view.
pub(crate) fn open_path(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .doing(|| format!("open {}", path.display()))
}
