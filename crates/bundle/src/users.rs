//! The users that an image knows.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use image::Users;
use rootfs::open_inside;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::Error;

/// The largest file of users that is read, in bytes. What is longer is cut off.
const MAX_SIZE: u64 = 16 << 20;

/// Reads `/etc/passwd` and `/etc/group` in a root file system. Links are followed inside it
/// (openat2(2), RESOLVE_IN_ROOT). Files that are missing, or no regular files, are empty.
///
/// # Errors
/// What the disk says.
pub fn read_users(rootfs: &Path) -> Result<Users, Error> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, rootfs, flags, Mode::empty()).map_err(Error::io("open", rootfs))?;
    let read = |name: &str| read(&root, name).map_err(Error::io("read", &rootfs.join(name)));
    Ok(Users { passwd: read("etc/passwd")?, group: read("etc/group")? })
}

fn read(root: &OwnedFd, name: &str) -> io::Result<String> {
    // NONBLOCK: a pipe in the place of the file must not keep us waiting.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match open_inside(root, Path::new(name), flags) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Ok(String::new()),
        Err(error) => return Err(error.into()),
    };
    if !file.metadata()?.is_file() {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    file.take(MAX_SIZE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
