//! One mount of the configuration: made detached, set up, and only then attached at its place.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::{Mount, Spec};
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::options::Options;
use super::root::{Root, attach, clone_mount, kind_of, mount_error};
use super::{cgroup_mount, copy_up, open_path};
use crate::cgroup::Cgroup;
use crate::error::Result;
use crate::syscalls::{MountAttr, mount_setattr};

const RDONLY: u64 = 1;

/// Mounts it. A file system that must become read-only only when the others are in it is returned.
pub(super) fn mount(
    root: &Root,
    mount: &Mount,
    bundle: &Path,
    cgroup: &Cgroup,
    spec: &Spec,
) -> Result<Option<OwnedFd>> {
    let destination = mount.destination();
    let options = Options::parse(mount.options().iter().flatten());
    let failed = |error: Errno| mount_error(destination, std::io::Error::from(error));
    let kind = mount.typ().as_deref().unwrap_or("none");
    if options.id_map.is_some() || mount.uid_mappings().is_some() || mount.gid_mappings().is_some()
    {
        return Err(mount_error(destination, "mounts with mapped ids are not supported"));
    }
    if options.bind.is_some() || kind == "bind" {
        bind(root, mount, &options, bundle)?;
        return Ok(None);
    }
    if options.remount {
        let place = root.find(destination)?.ok_or_else(|| failed(Errno::NOENT))?;
        return change(place.as_fd(), &options).map(|()| None).map_err(failed);
    }
    if kind == "cgroup" || kind == "cgroup2" && !cgroup.is_unified() {
        let place = root.directory(destination)?;
        cgroup_mount::mount(root, place.as_fd(), destination, &options, cgroup, spec)?;
        return Ok(None);
    }
    if kind == "none" {
        return Err(mount_error(destination, "neither a type nor the option bind is given"));
    }
    let place = root.directory(destination)?;
    refuse_over_proc(place.as_fd(), destination, kind)?;
    let later = (kind == "tmpfs" || destination == Path::new("/dev")) && options.is_read_only();
    let made = new(kind, mount.source().as_deref(), &options, later)
        .map_err(|reason| mount_error(destination, reason))?;
    if options.copy_up && kind == "tmpfs" {
        copy_up::copy(place.as_fd(), made.as_fd())
            .map_err(|error| mount_error(destination, error))?;
    }
    propagate(made.as_fd(), &options).map_err(failed)?;
    attach(made.as_fd(), place.as_fd()).map_err(failed)?;
    Ok(later.then_some(made))
}

/// A new file system, not attached yet. The error carries what the file system itself said.
pub(super) fn new(
    kind: &str,
    source: Option<&Path>,
    options: &Options,
    writable: bool,
) -> Result<OwnedFd, String> {
    let fs =
        rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|error| match error {
            Errno::NODEV => format!("this kernel has no file system {kind:?}"),
            error => std::io::Error::from(error).to_string(),
        })?;
    let told = |error: Errno| said(fs.as_fd()).unwrap_or(std::io::Error::from(error).to_string());
    if let Some(source) = source {
        rustix::mount::fsconfig_set_string(fs.as_fd(), "source", source).map_err(told)?;
    }
    let read_only = options.is_read_only() && !writable;
    if read_only {
        rustix::mount::fsconfig_set_flag(fs.as_fd(), "ro").map_err(told)?;
    }
    for option in &options.data {
        match option.split_once('=') {
            Some((key, value)) => rustix::mount::fsconfig_set_string(fs.as_fd(), key, value),
            // Since 4.7 every devpts is an instance of its own; the new interface dropped the word.
            None if kind == "devpts" && option == "newinstance" => Ok(()),
            None => rustix::mount::fsconfig_set_flag(fs.as_fd(), option.as_str()),
        }
        .map_err(|error| format!("option {option:?}: {}", told(error)))?;
    }
    rustix::mount::fsconfig_create(fs.as_fd()).map_err(told)?;
    let mut attr = options.attr.set;
    if !read_only {
        attr &= !RDONLY;
    }
    let attr = MountAttrFlags::from_bits_retain(attr as u32);
    rustix::mount::fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attr).map_err(told)
}

