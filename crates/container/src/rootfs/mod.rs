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

mod anchor;
mod bind;
mod cgroup_mount;
mod copy_up;
mod device;
mod file_system;
mod inside;
mod jail;
mod label;
mod mask;
mod mount;
mod options;
mod proc_guard;
mod restore;
mod root;

use std::borrow::Cow;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, LinuxNamespaceType, Spec};
use rustix::fs::{Mode, OFlags};

use crate::cgroup::Cgroup;
use crate::error::{Doing, Error, Result};
use crate::namespaces;
use crate::syscalls::{self, MountAttr, mount_setattr};
use mount::{Context, Mounted};

pub(crate) use bind::{is_bind, is_id_mapped};
pub(crate) use device::{open_terminal, set_up_console, set_up_devices};
pub(crate) use inside::{alone, own_procfs};
pub(crate) use jail::change_root;
pub(crate) use mount::make as make_file_system;
pub(crate) use options::Options;
pub(crate) use restore::{CriuRoot, prepare_mount_points};
pub(crate) use root::{Root, clone_mount};

const MOUNT_ATTR_RDONLY: u64 = 1;

/// The root under construction, and what must wait until the end.
pub(crate) struct Rootfs {
    pub(crate) root: Root,
    /// Mounts that become read-only when everything is in them.
    read_only_later: Vec<OwnedFd>,
    /// Where protected paths are looked up.
    anchors: anchor::Anchors,
    /// The root's path on the host.
    path: PathBuf,
    /// Where masks come from, made with the host's view.
    masks: Option<mask::Masks>,
}

/// Makes the mount namespace the container's own and its root directory a mount in it.
pub(crate) fn enter(spec: &Spec, rootfs: &Path) -> Result<Rootfs> {
    let linux = crate::spec::linux(spec)?;
    let own = namespaces::has(spec, LinuxNamespaceType::Mount);
    let (flag, recursive) = propagation(linux)?.unwrap_or((libc::MS_SLAVE, true));
    if own {
        // An unbindable mount cannot be copied: it is private now, and itself when it is in place.
        let unbindable = flag == libc::MS_UNBINDABLE;
        let propagation = if unbindable { libc::MS_PRIVATE } else { flag };
        let attr = MountAttr { propagation, ..MountAttr::default() };
        syscalls::mount_setattr_at(c"/", recursive, &attr)
            .doing(|| "set the propagation of /".into())?;
    }
    if !own || !recursive || flag == libc::MS_SHARED {
        jail::make_parent_private(rootfs)?;
    }
    let place = open_path(rootfs)?;
    let tree = root::clone_mount(place.as_fd(), true)
        .doing(|| format!("copy the mount of {}", rootfs.display()))?;
    // What the host mounts below its directory later does not come here.
    let private = MountAttr { propagation: libc::MS_PRIVATE, ..MountAttr::default() };
    mount_setattr(tree.as_fd(), false, &private).doing(|| "make the root private".into())?;
    root::attach(tree.as_fd(), place.as_fd())
        .doing(|| format!("mount the root {}", rootfs.display()))?;
    let wanted = linux.masked_paths().as_ref().is_some_and(|paths| !paths.is_empty());
    let masks = wanted.then(|| mask::Masks::new(spec)).transpose()?;
    Ok(Rootfs {
        root: Root::new(tree),
        read_only_later: Vec::new(),
        anchors: anchor::Anchors::default(),
        path: rootfs.into(),
        masks,
    })
}

/// `linux.rootfsPropagation`: the flag, and whether for all mounts below too.
fn propagation(linux: &Linux) -> Result<Option<(u64, bool)>> {
    let Some(name) = linux.rootfs_propagation().as_deref().filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let recursive = name.strip_prefix('r').and_then(options::propagation).map(|flag| (flag, true));
    let found = recursive.or(options::propagation(name).map(|flag| (flag, false)));
    let unknown = || Error::spec("linux.rootfsPropagation", format!("{name:?} is not known"));
    found.map(Some).ok_or_else(unknown)
}

