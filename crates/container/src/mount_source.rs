//! Sources of mounts that only the runtime may open: in a user namespace the host's files may be closed
//! to the container's first process, ids of a mount are mapped with privileges, and a block device may
//! be denied by the container's cgroup already.
//!
//! ```text
//!  runtime                    helper                          first process
//!     │◀───────────────────────────────────────── NeedSource(n) │
//!     │ clone3 ─────────────────▶│                              │
//!     │                          │ joins its mount namespace    │
//!     │                          │ opens the source by path     │
//!     │                          │ Source(descriptor) ─────────▶│ or Failed
//!     │ waits ◀──────────────────│ ends                         │
//! ```
//!
//! The helper is there so that the path means what it means among the mounts that the container has so
//! far, and so that the runtime stays in its own namespace. It leaves nothing behind.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::{LinuxNamespaceType, Mount};
use rustix::process::WaitOptions;

use crate::birth::Child;
use crate::error::{Doing, Error, Result};
use crate::id_map;
use crate::namespaces::Namespaces;
use crate::rootfs::{self, Options};
use crate::spec::{self, Bundle};
use crate::sync::{Channel, Message};
use crate::syscalls::{self, Cloned, MountAttr};

/// `MOUNT_ATTR_IDMAP` (mount_setattr(2), "ID-mapped mounts").
const IDMAP: u64 = 0x10_0000;

/// Sends the source of the mount with this index, or why there is none.
pub(crate) fn provide(
    bundle: &Bundle,
    namespaces: &Namespaces,
    child: &Child,
    channel: &Channel,
    index: usize,
) -> Result<()> {
    let mounts = bundle.spec.mounts().as_deref().unwrap_or_default();
    let mount = mounts.get(index).ok_or_else(|| Error::Init("no such mount".into()))?;
    let options = Options::parse(mount.options().iter().flatten());
    let users = match rootfs::is_id_mapped(mount, &options) {
        true => Some(users(mount, bundle, namespaces)?),
        false => None,
    };
    // SAFETY: the runtime has one thread; the helper ends in _exit.
    let helper =
        match unsafe { syscalls::clone3(0, None) }.doing(|| "make a helper process".into())? {
            Cloned::Parent { pid, .. } => pid,
            Cloned::Child => {
                let path = bundle.path.join(mount.source().as_deref().unwrap_or("".as_ref()));
                let opened = syscalls::setns(child.pidfd.as_fd(), libc::CLONE_NEWNS)
                    .doing(|| "join the container's mount namespace".into())
                    .and_then(|()| match rootfs::is_bind(mount, &options) {
                        true => open(&path, &options, users.as_ref().map(AsFd::as_fd)),
                        false => rootfs::make_file_system(&bundle.spec, mount),
                    });
                let answer = match opened {
                    Ok(source) => Message::Source(source),
                    Err(error) => Message::Failed(error.to_string()),
                };
                let _ = channel.send(&answer);
                syscalls::exit_now(0)
            }
        };
    rustix::process::waitpid(Some(helper), WaitOptions::empty())
        .map(drop)
        .doing(|| "wait for the helper".into())
}

fn open(
    path: &std::path::Path,
    options: &Options,
    users: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd> {
    let place = rootfs::open_path(path)?;
    let Some(users) = users else { return Ok(place) };
    let copy = rootfs::clone_mount(place.as_fd(), options.bind == Some(true))
        .doing(|| format!("copy the mount of {}", path.display()))?;
    let attr =
        MountAttr { set: IDMAP, userns_fd: users.as_raw_fd() as u64, ..MountAttr::default() };
    syscalls::mount_setattr(copy.as_fd(), options.id_map == Some(true), &attr)
        .doing(|| format!("map the ids of {} (not every file system can)", path.display()))?;
    Ok(copy)
}

/// A user namespace whose mappings are the mount's: its own, or else the container's.
fn users(mount: &Mount, bundle: &Bundle, namespaces: &Namespaces) -> Result<OwnedFd> {
    if let (Some(users), Some(groups)) = (mount.uid_mappings(), mount.gid_mappings()) {
        return id_map::namespace(users, groups);
    }
    if let Some(joined) = namespaces.joined(LinuxNamespaceType::User) {
        return joined.descriptor.try_clone().doing(|| "copy a descriptor".into());
    }
    let linux = spec::linux(&bundle.spec)?;
    let (users, groups) = (linux.uid_mappings(), linux.gid_mappings());
    id_map::namespace(users.as_deref().unwrap_or_default(), groups.as_deref().unwrap_or_default())
}
