//! Extended attributes as layers carry them: xattr(7).

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{fgetxattr, flistxattr, lgetxattr, llistxattr};
use rustix::io::Errno;
use tree::Xattrs;

/// The kernel's limit for a list of names and for one value, XATTR_LIST_MAX and XATTR_SIZE_MAX.
const LIMIT: usize = 64 << 10;

/// Whether an attribute belongs to the file, and not to the machine that it is on (labels and
/// measurements of security modules), to overlayfs or to us.
pub(crate) fn belongs_in_layer(name: &[u8]) -> bool {
    if is_overlay(name) || name.starts_with(b"user.tare.") {
        return false;
    }
    match name.split(|&byte| byte == b'.').next() {
        Some(b"user" | b"trusted") => true,
        Some(b"security") => name == b"security.capability",
        Some(b"system") => name.starts_with(b"system.posix_acl_"),
        _ => false,
    }
}

/// Marks an upper directory that fuse-overlayfs writes to.
pub(crate) const MADE_BY_FUSE: &str = "user.overlay.tare-fuse";

/// Whether an attribute is overlayfs's own, or fuse-overlayfs's.
pub(crate) fn is_overlay(name: &[u8]) -> bool {
    let prefixes = [&b"trusted.overlay."[..], b"user.overlay.", b"user.fuseoverlayfs."];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// All attributes of an open file that belong in a layer.
pub(crate) fn of_file(file: impl AsFd) -> io::Result<Xattrs> {
    let mut all = all_of_file(file)?;
    all.retain(|name, _| belongs_in_layer(name));
    Ok(all)
}

/// All attributes of an open file, overlayfs's own too.
pub(crate) fn all_of_file(file: impl AsFd) -> io::Result<Xattrs> {
    let file = file.as_fd();
    read(|buffer| flistxattr(file, buffer), |name, buffer| fgetxattr(file, name, buffer))
}

/// All attributes of a name in an open directory. There is no call that reads them below a descriptor; its
/// name in procfs serves.
pub(crate) fn all_of_name(directory: &OwnedFd, name: &[u8]) -> io::Result<Xattrs> {
    let prefix = format!("/proc/self/fd/{}/", directory.as_raw_fd());
    all_of_path(&[prefix.as_bytes(), name].concat())
}

/// All attributes of the file with this path, which is not followed if it is a symbolic link.
pub(crate) fn all_of_path(path: &[u8]) -> io::Result<Xattrs> {
    read(|buffer| llistxattr(path, buffer), |name, buffer| lgetxattr(path, name, buffer))
}

fn read(
    list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    get: impl Fn(&[u8], &mut [u8]) -> Result<usize, Errno>,
) -> io::Result<Xattrs> {
    let names = match fill(&list) {
        Ok(names) => names,
        Err(Errno::NOTSUP) => return Ok(Xattrs::new()),
        Err(error) => return Err(error.into()),
    };
    let mut xattrs = Xattrs::new();
    for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        match fill(|buffer| get(name, buffer)) {
            Ok(value) => xattrs.insert(name.to_owned(), value),
            // Gone since it was listed, or not for us to see.
            Err(Errno::NODATA) => continue,
            Err(error) => return Err(error.into()),
        };
    }
    Ok(xattrs)
}

/// Calls with a small buffer, which nearly always does, then with the largest.
fn fill(call: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut small = [0u8; 256];
    match call(&mut small) {
        Ok(length) => Ok(small[..length].to_vec()),
        Err(Errno::RANGE) => {
            let mut large = vec![0u8; LIMIT];
            let length = call(&mut large)?;
            large.truncate(length);
            Ok(large)
        }
        Err(error) => Err(error),
    }
}
