//! What differs between a directory and the tree that it was unpacked of.
//!
//! What has not changed since it was unpacked, as its time of change tells, is not opened. Of the rest the metadata
//! is compared, and where that is the same the content.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Stat, fstat, major, minor, readlinkat, statat};
use rustix::io::Errno;
use tree::{
    Device, Entry, EntryKind, LayerPath, Metadata, Node, NodeId, NodeKind, Timestamp, Xattrs,
};

use super::compare::{self, Comparison};
use super::{Lower, list};
use crate::open::{self, DIRECTORY};
use crate::{Error, Unpacked, xattrs};

/// One name of the directory or of the tree.
pub(super) struct Found {
    pub(super) path: LayerPath,
    pub(super) what: What,
    /// Whether it belongs in the layer.
    pub(super) changed: bool,
    /// The node of the tree at this path.
    below: Option<NodeId>,
}

pub(super) enum What {
    /// It is in the tree alone.
    Gone,
    Directory(Metadata),
    /// As it was when it was looked at.
    File(Metadata, Box<Stat>),
    Special(EntryKind, Metadata),
}

/// What is found, sorted by path: all directories, all that changed, and the file of each of the names that lead to
/// one file with others.
pub(super) struct Scan {
    pub(super) found: Vec<Found>,
    /// The file of a name that may be one of several.
    pub(super) inodes: HashMap<LayerPath, u64>,
}

pub(super) fn scan(
    directory: &Path,
    root: &OwnedFd,
    lower: &Lower<'_>,
    unpacked: &Unpacked,
) -> Result<Scan, Error> {
    let stat = fstat(root).map_err(Error::io("examine", directory))?;
    let mut scanner = Scanner {
        directory,
        root,
        lower,
        unpacked,
        device: stat.st_dev,
        found: Vec::new(),
        inodes: HashMap::new(),
        waiting: vec![(LayerPath::root(), Some(lower.tree.root()))],
    };
    while let Some((path, below)) = scanner.waiting.pop() {
        scanner.directory(path, below)?;
    }
    let Scanner { mut found, inodes, .. } = scanner;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    group(&mut found, &inodes);
    Ok(Scan { found, inodes })
}

