//! A mount of type `cgroup` on a host with cgroup v1: a tmpfs with the container's own directory of
//! each hierarchy bound into it, as runc shows it. On v2 it is a bind of the one directory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::LinuxNamespaceType;
use rustix::fs::{CWD, Mode};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags};

use super::bind::{change_mount, finish};
use super::mount::Context;
use super::options::Options;
use super::root::{attach, mount_error};
use super::{file_system, label};
use crate::cgroup::Group;
use crate::error::Result;
use crate::namespaces;

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
    let mut options = options.clone();
    if namespaces::has(context.spec, LinuxNamespaceType::Cgroup) {
        // Nothing runs from there: in a namespace they are mounts of the container's own, and runc's.
        for option in ["nosuid", "nodev", "noexec"] {
            options.add(option);
        }
    }
    let mut shell = Options::parse(&SHELL.map(str::to_owned));
    label::add(context.spec, "tmpfs", &mut shell)?;
    let shell = file_system::new("tmpfs", Some(Path::new("tmpfs")), &shell, true)
        .map_err(|reason| mount_error(destination, reason))?;
    attach(shell.as_fd(), place).map_err(failed)?;
    for group in cgroup.v1_groups() {
        add(shell.as_fd(), group).map_err(failed)?;
    }
    // The hierarchies' flags, and `ro` for the tmpfs too. runc leaves that writable; but who asks for
    // cgroups that are read-only, as engines do, means all that is there.
    change_mount(shell.as_fd(), true, &options.bind_additions()).map_err(failed)?;
    finish(shell.as_fd(), &options).map_err(failed)
}

/// The container's directory of one hierarchy, and the names of its controllers. Nobody is between the
/// making of the directory in our own new tmpfs and the mount on it, which follows no link.
fn add(shell: BorrowedFd<'_>, group: &Group) -> Result<(), Errno> {
    let name = group.hierarchy.as_str();
    rustix::fs::mkdirat(shell, name, Mode::from_raw_mode(0o755))?;
    let copy = clone(&group.path)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(copy.as_fd(), "", shell, name, flags)?;
    for alias in name.split(',').filter(|alias| *alias != name) {
        rustix::fs::symlinkat(name, shell, alias)?;
    }
    Ok(())
}

/// The tmpfs that holds the hierarchies.
const SHELL: [&str; 4] = ["nosuid", "nodev", "noexec", "mode=755"];

/// In a user namespace a flag of the host's mount may be locked: flags are only added.
fn bind(source: &Path, options: &Options) -> Result<OwnedFd, Errno> {
    let copy = clone(source)?;
    change_mount(copy.as_fd(), false, &options.bind_additions())?;
    Ok(copy)
}

fn clone(source: &Path) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    rustix::mount::open_tree(CWD, source, flags)
}
