//! A bind mount: a copy of a mount of the host's, changed before anyone can see it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{Mount, Spec};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::mount::Context;
use super::options::Options;
use super::proc_guard::{refuse_over_proc, refuse_over_root};
use super::root::{attach, clone_mount, kind_of, mount_error};
use super::{anchor, open_path};
use crate::error::{Error, Result};
use crate::syscalls::{MountAttr, mount_setattr};
use crate::{namespaces, notice};

/// Mounts it. `index` is its place in the configuration, by which the runtime is asked for a source that
/// only it may open. The host's procfs or sysfs is returned.
pub(super) fn bind(
    context: &Context<'_>,
    index: usize,
    mount: &Mount,
    options: &Options,
) -> Result<Option<OwnedFd>> {
    let destination = mount.destination();
    let failed = |error: Errno| mount_error(destination, std::io::Error::from(error));
    let source = mount
        .source()
        .as_ref()
        .filter(|source| !source.as_os_str().is_empty())
        .ok_or_else(|| mount_error(destination, "a bind mount needs a source"))?;
    let source = context.bundle.join(source);
    let recursive = options.bind == Some(true);
    let (from, copy) = if is_id_mapped(mount, options) {
        // The runtime copies it too: only it may map ids.
        let copy = (context.ask)(index).map_err(|error| mount_error(destination, error))?;
        (None, copy)
    } else {
        let from = open_source(context, index, &source)
            .map_err(|error| mount_error(destination, error))?;
        let copy = clone_mount(from.as_fd(), recursive).map_err(failed)?;
        (Some(from), copy)
    };
    let from = from.as_ref().unwrap_or(&copy);
    set_flags(copy.as_fd(), from.as_fd(), options)
        .map_err(|reason| mount_error(destination, reason))?;
    let directory = kind_of(from.as_fd())? == FileType::Directory;
    let root = context.root;
    let place = if directory { root.directory(destination)? } else { root.file(destination)? };
    refuse_over_proc(place.as_fd(), destination, Some(from.as_fd()), "bind")?;
    refuse_over_root(root, &place, destination)?;
    if directory != (kind_of(place.as_fd())? == FileType::Directory) {
        let reason = format!("{} and its place are not both directories", source.display());
        return Err(mount_error(destination, reason));
    }
    attach(copy.as_fd(), place.as_fd()).map_err(failed)?;
    let kernel = anchor::is_wanted(context.spec, destination) && anchor::is_kernel(copy.as_fd());
    Ok(kernel.then_some(copy))
}

/// Refuses a bind mount with flags that nobody knows, and mappings that cannot be applied.
pub(super) fn check(index: usize, mount: &Mount, spec: &Spec) -> Result<()> {
    let options = Options::parse(mount.options().iter().flatten());
    let field = |name| format!("mounts[{index}].{name} ({})", mount.destination().display());
    let bind = is_bind(mount, &options);
    for option in options.data.iter().filter(|_| bind && !options.remount) {
        let reason = format!(
            "bind mounts cannot have any filesystem-specific options applied: unknown option {option:?}"
        );
        // The kernel passes over what is for a file system, as crun and older runc do, and OCI's
        // validation suite wants such a mount made. Newest runc refuses it.
        if !option.contains('=') {
            return Err(Error::spec(field("options"), reason));
        }
        notice::warn(&format!("{}: {reason}", field("options")));
    }
    if !is_id_mapped(mount, &options) {
        return Ok(());
    }
    if !bind {
        return Err(Error::spec(field("options"), "only bind mounts can have mapped ids"));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(Error::spec(field("options"), "mounts with mapped ids need privileges"));
    }
    let given = |maps: &Option<Vec<_>>| maps.as_ref().is_some_and(|maps| !maps.is_empty());
    let (users, groups) = (given(mount.uid_mappings()), given(mount.gid_mappings()));
    let implied = mount.uid_mappings().is_none() && mount.gid_mappings().is_none();
    if users && groups || implied && namespaces::has_user(spec) {
        return Ok(());
    }
    Err(Error::spec(field("uidMappings"), "a mount with mapped ids needs mappings of both kinds"))
}

/// Whether it is a bind mount, by its type or its options.
pub(crate) fn is_bind(mount: &Mount, options: &Options) -> bool {
    options.bind.is_some() || mount.typ().as_deref() == Some("bind")
}

/// Whether the options or the mappings ask for mapped ids (runtime-spec, config.md "uidMappings").
pub(crate) fn is_id_mapped(mount: &Mount, options: &Options) -> bool {
    options.id_map.is_some() || mount.uid_mappings().is_some() || mount.gid_mappings().is_some()
}

/// In a user namespace the host's files are closed to this process that the host's root may open.
fn open_source(context: &Context<'_>, index: usize, source: &Path) -> Result<OwnedFd> {
    match open_path(source) {
        Err(Error::Io { cause, .. })
            if context.mapped && cause.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            (context.ask)(index)
        }
        opened => opened,
    }
}

/// The mount's own flags, those for the mounts below it too, and its propagation.
fn set_flags(
    copy: BorrowedFd<'_>,
    source: BorrowedFd<'_>,
    options: &Options,
) -> Result<(), String> {
    let text = |error: Errno| std::io::Error::from(error).to_string();
    let change = options.bind_change();
    match change_mount(copy, false, &change) {
        Err(Errno::PERM) => {
            let flags = rustix::fs::fstatfs(source).map_err(text)?.f_flags as u64;
            let change = options.locked_bind_change(flags)?;
            change_mount(copy, false, &change).map_err(text)?;
        }
        changed => changed.map_err(text)?,
    }
    finish(copy, options).map_err(text)
}

/// What applies to every mount alike: recursive flags and propagation.
pub(super) fn finish(mount: BorrowedFd<'_>, options: &Options) -> Result<(), Errno> {
    change_mount(mount, true, &options.recursive_attr)?;
    for &(propagation, recursive) in &options.propagation {
        let attr = MountAttr { propagation, ..MountAttr::default() };
        change_mount(mount, recursive, &attr)?;
    }
    Ok(())
}

pub(super) fn change_mount(
    mount: BorrowedFd<'_>,
    recursive: bool,
    attr: &MountAttr,
) -> Result<(), Errno> {
    if *attr == MountAttr::default() {
        return Ok(());
    }
    mount_setattr(mount, recursive, attr)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))
}
