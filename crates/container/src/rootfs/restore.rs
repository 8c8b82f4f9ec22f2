//! The root of a container that criu will restore: mount points that the image lacks are made as at the
//! creation, and the root is laid where criu accepts it.
//!
//! Mounts below mount points need the mounts above: these are made in a mount namespace of a child
//! process, so nobody sees them and they end with it.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, Spec};
use rustix::fs::FileType;
use rustix::mount::UnmountFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::WaitOptions;

use super::bind;
use super::open_path;
use super::options::Options;
use super::root::{Root, attach, clone_mount, kind_of, mount_error};
use crate::error::{Doing, Error, Result};
use crate::spec::Bundle;
use crate::syscalls::{self, Cloned, MountAttr, mount_setattr};

/// Makes what is missing. Returns for each bind mount where in the root it really lies, and its source.
pub(crate) fn prepare_mount_points(
    spec: &Spec,
    bundle: &Bundle,
) -> Result<Vec<(PathBuf, PathBuf)>> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).doing(|| "make a pipe".into())?;
    // SAFETY: this program has one thread; the child ends in _exit.
    let pid = match unsafe { syscalls::clone3(libc::CLONE_NEWNS as u64, None) }
        .doing(|| "make a process to prepare the mount points".into())?
    {
        Cloned::Parent { pid, .. } => pid,
        Cloned::Child => {
            let (code, answer) = match make_mount_points(spec, bundle) {
                Ok(places) => (0, places),
                Err(error) => (1, error.to_string().into_bytes()),
            };
            let sent = fs::File::from(writer).write_all(&answer);
            syscalls::exit_now(if sent.is_ok() { code } else { 1 })
        }
    };
    drop(writer);
    let mut answer = Vec::new();
    let read = fs::File::from(reader).read_to_end(&mut answer);
    let ended = rustix::process::waitpid(Some(pid), WaitOptions::empty())
        .doing(|| "wait for the mount points".into())?;
    read.doing(|| "hear of the mount points".into())?;
    if ended.and_then(|(_, status)| status.exit_status()) != Some(0) {
        return Err(Error::Init(String::from_utf8_lossy(&answer).into_owned()));
    }
    let places = answer.split(|byte| *byte == 0);
    let mut places = places.map(|place| PathBuf::from(std::ffi::OsString::from_vec(place.into())));
    let binds = spec.mounts().iter().flatten().filter(|mount| is_bind(mount));
    Ok(binds.filter_map(|mount| Some((places.next()?, source(mount, bundle)?))).collect())
}

fn is_bind(mount: &Mount) -> bool {
    bind::is_bind(mount, &Options::parse(mount.options().iter().flatten()))
}

fn source(mount: &Mount, bundle: &Bundle) -> Option<PathBuf> {
    mount.source().as_ref().map(|source| bundle.path.join(source))
}

/// In the child: the places of the bind mounts, each ended by a NUL byte.
fn make_mount_points(spec: &Spec, bundle: &Bundle) -> Result<Vec<u8>> {
    let private = MountAttr { propagation: libc::MS_PRIVATE, ..MountAttr::default() };
    mount_setattr(open_path(Path::new("/"))?.as_fd(), true, &private)
        .doing(|| "keep mount points to ourselves".into())?;
    let root = Root::new(open_path(&bundle.rootfs)?);
    let mut places = Vec::new();
    for mount in spec.mounts().iter().flatten() {
        let destination = mount.destination();
        if is_bind(mount) {
            let place = lay_bind(&root, mount, bundle)?;
            let inside = place.strip_prefix(&bundle.rootfs).unwrap_or(&place);
            places.extend_from_slice(Path::new("/").join(inside).as_os_str().as_bytes());
            places.push(0);
        } else if !matches!(mount.typ().as_deref(), Some("cgroup" | "cgroup2"))
            && !on_tmpfs(destination, spec)
        {
            root.directory(destination)?;
        }
    }
    Ok(places)
}

/// criu brings a tmpfs back with all that is in it.
fn on_tmpfs(destination: &Path, spec: &Spec) -> bool {
    spec.mounts().iter().flatten().any(|mount| {
        mount.typ().as_deref() == Some("tmpfs")
            && destination != mount.destination()
            && destination.starts_with(mount.destination())
    })
}

fn lay_bind(root: &Root, mount: &Mount, bundle: &Bundle) -> Result<PathBuf> {
    let destination = mount.destination();
    let failed = |error: rustix::io::Errno| mount_error(destination, std::io::Error::from(error));
    let source = source(mount, bundle)
        .ok_or_else(|| mount_error(destination, "a bind mount needs a source"))?;
    let from = open_path(&source).map_err(|error| mount_error(destination, error))?;
    let directory = kind_of(from.as_fd())? == FileType::Directory;
    let place = if directory { root.directory(destination)? } else { root.file(destination)? };
    let copy: OwnedFd = clone_mount(from.as_fd(), true).map_err(failed)?;
    let name = fs::read_link(format!("/proc/self/fd/{}", place.as_fd().as_raw_fd()))
        .doing(|| format!("find {}", destination.display()))?;
    attach(copy.as_fd(), place.as_fd()).map_err(failed)?;
    Ok(name)
}

/// The root directory as a mount of its own, as criu wants it, in the host's mount namespace, so that
/// propagation is what it was; taken away again when dropped.
pub(crate) struct CriuRoot(PathBuf);

impl CriuRoot {
    pub(crate) fn bind(rootfs: &Path, place: &Path) -> Result<Self> {
        let doing = || format!("lay the root at {}", place.display());
        fs::create_dir(place).doing(doing)?;
        let place = place.canonicalize().doing(doing)?;
        rustix::mount::mount_bind_recursive(rootfs, &place)
            .inspect_err(|_| drop(fs::remove_dir(&place)))
            .doing(doing)?;
        Ok(Self(place))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for CriuRoot {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, UnmountFlags::DETACH);
        let _ = fs::remove_dir(&self.0);
    }
}
