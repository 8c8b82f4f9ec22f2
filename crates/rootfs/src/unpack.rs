//! A tree as plain files, in a directory.
//!
//! Every file is made through its directory's descriptor, which was opened below the target without
//! following a symbolic link (openat2(2), RESOLVE_BENEATH). Directories get their owner, mode,
//! attributes and time at the end, when nothing is made in them any more.
//!
//! In a user namespace nobody can make a device: those are left out, as every builder and engine of
//! ordinary users does. A layer that has one keeps it.

mod content;
mod metadata;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, flock, linkat, makedev, mkdirat, mknodat,
    openat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use tree::{Device, FileContent, LayerPath, Metadata, Node, NodeId, NodeKind, Tree};

use crate::open::{self, DIRECTORY};
use crate::remove::{clear, remove};
use crate::{Base, Error, LayerTar, Unpacked, ids};
use content::Tars;

/// Writes the tree to `target`, which is made where missing, and must be empty. Layer n of the tree
/// has its bytes in `layers[n]`.
///
/// # Errors
/// What the disk says; [`Error::Privilege`] for owners, devices and attributes that only root may
/// set; a tar that ends early. What was written is removed again.
pub fn unpack(tree: &Tree, layers: &[LayerTar], target: &Path) -> Result<(), Error> {
    unpack_new(tree, layers, target, Options::default())
}

/// As [`unpack`], so that [`Unpacked::read`](crate::Unpacked::read) says of the directory how it was made, and
/// `note`. With an `owner`, user and group, all files become theirs, for those who may give files to nobody
/// else: then there are no devices, and of extended attributes only those of users.
///
/// # Errors
/// As [`unpack`].
pub fn unpack_noted(
    tree: &Tree,
    layers: &[LayerTar],
    target: &Path,
    owner: Option<(u32, u32)>,
    note: &[u8],
) -> Result<(), Error> {
    unpack_new(tree, layers, target, Options { owner, note: Some(note), ..Options::default() })
}

fn unpack_new(
    tree: &Tree,
    layers: &[LayerTar],
    target: &Path,
    options: Options<'_>,
) -> Result<(), Error> {
    let is_new = match DirBuilder::new().mode(0o700).create(target) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(Error::io("create", target)(error)),
    };
    let _lock = refuse_content(target)?;
    write(tree, layers, target, options).inspect_err(|_| {
        // The first error is the one to tell; what cannot be removed is there to be seen.
        let _ = if is_new { remove(target) } else { clear(target) };
    })
}

/// Writes the tree into a directory that may have files: what is in the way of one of the tree's is
/// replaced, directories become one, and the rest stays. All belongs to `owner` (user and group), and
/// has of extended attributes only those of users (xattr(7)).
///
/// # Errors
/// As [`unpack`]; what was written stays.
pub fn unpack_over(
    tree: &Tree,
    layers: &[LayerTar],
    target: &Path,
    owner: (u32, u32),
) -> Result<(), Error> {
    std::fs::create_dir_all(target).map_err(Error::io("create", target))?;
    let options = Options { owner: Some(owner), over: true, ..Options::default() };
    write(tree, layers, target, options)
}

/// As [`unpack`], into a directory that is there and empty; leaves what it made when it fails. Files
/// that are the same in `base` become one with those.
pub(crate) fn unpack_into(
    tree: &Tree,
    layers: &[LayerTar],
    target: &Path,
    base: Option<&Base>,
) -> Result<(), Error> {
    write(tree, layers, target, Options { base, ..Options::default() })
}

/// What is done besides.
#[derive(Clone, Copy, Default)]
struct Options<'a> {
    base: Option<&'a Base>,
    /// Whose the files become.
    owner: Option<(u32, u32)>,
    /// Whether there may be files already.
    over: bool,
    /// What the directory is to say of itself.
    note: Option<&'a [u8]>,
}

fn write(
    tree: &Tree,
    layers: &[LayerTar],
    target: &Path,
    options: Options<'_>,
) -> Result<(), Error> {
    let root = open::directory(target)?;
    let base = options.base.and_then(|base| Some((&base.tree, open::directory(&base.path).ok()?)));
    let mut unpacker = Unpacker {
        tree,
        tars: Tars::open(layers)?,
        target,
        parent: None,
        root,
        base,
        options,
        names: HashMap::new(),
    };
    let mut directories = Vec::new();
    for (path, id) in tree.walk().filter(|(path, _)| !path.is_root()) {
        if tree.node(id).is_directory() {
            directories.push((path.clone(), id));
        }
        unpacker.make(path, id)?;
    }
    directories.iter().rev().try_for_each(|(path, id)| unpacker.finish_directory(path, *id))?;
    if let Some(note) = options.note {
        Unpacked::write(&unpacker.root, options.owner, note);
    }
    match options.over {
        // The directory that files are laid over stays its owner's.
        true => Ok(()),
        false => unpacker.finish_directory(&LayerPath::root(), tree.root()),
    }
}

