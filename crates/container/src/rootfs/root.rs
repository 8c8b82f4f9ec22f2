//! The container's root while it is being built: paths go in as text from the configuration and come
//! out as descriptors that the kernel resolved inside the root (`RESOLVE_IN_ROOT`), so neither `..`
//! nor a symbolic link in the image, nor one exchanged meanwhile, leads out of it.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags};

use crate::error::{Doing, Error, Result};

/// How many dangling symbolic links a path may lead over.
const MAX_LINKS: usize = 40;

/// The root's descriptor.
pub(crate) struct Root(OwnedFd);

impl Root {
    pub(crate) fn new(directory: OwnedFd) -> Self {
        Self(directory)
    }

    /// What is at `path`, as a descriptor for its place (`O_PATH`); None when there is nothing.
    pub(crate) fn find(&self, path: &Path) -> Result<Option<OwnedFd>> {
        match self.resolve(path) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => {
                Err(error).doing(|| format!("look up {} in the container", path.display()))
            }
        }
    }

    /// The directory at `path`, made with its parents (0755) where missing.
    pub(crate) fn directory(&self, path: &Path) -> Result<OwnedFd> {
        self.ensure(path, FileType::Directory)
    }

    /// The directory at `path`, made where nothing is; None when something else is there, a symbolic
    /// link to a directory included.
    pub(crate) fn directory_itself(&self, path: &Path) -> Result<Option<OwnedFd>> {
        match self.open(path, OFlags::DIRECTORY | OFlags::NOFOLLOW) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT) => self.directory(path).map(Some),
            Err(Errno::NOTDIR) => Ok(None),
            Err(error) => {
                Err(error).doing(|| format!("look up {} in the container", path.display()))
            }
        }
    }

    /// What is at `path`; an empty file is made, with its parent directories, where there is nothing.
    pub(crate) fn file(&self, path: &Path) -> Result<OwnedFd> {
        self.ensure(path, FileType::RegularFile)
    }

    /// The same, but None when a symbolic link is at `path`.
    pub(crate) fn file_itself(&self, path: &Path) -> Result<Option<OwnedFd>> {
        let found = match self.open(path, OFlags::NOFOLLOW) {
            Err(Errno::NOENT) => {
                self.file(path)?;
                self.open(path, OFlags::NOFOLLOW)
            }
            found => found,
        };
        let found = found.doing(|| format!("look up {} in the container", path.display()))?;
        Ok((kind_of(found.as_fd())? != FileType::Symlink).then_some(found))
    }

    fn ensure(&self, path: &Path, kind: FileType) -> Result<OwnedFd> {
        if let Some(found) = self.find(path)? {
            return Ok(found);
        }
        let doing = || format!("make {} in the container", path.display());
        let mut names = components(path);
        let mut links = 0;
        let mut done = 1;
        while done <= names.len() {
            let so_far: PathBuf = names[..done].iter().collect();
            match self.resolve(&so_far) {
                Ok(_) => {}
                Err(Errno::NOENT) => {
                    let parent: PathBuf = names[..done - 1].iter().collect();
                    let parent = self.resolve(&parent).doing(doing)?;
                    let kind = if done == names.len() { kind } else { FileType::Directory };
                    match make(parent.as_fd(), &names[done - 1], kind) {
                        Err(Errno::EXIST) if links < MAX_LINKS => {
                            links += 1;
                            names = follow(parent.as_fd(), &names, done - 1).doing(doing)?;
                            done = 0;
                        }
                        made => made.doing(doing)?,
                    }
                }
                Err(error) => return Err(error).doing(doing),
            }
            done += 1;
        }
        let whole: PathBuf = names.iter().collect();
        self.resolve(&whole).doing(doing)
    }

    fn resolve(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.open(path, OFlags::empty())
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let names: PathBuf = components(path).iter().collect();
        let path = if names.as_os_str().is_empty() { Path::new(".") } else { &names };
        loop {
            match rustix::fs::openat2(
                &self.0,
                path,
                OFlags::PATH | OFlags::CLOEXEC | flags,
                Mode::empty(),
                ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            ) {
                // A rename elsewhere in the tree disturbed the walk.
                Err(Errno::AGAIN) => {}
                found => return found,
            }
        }
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The names of a path from the root; `..` undoes the name before it, as a bundle's author means it.
fn components(path: &Path) -> Vec<OsString> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_owned()),
            Component::ParentDir => {
                names.pop();
            }
            _ => {}
        }
    }
    names
}

fn make(parent: BorrowedFd<'_>, name: &OsString, kind: FileType) -> Result<(), Errno> {
    if kind == FileType::Directory {
        return rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755));
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::WRONLY;
    rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
}

/// The path with the dangling symbolic link at `index` replaced by what it points to.
fn follow(
    parent: BorrowedFd<'_>,
    names: &[OsString],
    index: usize,
) -> Result<Vec<OsString>, Errno> {
    let target = rustix::fs::readlinkat(parent, &names[index], Vec::new())?;
    let target = Path::new(std::ffi::OsStr::from_bytes(target.to_bytes()));
    let base: PathBuf = names[..index].iter().collect();
    let mut whole = Path::new("/").join(base).join(target);
    whole.extend(&names[index + 1..]);
    Ok(components(&whole))
}

/// A copy of the mount at `place` (with all below it when `recursive`), attached nowhere yet.
pub(crate) fn clone_mount(place: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(place, "", flags)
}

/// Attaches a mount at a place.
pub(crate) fn attach(mount: BorrowedFd<'_>, place: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", place, "", flags)
}

/// The kind of file behind a descriptor.
pub(crate) fn kind_of(file: BorrowedFd<'_>) -> Result<FileType> {
    let stat = rustix::fs::statat(file, "", AtFlags::EMPTY_PATH)
        .doing(|| "look at a file of the container".into())?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

/// An error for a mount of the configuration.
pub(crate) fn mount_error(destination: &Path, reason: impl std::fmt::Display) -> Error {
    Error::Init(format!("mount {}: {reason}", destination.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn root(path: &Path) -> Root {
        Root::new(rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap())
    }

    #[test]
    fn links_never_lead_out() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("root");
        fs::create_dir(&inner).unwrap();
        symlink("/../../../x", inner.join("absolute")).unwrap();
        symlink("../../y", inner.join("relative")).unwrap();
        symlink("loop", inner.join("loop")).unwrap();
        let root = root(&inner);

        root.directory(Path::new("/absolute/deep")).unwrap();
        root.file(Path::new("/relative")).unwrap();
        root.directory(Path::new("/../../z")).unwrap();
        assert!(root.directory(Path::new("/loop/a")).is_err());

        assert!(inner.join("x/deep").is_dir());
        assert!(inner.join("y").is_file());
        assert!(inner.join("z").is_dir());
        assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
    }

    #[test]
    fn finds_nothing_where_nothing_is() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), "").unwrap();
        let root = root(directory.path());
        assert!(root.find(Path::new("/none")).unwrap().is_none());
        assert!(root.find(Path::new("/file/below")).unwrap().is_none());
        assert!(root.find(Path::new("/file")).unwrap().is_some());
    }
}
