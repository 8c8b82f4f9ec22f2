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

/// How often a walk that renames disturb is begun again: who can rename in the root must not be able
/// to hold us up for ever.
const MAX_TRIES: usize = 128;

/// The root's descriptor.
pub(crate) struct Root(OwnedFd);

/// Something in the root.
pub(crate) struct Place {
    file: OwnedFd,
    /// Whether symbolic links led there, so that it may be somewhere else than its path says.
    pub(super) by_link: bool,
}

impl AsFd for Place {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Root {
    pub(crate) fn new(directory: OwnedFd) -> Self {
        Self(directory)
    }

    /// What is at `path`, as a descriptor for its place (`O_PATH`); None when there is nothing.
    pub(crate) fn find(&self, path: &Path) -> Result<Option<Place>> {
        match self.resolve(&components(path)) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => {
                Err(error).doing(|| format!("look up {} in the container", path.display()))
            }
        }
    }

    /// The directory at `path`, made with its parents (0755) where missing.
    pub(crate) fn directory(&self, path: &Path) -> Result<Place> {
        self.ensure(path, FileType::Directory)
    }

    /// The directory at `path`, made where nothing is; None when something else is there, a symbolic
    /// link to a directory included.
    pub(crate) fn directory_itself(&self, path: &Path) -> Result<Option<Place>> {
        match self.open(&components(path), OFlags::DIRECTORY | OFlags::NOFOLLOW) {
            Ok(found) => Ok(Some(found)),
            Err(Errno::NOENT) => self.directory(path).map(Some),
            Err(Errno::NOTDIR) => Ok(None),
            Err(error) => {
                Err(error).doing(|| format!("look up {} in the container", path.display()))
            }
        }
    }

    /// What is at `path`; an empty file is made, with its parent directories, where there is nothing.
    pub(crate) fn file(&self, path: &Path) -> Result<Place> {
        self.ensure(path, FileType::RegularFile)
    }

    /// The same, but None when a symbolic link is at `path`.
    pub(crate) fn file_itself(&self, path: &Path) -> Result<Option<Place>> {
        let names = components(path);
        let found = match self.open(&names, OFlags::NOFOLLOW) {
            Err(Errno::NOENT) => {
                self.file(path)?;
                self.open(&names, OFlags::NOFOLLOW)
            }
            found => found,
        };
        let found = found.doing(|| format!("look up {} in the container", path.display()))?;
        Ok((kind_of(found.as_fd())? != FileType::Symlink).then_some(found))
    }

    fn ensure(&self, path: &Path, kind: FileType) -> Result<Place> {
        let doing = || format!("make {} in the container", path.display());
        let mut names = components(path);
        for _ in 0..=MAX_LINKS {
            match self.make_missing(&names, kind).doing(doing)? {
                Ok(place) => return Ok(place),
                Err(elsewhere) => names = elsewhere,
            }
        }
        Err(Errno::LOOP).doing(doing)
    }

    /// What is at the path, made from its first missing name on; or another path, when that name is
    /// taken by a symbolic link that leads nowhere yet. What is made is not looked up again.
    fn make_missing(
        &self,
        names: &[OsString],
        kind: FileType,
    ) -> Result<Result<Place, Vec<OsString>>, Errno> {
        let mut there = names.len();
        let mut place = loop {
            match self.resolve(&names[..there]) {
                Err(Errno::NOENT) if there > 0 => there -= 1,
                found => break found?,
            }
        };
        for index in there..names.len() {
            let last = index + 1 == names.len();
            let kind = if last { kind } else { FileType::Directory };
            match make(place.as_fd(), &names[index], kind) {
                Ok(file) => place = Place { file, ..place },
                Err(Errno::EXIST) => return follow(place.as_fd(), names, index).map(Err),
                Err(error) => return Err(error),
            }
        }
        Ok(Ok(place))
    }

    fn resolve(&self, names: &[OsString]) -> Result<Place, Errno> {
        self.open(names, OFlags::empty())
    }

    fn open(&self, names: &[OsString], flags: OFlags) -> Result<Place, Errno> {
        let names: PathBuf = names.iter().collect();
        let path = if names.as_os_str().is_empty() { Path::new(".") } else { &names };
        match self.walk(path, flags, ResolveFlags::NO_SYMLINKS) {
            Err(Errno::LOOP) => {
                let file = self.walk(path, flags, ResolveFlags::NO_MAGICLINKS)?;
                Ok(Place { file, by_link: true })
            }
            found => found.map(|file| Place { file, by_link: false }),
        }
    }

    fn walk(&self, path: &Path, flags: OFlags, links: ResolveFlags) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC | flags;
        for _ in 0..MAX_TRIES {
            let resolve = ResolveFlags::IN_ROOT | links;
            match rustix::fs::openat2(&self.0, path, flags, Mode::empty(), resolve) {
                // A rename elsewhere in the tree disturbed the walk.
                Err(Errno::AGAIN) => {}
                found => return found,
            }
        }
        Err(Errno::AGAIN)
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

/// Makes a directory or an empty file; a link that someone puts in its place is not followed.
fn make(parent: BorrowedFd<'_>, name: &OsString, kind: FileType) -> Result<OwnedFd, Errno> {
    if kind == FileType::Directory {
        rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        return rustix::fs::openat(parent, name, flags, Mode::empty());
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(parent, name, flags | OFlags::RDONLY, Mode::from_raw_mode(0o644))
}

/// The path with the dangling symbolic link at `index` replaced by what it points to; unchanged when
/// no link is there, for somebody else has just made what was missing.
fn follow(
    parent: BorrowedFd<'_>,
    names: &[OsString],
    index: usize,
) -> Result<Vec<OsString>, Errno> {
    let target = match rustix::fs::readlinkat(parent, &names[index], Vec::new()) {
        Err(Errno::INVAL) => return Ok(names.to_vec()),
        target => target?,
    };
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
    Error::Init(format!("error mounting {}: {reason}", destination.display()))
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
        assert!(root.directory(Path::new("/file/below/deep")).is_err());
    }

    #[test]
    fn tells_whether_a_link_led_there() {
        let directory = tempfile::tempdir().unwrap();
        symlink("/", directory.path().join("link")).unwrap();
        let root = root(directory.path());
        assert!(!root.directory(Path::new("/a/b/c")).unwrap().by_link);
        assert!(root.directory(Path::new("/link/a/b")).unwrap().by_link);
        assert!(root.file(Path::new("/link/a/new/file")).unwrap().by_link);
        assert!(directory.path().join("a/new/file").is_file());
    }
}