/// Names that lead to one file, and did not all lead to one node before, are all in the layer, as a link cannot
/// leave it.
fn group(found: &mut [Found], inodes: &HashMap<LayerPath, u64>) {
    let mut groups: Vec<(u64, Vec<usize>)> = Vec::new();
    let mut places = HashMap::new();
    for (number, name) in found.iter().enumerate() {
        let Some(inode) = inodes.get(&name.path) else { continue };
        let place = *places.entry(*inode).or_insert_with(|| {
            groups.push((*inode, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(number);
    }
    // Which file is a node now: a second one is new, however it looks.
    let mut taken: HashMap<NodeId, u64> = HashMap::new();
    for (inode, names) in groups {
        let below = found[names[0]].below;
        let is_one = names.iter().all(|&name| !found[name].changed && found[name].below == below);
        let is_first = below.is_some_and(|node| *taken.entry(node).or_insert(inode) == inode);
        if !(is_one && is_first) {
            names.iter().for_each(|&name| found[name].changed = true);
        }
    }
}

struct Scanner<'a> {
    directory: &'a Path,
    root: &'a OwnedFd,
    lower: &'a Lower<'a>,
    unpacked: &'a Unpacked,
    /// Whose files they are: what is mounted inside is none of the image's.
    device: u64,
    found: Vec<Found>,
    inodes: HashMap<LayerPath, u64>,
    /// Directories to be read, with what the tree has there.
    waiting: Vec<(LayerPath, Option<NodeId>)>,
}

impl Scanner<'_> {
    fn directory(&mut self, path: LayerPath, below: Option<NodeId>) -> Result<(), Error> {
        let open = open::below(self.root, &path, DIRECTORY).map_err(|e| self.lost(&path, e))?;
        let stat = fstat(&open).map_err(|e| self.io("examine", &path, e))?;
        if stat.st_dev != self.device {
            return Err(Error::Foreign { mountpoint: list::on_disk(self.directory, &path, b"") });
        }
        let attributes = xattrs::of_file(&open).map_err(|e| self.io("read", &path, e))?;
        let node = below.map(|id| self.lower.tree.node(id)).filter(|node| node.is_directory());
        let metadata = self.metadata(&stat, attributes, node);
        let changed = node.is_none_or(|node| !compare::same_metadata(&metadata, &node.metadata));
        let mut gone: Vec<&Box<[u8]>> = Vec::new();
        let names = node.and_then(Node::names);
        let mut there = self.names(&open, &path)?;
        there.sort_unstable();
        for (name, &id) in names.into_iter().flatten() {
            if there.binary_search_by(|it| it.as_slice().cmp(name)).is_err() && self.is_missed(id) {
                gone.push(name);
            }
        }
        for name in gone {
            self.gone(self.join(&path, name)?);
        }
        for name in there {
            let below = names.and_then(|names| names.get(name.as_slice())).copied();
            self.child(&open, self.join(&path, &name)?, &name, below)?;
        }
        self.found.push(Found { path, what: What::Directory(metadata), changed, below });
        Ok(())
    }

    fn names(&self, open: &OwnedFd, path: &LayerPath) -> Result<Vec<Vec<u8>>, Error> {
        let mut names = Vec::new();
        for entry in Dir::read_from(open).map_err(|e| self.io("read", path, e))? {
            let entry = entry.map_err(|e| self.io("read", path, e))?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Whether a node would be there, had nobody taken it away.
    fn is_missed(&self, id: NodeId) -> bool {
        let kind = &self.lower.tree.node(id).kind;
        let is_device = matches!(kind, NodeKind::CharDevice(_) | NodeKind::BlockDevice(_));
        !(is_device && self.unpacked.lacks_devices())
    }

    fn gone(&mut self, path: LayerPath) {
        self.found.push(Found { path, what: What::Gone, changed: true, below: None });
    }

    fn child(
        &mut self,
        parent: &OwnedFd,
        path: LayerPath,
        name: &[u8],
        below: Option<NodeId>,
    ) -> Result<(), Error> {
        let stat =
            statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| self.lost(&path, e))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                self.waiting.push((path, below));
                return Ok(());
            }
            // No layer can hold one.
            FileType::Socket => {
                if below.is_some() {
                    self.gone(path);
                }
                return Ok(());
            }
            _ => {}
        }
        let node = below.map(|id| self.lower.tree.node(id));
        let has_names = stat.st_nlink > 1 || node.is_some_and(|node| node.links > 1);
        let is_untouched = node.is_some_and(|node| self.is_untouched(&stat, node));
        if is_untouched && !has_names {
            return Ok(());
        }
        // One of several names may have to be written for the sake of another.
        let (what, file) = self.read(parent, &path, name, &stat, node)?;
        let changed = !is_untouched && !self.is_same(&path, &what, file.as_ref(), node)?;
        if has_names {
            self.inodes.insert(path.clone(), stat.st_ino);
        }
        if changed || has_names {
            self.found.push(Found { path, what, changed, below });
        }
        Ok(())
    }

    fn is_untouched(&self, stat: &Stat, node: &Node) -> bool {
        let changed = Timestamp { seconds: stat.st_ctime, nanoseconds: stat.st_ctime_nsec as u32 };
        let is_kind = match (&node.kind, FileType::from_raw_mode(stat.st_mode)) {
            (NodeKind::File { content, .. }, FileType::RegularFile) => {
                content.size == stat.st_size as u64
            }
            (NodeKind::Symlink(target), FileType::Symlink) => target.len() as i64 == stat.st_size,
            (NodeKind::CharDevice(_), FileType::CharacterDevice)
            | (NodeKind::BlockDevice(_), FileType::BlockDevice)
            | (NodeKind::Fifo, FileType::Fifo) => true,
            _ => false,
        };
        // A time that the file system cannot hold makes a file look changed, and so do those that were moved here
        // by one that does not count that as a change.
        is_kind && self.unpacked.is_untouched(changed) && list::mtime(stat) == node.metadata.mtime
    }

    /// Whether what is there is what the tree has.
    fn is_same(
        &self,
        path: &LayerPath,
        what: &What,
        file: Option<&File>,
        node: Option<&Node>,
    ) -> Result<bool, Error> {
        let Some(node) = node else { return Ok(false) };
        match (what, file) {
            (What::File(metadata, stat), Some(file)) => {
                let comparison = Comparison { layers: self.lower.layers, node };
                comparison.same_file(file, metadata, stat.st_size as u64)
            }
            (What::Special(kind, metadata), _) => {
                let (kind, metadata) = (kind.clone(), metadata.clone());
                Ok(compare::same_special(&Entry { path: path.clone(), kind, metadata }, node))
            }
            _ => Ok(false),
        }
    }

    /// What a name stands for; a file is open then.
    fn read(
        &self,
        parent: &OwnedFd,
        path: &LayerPath,
        name: &[u8],
        stat: &Stat,
        node: Option<&Node>,
    ) -> Result<(What, Option<File>), Error> {
        let device = Device { major: major(stat.st_rdev), minor: minor(stat.st_rdev) };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::CharacterDevice => EntryKind::CharDevice(device),
            FileType::BlockDevice => EntryKind::BlockDevice(device),
            FileType::Fifo => EntryKind::Fifo,
            FileType::Symlink => {
                let target = readlinkat(parent, name, Vec::new());
                EntryKind::Symlink(target.map_err(|e| self.io("read", path, e))?.into_bytes())
            }
            _ => {
                let file = open::file(parent, name).map_err(|e| self.lost(path, e))?;
                let file = File::from(file);
                let now = fstat(&file).map_err(|e| self.io("read", path, e))?;
                if !compare::same_state(&now, stat) {
                    return Err(Error::Changed(path.clone()));
                }
                let attributes = xattrs::of_file(&file).map_err(|e| self.io("read", path, e))?;
                let metadata = self.metadata(stat, attributes, node);
                return Ok((What::File(metadata, Box::new(*stat)), Some(file)));
            }
        };
        let mut attributes =
            xattrs::all_of_name(parent, name).map_err(|e| self.io("read", path, e))?;
        attributes.retain(|name, _| xattrs::belongs_in_layer(name));
        Ok((What::Special(kind, self.metadata(stat, attributes, node)), None))
    }

    /// What a layer says of a file: where all were given to one owner, what the image said before.
    fn metadata(&self, stat: &Stat, attributes: Xattrs, node: Option<&Node>) -> Metadata {
        let mut metadata = list::metadata(stat, attributes);
        if self.unpacked.owner == Some((stat.st_uid, stat.st_gid)) {
            let owner = node.map_or((0, 0), |node| (node.metadata.uid, node.metadata.gid));
            (metadata.uid, metadata.gid) = owner;
        }
        let Some(node) = node else { return metadata };
        // The kernel takes a capability away when a file is written to.
        let is_written = metadata.mtime != node.metadata.mtime;
        let kept = node.metadata.xattrs.iter().filter(|(name, _)| {
            self.unpacked.lacks_attribute(name)
                && !(is_written && name.as_slice() == b"security.capability")
        });
        metadata.xattrs.extend(kept.map(|(name, value)| (name.clone(), value.clone())));
        metadata
    }

    fn join(&self, path: &LayerPath, name: &[u8]) -> Result<LayerPath, Error> {
        path.join(name).map_err(|source| Error::Name {
            path: list::on_disk(self.directory, path, name),
            source,
        })
    }

    /// What was there a moment ago.
    fn lost(&self, path: &LayerPath, error: Errno) -> Error {
        match open::is_change(error) {
            true => Error::Changed(path.clone()),
            false => self.io("open", path, error),
        }
    }

    fn io(&self, verb: &'static str, path: &LayerPath, error: impl Into<std::io::Error>) -> Error {
        Error::io(verb, &list::on_disk(self.directory, path, b""))(error)
    }
}
