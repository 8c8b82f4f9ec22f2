//! One mount of the configuration: made detached, set up, and only then attached at its place.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{Mount, Spec};
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::options::Options;
use super::proc_guard::{refuse_over_proc, refuse_root};
use super::root::{Root, attach, clone_mount, mount_error};
use super::{bind, cgroup_mount, copy_up, file_system, label, open_path};
use crate::cgroup::Cgroup;
use crate::error::Result;

/// What all mounts of a container share.
pub(crate) struct Context<'a> {
    pub(crate) root: &'a Root,
    pub(crate) bundle: &'a Path,
    pub(crate) cgroup: &'a Cgroup,
    pub(crate) spec: &'a Spec,
    /// Whether the container has a user namespace.
    pub(crate) mapped: bool,
    /// Asks the runtime for the source of the mount with this index.
    pub(crate) ask: &'a dyn Fn(usize) -> Result<OwnedFd>,
}

/// Mounts it. A file system that must become read-only only when the others are in it is returned.
pub(super) fn mount(context: &Context<'_>, index: usize, mount: &Mount) -> Result<Option<OwnedFd>> {
    let destination = mount.destination();
    let mut options = Options::parse(mount.options().iter().flatten());
    let kind = mount.typ().as_deref().unwrap_or("none");
    refuse_root(destination)?;
    if options.bind.is_some() || kind == "bind" {
        return bind::bind(context, index, mount, &options).map(|()| None);
    }
    if options.remount {
        return remount(context.root, destination, &options).map(|()| None);
    }
    if kind == "cgroup" {
        let place = context.root.directory(destination)?;
        cgroup_mount::mount(context, place.as_fd(), destination, &options)?;
        return Ok(None);
    }
    let place = match kind {
        "none" | "" => {
            return Err(mount_error(destination, "neither a type nor the option bind is given"));
        }
        "proc" | "sysfs" => ordinary_directory(context.root, destination, kind)?,
        "tmpfs" if !options.data.iter().any(|option| option.starts_with("mode=")) => {
            inherit_mode(context.root, destination, &mut options)?
        }
        _ => context.root.directory(destination)?,
    };
    refuse_over_proc(place.as_fd(), destination, None, kind)?;
    label::add(context.spec, kind, &mut options)?;
    mount_new(context, mount, kind, place.as_fd(), &options)
}

fn mount_new(
    context: &Context<'_>,
    mount: &Mount,
    kind: &str,
    place: BorrowedFd<'_>,
    options: &Options,
) -> Result<Option<OwnedFd>> {
    let destination = mount.destination();
    let failed = |error: Errno| mount_error(destination, std::io::Error::from(error));
    let source = mount.source().as_deref();
    if !options.copy_up && !file_system::takes(options) {
        file_system::mount_with_long_options(kind, source, place, options)
            .map_err(|reason| mount_error(destination, reason))?;
        let made = context.root.directory(destination)?;
        bind::finish(made.as_fd(), options).map_err(failed)?;
        return Ok(None);
    }
    let later = (kind == "tmpfs" || destination == Path::new("/dev")) && options.is_read_only();
    let made = match file_system::new(kind, source, options, later) {
        Ok(made) => made,
        // Only who owns the network namespace may mount its sysfs.
        Err(reason) if kind == "sysfs" && context.mapped => {
            host_sysfs(options).map_err(|_| mount_error(destination, reason))?
        }
        Err(reason) => return Err(mount_error(destination, reason)),
    };
    if options.copy_up && kind == "tmpfs" {
        copy_up::copy(place, made.as_fd()).map_err(|error| mount_error(destination, error))?;
    }
    bind::finish(made.as_fd(), options).map_err(failed)?;
    attach(made.as_fd(), place).map_err(failed)?;
    Ok(later.then_some(made))
}

/// The host's sysfs with all that is mounted in it, where a container without a network namespace of
/// its own has a user namespace.
fn host_sysfs(options: &Options) -> Result<OwnedFd, Errno> {
    let from = open_path(Path::new("/sys")).map_err(|_| Errno::NOENT)?;
    let copy = clone_mount(from.as_fd(), true)?;
    bind::change_mount(copy.as_fd(), true, &options.bind_additions())?;
    Ok(copy)
}

/// Changes what is mounted there: the file system, and this mount's flags.
fn remount(root: &Root, destination: &Path, options: &Options) -> Result<()> {
    let failed = |error: Errno| mount_error(destination, std::io::Error::from(error));
    let place = root.find(destination)?.ok_or_else(|| failed(Errno::NOENT))?;
    refuse_over_proc(place.as_fd(), destination, None, "remount").or_else(|error| {
        // The procfs itself may be changed, not replaced.
        let whole = destination.components().eq(Path::new("/proc").components());
        if whole { Ok(()) } else { Err(error) }
    })?;
    file_system::reconfigure(place.as_fd(), options)
        .map_err(|reason| mount_error(destination, reason))?;
    bind::change_mount(place.as_fd(), false, &options.remount_change())
        .and_then(|()| bind::finish(place.as_fd(), options))
        .map_err(failed)
}

/// procfs and sysfs go to their place and nowhere else: a link there is refused (CVE-2019-19921).
fn ordinary_directory(root: &Root, destination: &Path, kind: &str) -> Result<OwnedFd> {
    match root.directory_itself(destination)? {
        Some(place) => Ok(place),
        None => {
            let reason = format!("filesystem {kind:?} must be mounted on ordinary directory");
            Err(mount_error(destination, reason))
        }
    }
}

/// A tmpfs without a mode of its own takes that of the directory that it covers.
fn inherit_mode(root: &Root, destination: &Path, options: &mut Options) -> Result<OwnedFd> {
    let Some(place) = root.find(destination)? else { return root.directory(destination) };
    let stat = rustix::fs::statat(&place, "", AtFlags::EMPTY_PATH)
        .map_err(|error| mount_error(destination, std::io::Error::from(error)))?;
    options.data.insert(0, format!("mode={:04o}", stat.st_mode & 0o7777));
    Ok(place)
}
