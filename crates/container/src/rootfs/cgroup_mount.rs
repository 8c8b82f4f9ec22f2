//! A mount of type `cgroup` on a host with cgroup v1: a tmpfs with the container's own directory of
//! each hierarchy bound into it, as runc shows it. On v2 it is a bind of the one directory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::LinuxNamespaceType;
use rustix::fs::Mode;
use rustix::io::Errno;

use super::bind::{change_mount, finish};
use super::mount::Context;
use super::options::{Options, RDONLY};
use super::root::{attach, clone_mount, mount_error};
use super::{file_system, label, open_path};
use crate::error::Result;
use crate::namespaces;
use crate::syscalls::MountAttr;

/// Mounts the container's view of its cgroups at `place`.
pub(super) fn mount(
    context: &Context<'_>,
    place: BorrowedFd<'_>,
    destination: &Path,
    options: &Options,
) -> Result<()> {
    let failed = |error: Errno| mount_error(destination, std::io::Error::from(error));
    if let Some(unknown) = options.data.first() {
        return Err(mount_error(destination, format!("unknown option {unknown:?}")));
    }
    let cgroup = context.cgroup;
    if cgroup.is_unified() {
        let own = cgroup.groups().first().map(|group| group.path.as_path());
        // Without a cgroup namespace the container sees its cgroup by the host's path.
        let shown = own.filter(|_| namespaces::has(context.spec, LinuxNamespaceType::Cgroup));
        let copy = bind(shown.unwrap_or(Path::new("/sys/fs/cgroup")), options).map_err(failed)?;
        finish(copy.as_fd(), options).map_err(failed)?;
        return attach(copy.as_fd(), place).map_err(failed);
    }
    let mut shell = Options::parse(&SHELL.map(str::to_owned));
    label::add(context.spec, "tmpfs", &mut shell)?;
    let shell = file_system::new("tmpfs", Some(Path::new("tmpfs")), &shell, true)
        .map_err(|reason| mount_error(destination, reason))?;
    finish(shell.as_fd(), options).map_err(failed)?;
    attach(shell.as_fd(), place).map_err(failed)?;
    for group in cgroup.v1_groups() {
        let name = Path::new(&group.hierarchy);
        rustix::fs::mkdirat(&shell, name, Mode::from_raw_mode(0o755)).map_err(failed)?;
        let inside = context.root.directory(&destination.join(name))?;
        let copy = bind(&group.path, options).map_err(failed)?;
        attach(copy.as_fd(), inside.as_fd()).map_err(failed)?;
        for alias in group.hierarchy.split(',').filter(|alias| *alias != group.hierarchy) {
            rustix::fs::symlinkat(name, &shell, alias).map_err(failed)?;
        }
    }
    if options.is_read_only() {
        let attr = MountAttr { set: RDONLY, ..MountAttr::default() };
        change_mount(shell.as_fd(), false, &attr).map_err(failed)?;
    }
    Ok(())
}

/// The tmpfs that holds the hierarchies.
const SHELL: [&str; 4] = ["nosuid", "nodev", "noexec", "mode=755"];

/// In a user namespace a flag of the host's mount may be locked: flags are only added.
fn bind(source: &Path, options: &Options) -> Result<OwnedFd, Errno> {
    let source = open_path(source).map_err(|_| Errno::NOENT)?;
    let copy = clone_mount(source.as_fd(), false)?;
    change_mount(copy.as_fd(), false, &options.bind_additions())?;
    Ok(copy)
}
