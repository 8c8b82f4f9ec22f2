//! Volumes: directories that the image or the user wants apart from the rest of the root file system.
//!
//! Elsewhere each is a directory of its own that outlives the container. Here the read-write layer is
//! the container's own and goes with it, so a volume is a directory in that: made where it is missing,
//! and writable even where the root file system is not.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use image::{Mount, MountKind, Propagation, RunOptions};
use rootfs::open_inside;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, chmodat, mkdirat, openat};
use rustix::io::Errno;

use crate::Error;

/// Makes the volumes of the image and of `run` in the mounted root file system, and adds to `run` what
/// keeps them writable. One where something else is mounted is that mount's.
///
/// # Errors
/// A volume is no directory, or cannot be made.
pub(crate) fn add<'a>(
    rootfs: &Path,
    of_image: impl IntoIterator<Item = &'a String>,
    run: &mut RunOptions,
) -> Result<(), Error> {
    let of_user = std::mem::take(&mut run.volumes);
    let all = of_image.into_iter().map(PathBuf::from).chain(of_user);
    for volume in all {
        let names = names(&volume);
        let relative: PathBuf = names.iter().collect();
        let destination = Path::new("/").join(&relative);
        let is_mounted = run.mounts.iter().any(|mount| mount.destination == destination);
        if names.is_empty() || is_mounted {
            continue;
        }
        let source = make(rootfs, &names)
            .map_err(|error| Error::io("make", &rootfs.join(&relative))(io::Error::from(error)))?;
        if run.read_only {
            run.mounts.push(writable(source, destination));
        }
    }
    Ok(())
}

/// The names from the root on. `..` above the root stays there.
fn names(volume: &Path) -> Vec<PathBuf> {
    let mut names = Vec::new();
    for component in volume.components() {
        match component {
            Component::Normal(name) => names.push(name.into()),
            Component::ParentDir => drop(names.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    names
}

/// Makes what is missing of a directory, and gives the place where it really is.
fn make(rootfs: &Path, names: &[PathBuf]) -> Result<PathBuf, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, rootfs, flags, Mode::empty())?;
    let open = |path: &Path| open_inside(&root, path, flags);
    let (mut path, mut directory) = (PathBuf::new(), open(Path::new("."))?);
    for name in names {
        path.push(name);
        directory = match open(&path) {
            Err(Errno::NOENT) => {
                mkdirat(&directory, name, Mode::from_raw_mode(0o755))?;
                // Whatever the umask is.
                chmodat(&directory, name, Mode::from_raw_mode(0o755), AtFlags::empty())?;
                open(&path)?
            }
            other => other?,
        };
    }
    place(&directory)
}

/// Where an open directory is, without links.
fn place(directory: &OwnedFd) -> Result<PathBuf, Errno> {
    let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
    std::fs::read_link(link).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

fn writable(source: PathBuf, destination: PathBuf) -> Mount {
    let kind = MountKind::Bind { source, recursive: false, propagation: Propagation::default() };
    Mount { destination, kind, read_only: false, options: Vec::new() }
}