const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Sees to it that the directory is empty, and that no other process unpacks into it until the result is dropped:
/// the one that fails would take the other's files away.
fn refuse_content(target: &Path) -> Result<OwnedFd, Error> {
    let root = open::directory(target)?;
    if flock(&root, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
        return Err(Error::NotEmpty(target.to_owned()));
    }
    for entry in Dir::read_from(&root).map_err(Error::io("read", target))? {
        let entry = entry.map_err(Error::io("read", target))?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            return Err(Error::NotEmpty(target.to_owned()));
        }
    }
    Ok(root)
}

struct Unpacker<'a> {
    tree: &'a Tree,
    tars: Tars<'a>,
    target: &'a Path,
    root: OwnedFd,
    /// Another tree, and the directory that has its files.
    base: Option<(&'a Tree, OwnedFd)>,
    options: Options<'a>,
    /// The directory of the last file, open.
    parent: Option<(LayerPath, OwnedFd)>,
    /// The first name of each file that has several.
    names: HashMap<NodeId, LayerPath>,
}

impl Unpacker<'_> {
    fn make(&mut self, path: LayerPath, id: NodeId) -> Result<(), Error> {
        let node = self.tree.node(id);
        self.open_parent(&path)?;
        if self.options.over && self.is_there(&path, node.is_directory())? {
            return Ok(());
        }
        let is_given_away = self.options.owner.is_some() && !self.options.over;
        if is_device(node) && (ids().is_some() || is_given_away) {
            return Ok(());
        }
        if node.links > 1 && !node.is_directory() {
            if let Some(first) = self.names.get(&id) {
                return self.link(first, &path);
            }
            self.names.insert(id, path.clone());
        }
        match &node.kind {
            NodeKind::Directory(_) => self.check("create", &path, self.make_directory(&path)),
            NodeKind::File { layer, content } => self.make_file(&path, node, *layer, content),
            _ => self.make_special(&path, node),
        }
    }

    /// Removes what is in the way; `true` where a directory is wanted and is there.
    fn is_there(&self, path: &LayerPath, directory: bool) -> Result<bool, Error> {
        let found = match statat(self.parent(), name(path), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            found => self.check("examine", path, found)?,
        };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory if directory => return Ok(true),
            FileType::Directory => remove(&self.full(path))?,
            _ => {
                let unlinked = unlinkat(self.parent(), name(path), AtFlags::empty());
                self.check("replace", path, unlinked)?;
            }
        }
        Ok(false)
    }

    /// What a file gets: its own, or its new owner's.
    fn metadata<'m>(&self, node: &'m Node) -> Cow<'m, Metadata> {
        let Some((uid, gid)) = self.options.owner else { return Cow::Borrowed(&node.metadata) };
        let mut metadata = Metadata { uid, gid, ..node.metadata.clone() };
        metadata.xattrs.retain(|name, _| name.starts_with(b"user."));
        Cow::Owned(metadata)
    }

    /// Opens the parent of `path`, unless it is open from the last file.
    fn open_parent(&mut self, path: &LayerPath) -> Result<(), Error> {
        let parent = path.parent().unwrap_or_default();
        if self.parent.as_ref().is_none_or(|(open, _)| *open != parent) {
            let directory = self.check("open", &parent, self.open_directory(&parent))?;
            self.parent = Some((parent, directory));
        }
        Ok(())
    }

    fn parent(&self) -> &OwnedFd {
        self.parent.as_ref().map_or(&self.root, |(_, directory)| directory)
    }

    fn open_directory(&self, path: &LayerPath) -> Result<OwnedFd, Errno> {
        open::below(&self.root, path, DIRECTORY)
    }

    fn make_directory(&self, path: &LayerPath) -> Result<(), Errno> {
        mkdirat(self.parent(), name(path), Mode::RWXU)
    }

    /// One more name for the file that `first` names. The old name is reached beneath the root, too.
    fn link(&self, first: &LayerPath, path: &LayerPath) -> Result<(), Error> {
        let call = || {
            let directory = self.open_directory(&first.parent().unwrap_or_default())?;
            linkat(&directory, name(first), self.parent(), name(path), AtFlags::empty())
        };
        self.check("link", path, call())
    }

    fn make_file(
        &mut self,
        path: &LayerPath,
        node: &Node,
        layer: u32,
        content: &FileContent,
    ) -> Result<(), Error> {
        if self.link_from_base(path, node) {
            return Ok(());
        }
        let file = openat(self.parent(), name(path), NEW_FILE, PRIVATE);
        let file = File::from(self.check("create", path, file)?);
        self.tars.copy(layer, content, &file, path, self.target)?;
        metadata::set_open(&file, &self.metadata(node)).map_err(|error| self.refused(path, error))
    }

    /// Gives the base's file a name here, if it is the same in all respects and can have one more.
    fn link_from_base(&self, path: &LayerPath, node: &Node) -> bool {
        let Some((tree, root)) = &self.base else { return false };
        let is_same = tree.lookup(path).is_some_and(|id| {
            let other = tree.node(id);
            other.kind == node.kind && other.metadata == node.metadata
        });
        is_same
            && open::below(root, &path.parent().unwrap_or_default(), DIRECTORY).is_ok_and(
                |directory| {
                    let flags = AtFlags::empty();
                    linkat(&directory, name(path), self.parent(), name(path), flags).is_ok()
                },
            )
    }

    fn make_special(&self, path: &LayerPath, node: &Node) -> Result<(), Error> {
        let made = match &node.kind {
            NodeKind::Symlink(target) => symlinkat(target.as_slice(), self.parent(), name(path)),
            NodeKind::CharDevice(device) => self.node(path, FileType::CharacterDevice, *device),
            NodeKind::BlockDevice(device) => self.node(path, FileType::BlockDevice, *device),
            NodeKind::Fifo => self.node(path, FileType::Fifo, Device { major: 0, minor: 0 }),
            NodeKind::Directory(_) | NodeKind::File { .. } => return Ok(()),
        };
        if made == Err(Errno::PERM) {
            return Err(Error::Privilege { verb: "make the device", path: path.clone() });
        }
        self.check("create", path, made)?;
        let is_symlink = matches!(node.kind, NodeKind::Symlink(_));
        metadata::set_named(self.parent(), name(path), &self.metadata(node), is_symlink)
            .map_err(|error| self.refused(path, error))
    }

    fn node(&self, path: &LayerPath, kind: FileType, device: Device) -> Result<(), Errno> {
        mknodat(self.parent(), name(path), kind, PRIVATE, makedev(device.major, device.minor))
    }

    fn finish_directory(&self, path: &LayerPath, id: NodeId) -> Result<(), Error> {
        let directory = self.check("open", path, self.open_directory(path))?;
        metadata::set_open(&directory, &self.metadata(self.tree.node(id)))
            .map_err(|error| self.refused(path, error))
    }

    /// Setting owners and attributes is what fails first without root.
    fn refused(&self, path: &LayerPath, (verb, error): (&'static str, Errno)) -> Error {
        match error {
            // The owner is none that the user namespace has (chown(2)).
            Errno::INVAL if verb == metadata::OWNER && ids().is_some() => {
                let metadata = self.tree.lookup(path).map(|id| self.metadata(self.tree.node(id)));
                let (uid, gid) = metadata.map_or((0, 0), |metadata| (metadata.uid, metadata.gid));
                Error::no_id(&self.full(path), uid, gid)
            }
            Errno::PERM => Error::Privilege { verb, path: path.clone() },
            error => Error::io(verb, &self.full(path))(error),
        }
    }

    fn check<T>(
        &self,
        verb: &'static str,
        path: &LayerPath,
        result: Result<T, Errno>,
    ) -> Result<T, Error> {
        result.map_err(|error| Error::io(verb, &self.full(path))(error))
    }

    fn full(&self, path: &LayerPath) -> PathBuf {
        below(self.target, path)
    }
}

fn is_device(node: &Node) -> bool {
    matches!(node.kind, NodeKind::CharDevice(_) | NodeKind::BlockDevice(_))
}

/// The path of a file of the tree on the disk, for messages.
fn below(target: &Path, path: &LayerPath) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    target.join(std::ffi::OsStr::from_bytes(path.as_bytes()))
}

fn name(path: &LayerPath) -> &[u8] {
    path.name().unwrap_or(b".")
}