/// Refuses what no kernel does, before anything is made.
pub(crate) fn check(spec: &Spec, no_pivot: bool) -> Result<()> {
    let linux = crate::spec::linux(spec)?;
    label::check(spec)?;
    let propagation = propagation(linux)?;
    if no_pivot && propagation.is_some_and(|(flag, _)| flag == libc::MS_PRIVATE) {
        return Err(Error::spec("linux.rootfsPropagation", "private is not safe with --no-pivot"));
    }
    let own = namespaces::has(spec, LinuxNamespaceType::Mount);
    if no_pivot && !own {
        return Err(Error::spec("--no-pivot", "would move the root over the host's own"));
    }
    for (field, paths) in [
        ("linux.maskedPaths", linux.masked_paths()),
        ("linux.readonlyPaths", linux.readonly_paths()),
    ] {
        if !own && paths.as_ref().is_some_and(|paths| !paths.is_empty()) {
            return Err(Error::spec(field, "needs a mount namespace of the container's own"));
        }
    }
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        bind::check(index, mount, spec)?;
    }
    Ok(())
}

impl Rootfs {
    /// All mounts of the configuration, in their order. `ask` gets the source of the mount with an
    /// index from the runtime.
    pub(crate) fn mount_all(
        &mut self,
        spec: &Spec,
        bundle: &Path,
        cgroup: &Cgroup,
        ask: &dyn Fn(usize) -> Result<OwnedFd>,
    ) -> Result<()> {
        let mapped = namespaces::has_user(spec);
        let context = Context { root: &self.root, bundle, cgroup, spec, mapped, ask };
        for (index, mount) in spec.mounts().iter().flatten().enumerate() {
            let mut mount = Cow::Borrowed(mount);
            // A destination may be given by the host's path, as runc takes it.
            if let Ok(inside) = mount.destination().strip_prefix(&self.path) {
                let inside = Path::new("/").join(inside);
                mount.to_mut().set_destination(inside);
            }
            let kernel = match mount::mount(&context, index, &mount)? {
                Mounted::Changed => continue,
                Mounted::Whole => None,
                Mounted::ReadOnlyLater(made) => {
                    self.read_only_later.push(made);
                    None
                }
                Mounted::Kernel(made) => Some(made),
            };
            self.anchors.add(mount.destination(), kernel);
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
        for path in linux.readonly_paths().iter().flatten().map(Path::new) {
            if let Some(place) = self.anchors.find(&self.root, path)? {
                mask::make_read_only(&place, path)?;
            }
        }
        if let Some(masks) = &mut self.masks {
            for path in linux.masked_paths().iter().flatten().map(Path::new) {
                if let Some(place) = self.anchors.find(&self.root, path)? {
                    masks.cover(&place, path)?;
                }
            }
        }
        if spec.root().as_ref().and_then(|root| root.readonly()) == Some(true) {
            mount_setattr(self.root.as_fd(), false, &read_only)
                .doing(|| "make the root read-only".into())?;
        }
        Ok(())
    }

    /// Makes the root the root, and the host's tree unreachable.
    pub(crate) fn pivot(&self, spec: &Spec, rootfs: &Path, no_pivot: bool) -> Result<()> {
        if no_pivot {
            jail::move_root(&self.root, rootfs)?;
        } else if namespaces::has(spec, LinuxNamespaceType::Mount) {
            jail::pivot(&self.root)?;
        } else {
            jail::change_root(&self.root)?;
        }
        rustix::process::chdir("/").doing(|| "enter the new root".into())?;
        let wanted = propagation(crate::spec::linux(spec)?)?;
        if let Some((flag, recursive)) = wanted.filter(|(flag, _)| *flag != libc::MS_PRIVATE) {
            let attr = MountAttr { propagation: flag, ..MountAttr::default() };
            mount_setattr(self.root.as_fd(), recursive, &attr)
                .doing(|| "set the propagation of the root".into())?;
        }
        Ok(())
    }
}

/// How a place is opened.
const PLACE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// A descriptor for a place, by the host's view.
pub(crate) fn open_path(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, PLACE, Mode::empty()).doing(|| format!("open {}", path.display()))
}

/// Whether a mount option is acted on here, rather than by the file system.
#[cfg(test)]
pub(crate) fn is_mount_option(option: &str) -> bool {
    options::Options::parse([&option.to_owned()]).data.is_empty()
}
