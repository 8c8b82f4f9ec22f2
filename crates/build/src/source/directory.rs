//! A build context that is a directory of the host, less what `.dockerignore` names.
//!
//! Paths are resolved by the kernel inside the directory (openat2, `RESOLVE_IN_ROOT`), so that a
//! symbolic link in it cannot lead a copy out of it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use dockerfile::IgnorePatterns;
use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags, openat2, statx,
};
use tree::{LayerPath, Metadata, Timestamp};

use super::hashes::{FileHashes, Identity};
use super::layers::MAX_TEXT;
use super::{File, Found, Item, ItemKind, Origin, Reading, left_out, prune};
use crate::Error;

/// A context directory.
pub(crate) struct Directory {
    path: PathBuf,
    root: OwnedFd,
    pub(super) ignored: IgnorePatterns,
    hashes: FileHashes,
    /// What errors call it.
    place: String,
    /// For a checkout: when its commit was made.
    committed: Option<Timestamp>,
}

impl Directory {
    /// Opens `path`. `caches` is where its file hashes are kept.
    pub(crate) fn open_at(
        path: &Path,
        ignored: IgnorePatterns,
        caches: &Path,
    ) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| Error::io("open the context", path, error))?;
        let stat = statx(&root, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
            .map_err(|error| Error::io("look at the context", path, error))?;
        let cache = format!("{:x}-{:x}-{:x}", stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino);
        let hashes = FileHashes::at(caches.join(cache));
        let place = format!("the build context {}", path.display());
        Ok(Self { path: path.to_owned(), root, ignored, hashes, place, committed: None })
    }

    /// Writes what was learned about files. A failure costs time at the next build, nothing else.
    pub(crate) fn save_hashes(&self) {
        let _ = self.hashes.save();
    }

    /// What `.dockerignore` names.
    pub(crate) fn ignored(&self) -> &IgnorePatterns {
        &self.ignored
    }

    /// The same directory, which holds what git checked out of `remote`.
    pub(crate) fn of_commit(self, remote: String, time: Timestamp) -> Self {
        Self { place: remote, committed: Some(time), ..self }
    }

    /// What errors call it.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Whether `.dockerignore` hides something that is there.
    pub(crate) fn hides(&self, path: &LayerPath) -> bool {
        !self.ignored.is_empty() && self.resolve(path).is_ok_and(|found| found.is_some())
    }

    pub(crate) fn find(&self, path: &LayerPath) -> Result<Option<Found>, Error> {
        let Some((resolved, stat)) = self.resolve(path)? else { return Ok(None) };
        let directory = file_type(&stat) == FileType::Directory;
        let ignored = !resolved.is_root() && left_out(&self.ignored, &resolved, directory);
        Ok((!ignored).then_some(Found { path: resolved, directory }))
    }

    fn resolve(&self, path: &LayerPath) -> Result<Option<(LayerPath, Statx)>, Error> {
        let opened = rootfs::open_inside(&self.root, relative(path), OFlags::PATH);
        let fail = |error| Error::io("look at", self.host_path(path), error);
        let file = match opened {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        let stat = statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).map_err(fail)?;
        let (root, real) = (real_path(&self.root)?, real_path(&file)?);
        let inside = real.strip_prefix(&root).map_err(|_| Error::outside(path, &self.path))?;
        let inside = LayerPath::new(inside.as_os_str().as_bytes())
            .map_err(|error| Error::path(path, error))?;
        Ok(Some((inside, stat)))
    }

    /// A small file as text, links followed; `None` where there is none.
    pub(crate) fn text(&self, path: &LayerPath) -> Result<Option<Vec<u8>>, Error> {
        let Some((resolved, stat)) = self.resolve(path)? else { return Ok(None) };
        if file_type(&stat) != FileType::RegularFile {
            return Ok(None);
        }
        let file = std::fs::File::from(self.open_beneath(&resolved, OFlags::NOFOLLOW)?);
        let mut text = Vec::new();
        file.take(MAX_TEXT)
            .read_to_end(&mut text)
            .map_err(|error| Error::io("read", self.host_path(path), error))?;
        Ok(Some(text))
    }

    pub(crate) fn list(&self, path: &LayerPath) -> Result<Vec<(Vec<u8>, bool)>, Error> {
        let folder = self.open_beneath(path, OFlags::DIRECTORY)?;
        let mut listed = Vec::new();
        for name in self.names(&folder, path)? {
            let Some(stat) = self.stat(&folder, &name, path)? else { continue };
            let child = join(path, &name)?;
            let directory = file_type(&stat) == FileType::Directory;
            if !left_out(&self.ignored, &child, directory) {
                listed.push((name, directory));
            }
        }
        Ok(listed)
    }

    pub(crate) fn walk(&self, path: &LayerPath) -> Result<Vec<Item>, Error> {
        let mut items = super::walk::walk(self, path)?;
        prune(&self.ignored, path, &mut items);
        link(&mut items);
        for item in &mut items {
            self.as_committed(&mut item.metadata);
            if self.committed.is_some() && matches!(item.kind, ItemKind::Symlink(_)) {
                item.metadata.mode = 0o777;
            }
        }
        if let Some(root) = items.first_mut().filter(|_| path.is_root()) {
            // BuildKit receives the context without its root's own mode and time.
            root.metadata = Metadata { mode: 0o755, ..Metadata::default() };
        }
        Ok(items)
    }

    /// Mode of a directory.
    pub(crate) fn metadata(&self, path: &LayerPath) -> Result<Metadata, Error> {
        let folder = self.open_beneath(path, OFlags::DIRECTORY)?;
        let stat = statx(&folder, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
            .map_err(|error| Error::io("look at", self.host_path(path), error))?;
        let mut metadata = metadata(&stat);
        self.as_committed(&mut metadata);
        Ok(metadata)
    }

    /// What git gives a file does not depend on the time and the mask of its creation.
    fn as_committed(&self, metadata: &mut Metadata) {
        if let Some(time) = self.committed {
            let shared = metadata.mode & 0o500;
            metadata.mode = metadata.mode & 0o700 | shared >> 3 | shared >> 6;
            metadata.mtime = time;
        }
    }

    /// Opens a regular file that a walk gave, and sees to it that its hash is remembered.
    pub(crate) fn open(&self, path: &LayerPath, identity: Identity) -> Result<Reading, Error> {
        let clock = FileHashes::now();
        let file = self.open_beneath(path, OFlags::NOFOLLOW)?;
        Ok(Reading::disk(std::fs::File::from(file), self.host_path(path), identity, clock))
    }

    /// Remembers what a file held, when it is still the one that was opened.
    pub(crate) fn remember(&self, reading: &Reading, digest: [u8; 32]) {
        if let Some((identity, clock)) = reading.unchanged() {
            self.hashes.put(&identity, digest, clock);
        }
    }

    pub(super) fn open_beneath(&self, path: &LayerPath, flags: OFlags) -> Result<OwnedFd, Error> {
        let flags = flags | OFlags::CLOEXEC | OFlags::RDONLY | OFlags::NONBLOCK;
        let flags = if flags.contains(OFlags::PATH) { flags - OFlags::NONBLOCK } else { flags };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        openat2(&self.root, relative(path), flags, Mode::empty(), resolve)
            .map_err(|error| Error::io("open", self.host_path(path), error))
    }

    pub(super) fn names(&self, folder: &OwnedFd, path: &LayerPath) -> Result<Vec<Vec<u8>>, Error> {
        let fail = |error| Error::io("list", self.host_path(path), error);
        let mut names = Vec::new();
        for entry in Dir::read_from(folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// `None` for a file that went away since it was listed.
    pub(super) fn stat(
        &self,
        folder: &OwnedFd,
        name: &[u8],
        at: &LayerPath,
    ) -> Result<Option<Statx>, Error> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        match statx(folder, name, flags, StatxFlags::BASIC_STATS) {
            Ok(stat) => Ok(Some(stat)),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => {
                let at = join(at, name)?;
                Err(Error::io("look at", self.host_path(&at), error))
            }
        }
    }

    /// A regular file, with what is remembered of it.
    pub(super) fn file(&self, path: &LayerPath, stat: &Statx) -> File {
        let identity = Identity::of(stat);
        let known = self.hashes.get(&identity);
        let digest = Arc::new(known.map_or_else(OnceLock::new, OnceLock::from));
        let linked = stat.stx_nlink > 1;
        let origin = Origin::Disk { path: path.clone(), identity, linked };
        File { size: stat.stx_size, digest, origin }
    }

    /// A symbolic link's target.
    pub(super) fn link(
        &self,
        folder: &OwnedFd,
        name: &[u8],
        path: &LayerPath,
    ) -> Result<Vec<u8>, Error> {
        rustix::fs::readlinkat(folder, name, Vec::new())
            .map(std::ffi::CString::into_bytes)
            .map_err(|error| Error::io("read the link", self.host_path(path), error))
    }

    pub(crate) fn host_path(&self, path: &LayerPath) -> PathBuf {
        self.path.join(std::ffi::OsStr::from_bytes(path.as_bytes()))
    }
}

/// Makes a hard link of each further name of a file.
fn link(items: &mut [Item]) {
    let mut first: HashMap<(u64, u64), LayerPath> = HashMap::new();
    for Item { path, kind, .. } in items {
        let ItemKind::File(File { origin: Origin::Disk { identity, linked: true, .. }, .. }) = kind
        else {
            continue;
        };
        match first.get(&identity.inode()) {
            Some(earlier) => *kind = ItemKind::HardLink(earlier.clone()),
            None => drop(first.insert(identity.inode(), path.clone())),
        }
    }
}

/// A file's metadata, without what belongs to the host it lies on: owner and extended attributes.
pub(super) fn metadata(stat: &Statx) -> Metadata {
    Metadata {
        mode: stat.stx_mode & 0o7777,
        mtime: Timestamp { seconds: stat.stx_mtime.tv_sec, nanoseconds: 0 },
        ..Metadata::default()
    }
}

pub(super) fn file_type(stat: &Statx) -> FileType {
    FileType::from_raw_mode(u32::from(stat.stx_mode))
}

/// A path as openat2 takes it: the root is `.`.
fn relative(path: &LayerPath) -> &Path {
    Path::new(if path.is_root() { OsStr::new(".") } else { OsStr::from_bytes(path.as_bytes()) })
}

pub(super) fn join(path: &LayerPath, name: &[u8]) -> Result<LayerPath, Error> {
    path.join(name).map_err(|error| Error::path(path, error))
}

fn real_path(file: &OwnedFd) -> Result<PathBuf, Error> {
    use std::os::fd::AsRawFd as _;
    let link = format!("/proc/self/fd/{}", file.as_raw_fd());
    std::fs::read_link(&link).map_err(|error: io::Error| Error::io("read", link, error))
}
