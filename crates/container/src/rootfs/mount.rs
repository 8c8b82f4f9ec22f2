//! One mount of the configuration: made detached, set up, and only then attached at its place.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{Mount, Spec};
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use super::options::Options;
use super::proc_guard::{refuse_over_proc, refuse_over_root, refuse_root};
use super::root::{Place, Root, attach, clone_mount, mount_error};
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

/// What became of a mount.
pub(super) enum Mounted {
    /// It is complete.
    Whole,
    /// No new mount, but a change of one.
    Changed,
    /// It must become read-only, but only when the others are in it.
    ReadOnlyLater(OwnedFd),
    /// procfs or sysfs, in which paths may have to be protected.
    Kernel(OwnedFd),
}

/// Mounts it.
pub(super) fn mount(context: &Context<'_>, index: usize, mount: &Mount) -> Result<Mounted> {
    let destination = mount.destination();
    let mut options = Options::parse(mount.options().iter().flatten());
    let kind = mount.typ().as_deref().unwrap_or("none");
    refuse_root(destination)?;
    if options.remount {
        return remount(context.root, destination, &options).map(|()| Mounted::Changed);
    }
    if bind::is_bind(mount, &options) {
        let kernel = bind::bind(context, index, mount, &options)?;
        return Ok(kernel.map_or(Mounted::Whole, Mounted::Kernel));
    }
    if kind == "cgroup" {
        let place = context.root.directory(destination)?;
        refuse_over_root(context.root, &place, destination)?;
        cgroup_mount::mount(context, place.as_fd(), destination, &options)?;
        return Ok(Mounted::Whole);
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
    refuse_over_root(context.root, &place, destination)?;
    label::add(context.spec, kind, &mut options)?;
    mount_new(context, index, mount, place.as_fd(), &options)
}

fn mount_new(
    context: &Context<'_>,
    index: usize,
    mount: &Mount,
    place: BorrowedFd<'_>,
    options: &Options,
) -> Result<Mounted> {
    let destination = mount.destination();
    let failed = |error: Errno| mount_error(destination, std::io::Error::from(error));
    let kind = mount.typ().as_deref().unwrap_or_default();
    let source = mount.source().as_deref();
    if !options.copy_up && !file_system::takes(options) {
        file_system::mount_with_long_options(kind, source, place, options)
            .map_err(|reason| mount_error(destination, reason))?;
        let made = context.root.directory(destination)?;
        bind::finish(made.as_fd(), options).map_err(failed)?;
        return Ok(Mounted::Whole);
    }
    let later = (kind == "tmpfs" || destination == Path::new("/dev")) && options.is_read_only();
    let made = match file_system::new(kind, source, options, later) {
        Ok(made) => made,
        // Only who owns the network namespace may mount its sysfs.
        Err(reason) if kind == "sysfs" && context.mapped => {
            host_sysfs(options).map_err(|_| mount_error(destination, reason))?
        }
        // The container's cgroup may deny the device already; what the configuration mounts is the
        // runtime's to open.
        Err(_) if !context.mapped && source.is_some_and(is_block_device) => {
            (context.ask)(index).map_err(|error| mount_error(destination, error))?
        }
        Err(reason) => return Err(mount_error(destination, reason)),
    };
    if options.copy_up && kind == "tmpfs" {
        copy_up::copy(place, made.as_fd()).map_err(|error| mount_error(destination, error))?;
    }
    bind::finish(made.as_fd(), options).map_err(failed)?;
    attach(made.as_fd(), place).map_err(failed)?;
    Ok(match kind {
        "proc" | "sysfs" => Mounted::Kernel(made),
        _ if later => Mounted::ReadOnlyLater(made),
        _ => Mounted::Whole,
    })
}

/// Makes the file system of a mount, for a process that may not open its device itself.
pub(crate) fn make(spec: &Spec, mount: &Mount) -> Result<OwnedFd> {
    let mut options = Options::parse(mount.options().iter().flatten());
    let kind = mount.typ().as_deref().unwrap_or_default();
    label::add(spec, kind, &mut options)?;
    file_system::new(kind, mount.source().as_deref(), &options, false)
        .map_err(|reason| mount_error(mount.destination(), reason))
}

fn is_block_device(path: &Path) -> bool {
    let stat = rustix::fs::stat(path);
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice)
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
    // With `bind` only this one mount of the file system changes (mount(2), "Remounting").
    if options.bind.is_none() {
        file_system::reconfigure(place.as_fd(), options)
            .map_err(|reason| mount_error(destination, reason))?;
    }
    bind::change_mount(place.as_fd(), false, &options.remount_change())
        .and_then(|()| bind::finish(place.as_fd(), options))
        .map_err(failed)
}

/// procfs and sysfs go to their place and nowhere else: a link there is refused (CVE-2019-19921).
fn ordinary_directory(root: &Root, destination: &Path, kind: &str) -> Result<Place> {
    match root.directory_itself(destination)? {
        Some(place) => Ok(place),
        None => {
            let reason = format!("filesystem {kind:?} must be mounted on ordinary directory");
            Err(mount_error(destination, reason))
        }
    }
}

/// A tmpfs without a mode of its own takes that of the directory that it covers.
fn inherit_mode(root: &Root, destination: &Path, options: &mut Options) -> Result<Place> {
    let Some(place) = root.find(destination)? else { return root.directory(destination) };
    let stat = rustix::fs::statat(&place, "", AtFlags::EMPTY_PATH)
        .map_err(|error| mount_error(destination, std::io::Error::from(error)))?;
    options.data.insert(0, format!("mode={:04o}", stat.st_mode & 0o7777));
    Ok(place)
}
