//! A mount of type `cgroup` on a host with cgroup v1: a tmpfs with the container's own directory of
//! each hierarchy bound into it, as runc shows it. On v2 it is a bind of the one directory.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use oci_spec::runtime::Spec;
use rustix::fs::Mode;
use rustix::io::Errno;

use super::mount::new;
use super::open_path;
use super::options::Options;
use super::root::{Root, attach, clone_mount, mount_error};
use crate::cgroup::Cgroup;
use crate::error::Result;
use crate::syscalls::{MountAttr, mount_setattr};

/// Mounts the container's view of its cgroups at `place`.
pub(super) fn mount(
    root: &Root,
    place: BorrowedFd<'_>,
    destination: &Path,
    options: &Options,
    cgroup: &Cgroup,
    _spec: &Spec,
) -> Result<()> {
    let failed = |error: Errno| mount_error(destination, std::io::Error::from(error));
    if let Some(unknown) = options.data.first() {
        return Err(mount_error(destination, format!("unknown option {unknown:?}")));
    }
    if cgroup.is_unified() {
        if let Some(group) = cgroup.groups().first() {
            bind(&group.path, place, options).map_err(failed)?;
        }
        return Ok(());
    }
    let shell = Options { data: vec!["mode=755".into()], ..options.clone() };
    let shell = new("tmpfs", Some(Path::new("tmpfs")), &shell, true)
        .map_err(|reason| mount_error(destination, reason))?;
    attach(shell.as_fd(), place).map_err(failed)?;
    for group in cgroup.v1_groups() {
        let name = Path::new(&group.hierarchy);
        rustix::fs::mkdirat(&shell, name, Mode::from_raw_mode(0o755)).map_err(failed)?;
        let inside = root.directory(&destination.join(name))?;
        bind(&group.path, inside.as_fd(), options).map_err(failed)?;
        for alias in group.hierarchy.split(',').filter(|alias| *alias != group.hierarchy) {
            rustix::fs::symlinkat(name, &shell, alias).map_err(failed)?;
        }
    }
    if options.is_read_only() {
        let attr = MountAttr { set: 1, ..MountAttr::default() };
        mount_setattr(shell.as_fd(), false, &attr)
            .map_err(|error| mount_error(destination, error))?;
    }
    Ok(())
}

fn bind(source: &Path, place: BorrowedFd<'_>, options: &Options) -> Result<(), Errno> {
    let source = open_path(source).map_err(|_| Errno::NOENT)?;
    let copy = clone_mount(source.as_fd(), false)?;
    if options.attr != MountAttr::default() {
        mount_setattr(copy.as_fd(), false, &options.attr)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))?;
    }
    attach(copy.as_fd(), place)
}
