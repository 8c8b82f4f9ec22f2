//! Unmounting what [`mount`](crate::mount()) made, and nothing else.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use crate::mount::SOURCE;
use crate::{Error, ids};

/// Unmounts the root file system at `target`, as often as it is mounted there. It is no error if
/// nothing is mounted or `target` does not exist. A mount in use goes as soon as its last user does.
///
/// # Errors
/// [`Error::Foreign`] if someone else's mount stands at or below `target`: nothing is changed then.
pub fn unmount(target: &Path) -> Result<(), Error> {
    let Some(target) = real_path(target)? else { return Ok(()) };
    let stacked = ours_at(&mount_table()?, &target)?;
    for _ in 0..stacked {
        unmount_top(&target)?;
    }
    Ok(())
}

/// Whether a root file system of ours is mounted at `target`, and nothing else at or below it.
///
/// # Errors
/// [`Error::Foreign`] if someone else's mount stands there.
pub fn is_mounted(target: &Path) -> Result<bool, Error> {
    let Some(target) = real_path(target)? else { return Ok(false) };
    Ok(ours_at(&mount_table()?, &target)? > 0)
}

/// The target's absolute path with the links in its parents followed, but never its own: a link in
/// the place of a mount point leads to somebody else's. `None` if it is missing.
fn real_path(target: &Path) -> Result<Option<PathBuf>, Error> {
    let absolute = std::path::absolute(target).map_err(Error::io("name", target))?;
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Ok(None);
    };
    match parent.canonicalize() {
        Ok(parent) => Ok(Some(parent.join(name))),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(Error::io("resolve", parent)(error)),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// One line of /proc/self/mountinfo, proc_pid_mountinfo(5).
struct TableEntry {
    mountpoint: PathBuf,
    is_ours: bool,
}

fn mount_table() -> Result<Vec<TableEntry>, Error> {
    let path = Path::new("/proc/self/mountinfo");
    let text = fs::read(path).map_err(Error::io("read", path))?;
    Ok(text.split(|&byte| byte == b'\n').filter_map(parse_line).collect())
}

/// `ID PARENT DEVICE ROOT MOUNTPOINT OPTIONS [TAG…] - TYPE SOURCE SUPER-OPTIONS`
fn parse_line(line: &[u8]) -> Option<TableEntry> {
    let mut fields = line.split(|&byte| byte == b' ');
    let mountpoint = unescape(fields.nth(4)?);
    let mut fields = fields.skip_while(|&field| field != b"-").skip(1);
    let (filesystem, source) = (fields.next()?, fields.next()?);
    // An EROFS stands at the target only for a moment, while the overlay over it is made.
    // In a user namespace of our own nobody else uses fuse-overlayfs, which says nothing but its name.
    let by_fuse = filesystem == b"fuse.fuse-overlayfs" && ids().is_some();
    let is_ours = source == SOURCE.as_bytes() || filesystem == b"erofs" || by_fuse;
    Some(TableEntry { mountpoint: PathBuf::from(OsString::from_vec(mountpoint)), is_ours })
}

/// Undoes the octal escapes of spaces, tabs, newlines and backslashes.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = |digits: &[u8]| {
            let text = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(text, 8).ok()
        };
        match (byte == b'\\').then(|| tail.get(..3).and_then(octal)).flatten() {
            Some(escaped) => {
                out.push(escaped);
                rest = &tail[3..];
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    out
}

/// How many of our mounts are stacked at `target`.
fn ours_at(table: &[TableEntry], target: &Path) -> Result<usize, Error> {
    let mut stacked = 0;
    for entry in table {
        let at = entry.mountpoint == target;
        match at || below(&entry.mountpoint, target) {
            true if at && entry.is_ours => stacked += 1,
            true => return Err(Error::Foreign { mountpoint: entry.mountpoint.clone() }),
            false => {}
        }
    }
    Ok(stacked)
}

fn below(path: &Path, directory: &Path) -> bool {
    let rest = path.as_os_str().as_bytes().strip_prefix(directory.as_os_str().as_bytes());
    rest.is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// Unmounts the uppermost mount at `target`: at once if nobody uses it, else as soon as nobody does.
fn unmount_top(target: &Path) -> Result<(), Error> {
    let flags = UnmountFlags::NOFOLLOW;
    let result = match rustix::mount::unmount(target, flags) {
        Err(Errno::BUSY) => rustix::mount::unmount(target, flags | UnmountFlags::DETACH),
        other => other,
    };
    match result {
        // Gone in the meantime.
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(error) => Err(Error::io("unmount", target)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_mount_table() {
        let line = b"36 35 0:50 / /a\\040b\\134c,\\012:d rw,relatime shared:1 master:2 - overlay tare rw,lowerdir=/x";
        let entry = parse_line(line).unwrap();
        assert_eq!(entry.mountpoint, Path::new("/a b\\c,\n:d"));
        assert!(entry.is_ours);
        let other = parse_line(b"36 35 0:50 / /mnt rw - tmpfs tmpfs rw").unwrap();
        assert!(!other.is_ours);
        assert!(parse_line(b"").is_none());
    }

    #[test]
    fn what_stands_where() {
        let entry = |path: &str, is_ours| TableEntry { mountpoint: path.into(), is_ours };
        let target = Path::new("/b/rootfs");
        let count = |table: &[TableEntry]| ours_at(table, target).ok();
        assert_eq!(count(&[entry("/", false), entry("/b/rootfs2", false)]), Some(0));
        assert_eq!(count(&[entry("/b/rootfs", true), entry("/b/rootfs", true)]), Some(2));
        assert_eq!(count(&[entry("/b/rootfs", true), entry("/b/rootfs", false)]), None);
        assert_eq!(count(&[entry("/b/rootfs", true), entry("/b/rootfs/proc", false)]), None);
    }
}
