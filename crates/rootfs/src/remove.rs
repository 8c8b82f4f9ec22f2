//! Removing directories whatever is in them: any depth, any names, any modes.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, openat, openat2, renameat, unlinkat,
};
use rustix::io::Errno;

use crate::Error;
use crate::open::DIRECTORY;

/// Below this depth, directories are first moved up: a container may nest them deeper than a process
/// may have files open.
const MAX_DEPTH: usize = 64;

/// Removes a directory with all that is in it, in one file system, never through a symbolic link. It
/// is no error if it is missing.
///
/// # Errors
/// What the disk says, with the directory's path. What is mounted at or below it is not entered: an
/// error, too.
pub fn remove(directory: &Path) -> Result<(), Error> {
    match open_unmounted(directory) {
        Ok(root) => empty_all(&root).map_err(Error::io("empty", directory))?,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(Error::io("remove", directory)(error)),
    }
    match fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove", directory)(error))
        }
        _ => Ok(()),
    }
}

/// Empties a directory, which may itself be a mount point.
pub(crate) fn clear(directory: &Path) -> Result<(), Error> {
    let root = openat(CWD, directory, DIRECTORY, Mode::empty());
    let root = root.map_err(Error::io("open", directory))?;
    empty_all(&root).map_err(Error::io("empty", directory))
}

/// Opens a directory, unless something is mounted there.
fn open_unmounted(directory: &Path) -> Result<OwnedFd, Errno> {
    let (Some(parent), Some(name)) = (directory.parent(), directory.file_name()) else {
        return Err(Errno::BUSY);
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = openat(CWD, parent, flags, Mode::empty())?;
    let name = CString::new(name.as_bytes()).map_err(|_| Errno::INVAL)?;
    open(&parent, &name)
}

fn empty_all(root: &OwnedFd) -> Result<(), Errno> {
    let mut moved = 0;
    // Each time that something has been moved up, into the root: once more.
    while !empty(root, root, 0, &mut moved)? {}
    Ok(())
}

/// Empties the directory as far as `MAX_DEPTH` goes; moves what is deeper into `root` under new names,
/// and then says `false`.
fn empty(
    root: &OwnedFd,
    directory: &OwnedFd,
    depth: usize,
    moved: &mut u64,
) -> Result<bool, Errno> {
    let mut complete = true;
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if entry.file_type() != FileType::Directory
            && unlink(directory, name, AtFlags::empty())? == Unlinked::Gone
        {
            continue;
        }
        if depth == MAX_DEPTH {
            move_up(root, directory, name, moved)?;
            complete = false;
            continue;
        }
        if unlink(directory, name, AtFlags::REMOVEDIR)? == Unlinked::Gone {
            continue;
        }
        let child = open(directory, name)?;
        complete &= empty(root, &child, depth + 1, moved)?;
        unlink(directory, name, AtFlags::REMOVEDIR)?;
    }
    Ok(complete)
}

#[derive(PartialEq, Eq)]
enum Unlinked {
    Gone,
    /// It is a directory, and not an empty one.
    Directory,
}

fn unlink(directory: &OwnedFd, name: &CStr, flags: AtFlags) -> Result<Unlinked, Errno> {
    match unlinkat(directory, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(Unlinked::Gone),
        Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) => Ok(Unlinked::Directory),
        Err(error) => Err(error),
    }
}

fn move_up(root: &OwnedFd, directory: &OwnedFd, name: &CStr, moved: &mut u64) -> Result<(), Errno> {
    loop {
        *moved += 1;
        let new_name = format!(".removed-{moved}");
        match renameat(directory, name, root, new_name.as_str()) {
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => continue,
            other => return other,
        }
    }
}

/// Opens a directory that is to be emptied. What is mounted there is somebody's: EXDEV.
fn open(at: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    openat2(at, name, DIRECTORY, Mode::empty(), resolve)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn removes_what_is_deep_and_leaves_what_a_link_points_to() {
        let temp = tempfile::tempdir().unwrap();
        let (outside, inside) = (temp.path().join("outside"), temp.path().join("inside"));
        fs::create_dir_all(outside.join("kept")).unwrap();
        fs::create_dir(&inside).unwrap();
        symlink(&outside, inside.join("link")).unwrap();
        nest(&inside, 1200);
        remove(&inside).unwrap();
        assert!(!inside.exists());
        assert!(outside.join("kept").is_dir());
        remove(&inside).unwrap();
    }

    /// Far deeper than PATH_MAX and the limit of open files allow at once.
    fn nest(top: &Path, depth: usize) {
        let mut directory = openat(CWD, top, DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..depth {
            rustix::fs::mkdirat(&directory, "deep", Mode::RWXU).unwrap();
            directory = open(&directory, c"deep").unwrap();
        }
    }
}