/// The last message of the file system's log (fsopen(2)): `e option: text`.
fn said(fs: BorrowedFd<'_>) -> Option<String> {
    let mut last = None;
    let mut buffer = [0; 1024];
    while let Ok(length) = rustix::io::read(fs, &mut buffer) {
        let line = String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned();
        last = Some(line.split_once(' ').map_or(line.clone(), |(_, text)| text.to_owned()));
    }
    last
}

/// A bind mount: a copy of a mount of the host's, changed before anyone can see it.
fn bind(root: &Root, mount: &Mount, options: &Options, bundle: &Path) -> Result<()> {
    let destination = mount.destination();
    let failed = |error: Errno| mount_error(destination, std::io::Error::from(error));
    if let Some(unknown) = options.data.first() {
        return Err(mount_error(
            destination,
            format!("unknown option {unknown:?} for a bind mount"),
        ));
    }
    let source = mount
        .source()
        .as_ref()
        .filter(|source| !source.as_os_str().is_empty())
        .ok_or_else(|| mount_error(destination, "a bind mount needs a source"))?;
    let source = bundle.join(source);
    let from = open_path(&source).map_err(|error| mount_error(destination, error))?;
    let copy = clone_mount(from.as_fd(), options.bind == Some(true)).map_err(failed)?;
    change(copy.as_fd(), options).map_err(failed)?;
    let directory = kind_of(from.as_fd())? == FileType::Directory;
    let place = if directory { root.directory(destination)? } else { root.file(destination)? };
    refuse_over_proc(place.as_fd(), destination, "bind")?;
    if directory != (kind_of(place.as_fd())? == FileType::Directory) {
        let reason = format!("{} and its place are not both directories", source.display());
        return Err(mount_error(destination, reason));
    }
    attach(copy.as_fd(), place.as_fd()).map_err(failed)
}

fn change(mount: BorrowedFd<'_>, options: &Options) -> Result<(), Errno> {
    let set = |recursive, attr: &MountAttr| match *attr == MountAttr::default() {
        true => Ok(()),
        false => mount_setattr(mount, recursive, attr)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL)),
    };
    set(false, &options.attr)?;
    set(true, &options.recursive_attr)?;
    propagate(mount, options)
}

fn propagate(mount: BorrowedFd<'_>, options: &Options) -> Result<(), Errno> {
    for &(propagation, recursive) in &options.propagation {
        let attr = MountAttr { propagation, ..MountAttr::default() };
        mount_setattr(mount, recursive, &attr)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))?;
    }
    Ok(())
}

/// The magic number of procfs (statfs(2)).
const PROC_MAGIC: i64 = 0x9fa0;

/// Over `/proc` only a procfs may lie, and inside it only over files known to be harmless: whoever can
/// replace `/proc` can redirect what the runtime and other programs write there (CVE-2019-16884,
/// CVE-2025-52881). The place is asked for its file system, whatever link led to it.
fn refuse_over_proc(place: BorrowedFd<'_>, destination: &Path, kind: &str) -> Result<()> {
    const HARMLESS: [&str; 11] = [
        "cpuinfo",
        "diskstats",
        "meminfo",
        "stat",
        "swaps",
        "uptime",
        "loadavg",
        "slabinfo",
        "net/dev",
        "sys/kernel/ns_last_pid",
        "sys/crypto/fips_enabled",
    ];
    let below = destination.strip_prefix("/proc").ok();
    let is_proc = below.is_some_and(|below| below.as_os_str().is_empty());
    if is_proc && kind != "proc" && kind != "bind" {
        return Err(mount_error(destination, format!("{kind:?} must not replace procfs")));
    }
    let inside = rustix::fs::fstatfs(place).is_ok_and(|stat| stat.f_type == PROC_MAGIC);
    let harmless = below.is_some_and(|below| HARMLESS.iter().any(|name| below == Path::new(name)));
    if inside && !is_proc && !harmless {
        return Err(mount_error(destination, "nothing may be mounted inside procfs"));
    }
    Ok(())
}
