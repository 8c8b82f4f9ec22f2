//! An overlay's upper directory as a changeset.
//!
//! The upper directory holds what changed, in overlayfs's own signs (overlayfs.rst): a character
//! device 0/0 for a name that is gone, `trusted.overlay.opaque` on a directory that hides what is
//! below it; in a user namespace `user.overlay.opaque`, and what fuse-overlayfs has in their place. A layer
//! has signs of its own (OCI image-spec, layer.md); the rest is the same.
//!
//! What an entry is compared with is the lower tree: a file that was copied up without a change is no
//! change, and neither is a directory of which only the time differs, as in containerd's differ.
//! The parents of a change stand in the layer, as other builders write them.
//!
//! Nothing may write to the upper directory meanwhile: unmount it, or stop what runs in it. A file
//! that changes under the reader is noticed where its size or a time tells.

mod compare;
mod content;
mod directory;
mod list;
mod scan;

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Stat, fstat};
use rustix::io::Errno;
use tree::{Entry, EntryKind, LayerPath, LayerSink, LayerWriter, Metadata, NodeId, Tree};

use crate::open::{self, DIRECTORY};
use crate::{Error, LayerTar, xattrs};
use compare::Comparison;
use list::{Child, Kind, Opaque};

pub use directory::capture_directory;

/// What the upper directory was mounted over.
#[derive(Clone, Copy, Debug)]
pub struct Lower<'a> {
    /// The fold of all layers below.
    pub tree: &'a Tree,
    /// Their tars; layer n of the tree is `layers[n]`.
    pub layers: &'a [LayerTar],
}

/// Writes what `upper` changes over `lower` to `out`, sorted by path.
///
/// The paths in `exclude`, with all below them, are left out: what a runtime makes for its own
/// mounts. A directory that is new and holds nothing else goes with them. Sockets are left out too,
/// since no layer can hold them.
///
/// # Errors
/// What the disk says, a name that no layer can hold, a file that changes meanwhile, or what the
/// writer says. The layer is then unfinished.
pub fn capture<W: LayerSink>(
    upper: &Path,
    lower: &Lower<'_>,
    out: &mut LayerWriter<W>,
    exclude: &[LayerPath],
) -> Result<(), Error> {
    let capture = Capture {
        upper,
        root: open::directory(upper)?,
        lower,
        out,
        exclude,
        stack: Vec::new(),
        names: HashMap::new(),
        by_fuse: false,
    };
    capture.run()
}

struct Capture<'a, W: LayerSink> {
    upper: &'a Path,
    root: OwnedFd,
    lower: &'a Lower<'a>,
    out: &'a mut LayerWriter<W>,
    exclude: &'a [LayerPath],
    /// The directories from the root to the one that is being read.
    stack: Vec<Directory>,
    /// The first name of each inode that has several.
    names: HashMap<u64, LayerPath>,
    /// Whether fuse-overlayfs wrote it.
    by_fuse: bool,
}

/// A directory that is being read.
struct Directory {
    path: LayerPath,
    metadata: Metadata,
    /// The lower directory that it merges with.
    lower: Option<NodeId>,
    /// Whether it hides names of the lower one.
    hides: bool,
    /// Whether it belongs in the layer even if nothing in it does.
    changed: bool,
    written: bool,
    has_excluded: bool,
    children: std::vec::IntoIter<Child>,
}

impl<W: LayerSink> Capture<'_, W> {
    fn run(mut self) -> Result<(), Error> {
        let root = LayerPath::root();
        if self.exclude.contains(&root) {
            return Ok(());
        }
        self.enter(root, Some(self.lower.tree.root()))?;
        while let Some(directory) = self.stack.last_mut() {
            match directory.children.next() {
                Some(child) => self.child(child)?,
                None => self.leave()?,
            }
        }
        Ok(())
    }

    /// Reads a directory and goes into it. `below` is what the lower tree has at its path.
    fn enter(&mut self, path: LayerPath, below: Option<NodeId>) -> Result<(), Error> {
        let open = open::below(&self.root, &path, DIRECTORY);
        let open = open.map_err(|error| self.lost(&path, error))?;
        let read = |error| self.io("read", &path)(error);
        let stat = fstat(&open).map_err(read)?;
        let mut attributes = xattrs::all_of_file(&open).map_err(|e| self.io("read", &path)(e))?;
        let mut opaque = Opaque::of(&attributes);
        let mut children = list::children(&open, opaque).map_err(|e| self.io("read", &path)(e))?;
        self.by_fuse |= path.is_root() && attributes.contains_key(xattrs::MADE_BY_FUSE.as_bytes());
        if self.by_fuse {
            let named;
            (children, named) = list::without_named_signs(children);
            opaque = if named { Opaque::Yes } else { opaque };
        }
        attributes.retain(|name, _| xattrs::belongs_in_layer(name));
        let metadata = list::metadata(&stat, attributes);

        let tree = self.lower.tree;
        let below = below.filter(|&id| tree.node(id).is_directory());
        let names = below.and_then(|id| tree.node(id).names());
        self.stack.push(Directory {
            path,
            hides: opaque == Opaque::Yes && names.is_some_and(|names| !names.is_empty()),
            changed: below
                .is_none_or(|id| !compare::same_directory(&metadata, &tree.node(id).metadata)),
            lower: below,
            metadata,
            written: false,
            has_excluded: false,
            children: children.into_iter(),
        });
        Ok(())
    }

    /// Comes out of a directory: writes its entry if it has not come along with one inside.
    fn leave(&mut self) -> Result<(), Error> {
        let Some(directory) = self.stack.last() else { return Ok(()) };
        let only_excluded =
            directory.lower.is_none() && directory.has_excluded && !directory.written;
        if directory.hides || directory.changed && !only_excluded {
            self.write_directories()?;
        }
        self.stack.pop();
        // Made on the way to what is excluded, it is as little part of its own directory.
        match self.stack.last_mut() {
            Some(parent) if only_excluded => parent.has_excluded = true,
            _ => {}
        }
        Ok(())
    }

    fn child(&mut self, child: Child) -> Result<(), Error> {
        let Some(directory) = self.stack.last_mut() else { return Ok(()) };
        let path = directory.path.join(&child.name).map_err(|source| Error::Name {
            path: list::on_disk(self.upper, &directory.path, &child.name),
            source,
        })?;
        if self.exclude.contains(&path) {
            directory.has_excluded = true;
            return Ok(());
        }
        let visible = directory.lower.filter(|_| !directory.hides);
        let names = visible.and_then(|id| self.lower.tree.node(id).names());
        let below = names.and_then(|names| names.get(child.name.as_slice())).copied();
        match child.kind {
            Kind::Socket => Ok(()),
            Kind::Directory => self.enter(path, below),
            Kind::Whiteout => self.whiteout(path, below),
            Kind::File => self.file(path, &child.stat, below),
            Kind::Special(kind, attributes) => {
                let metadata = list::metadata(&child.stat, attributes);
                self.special(Entry { path, kind, metadata }, &child.stat, below)
            }
        }
    }

    /// A name that is gone; no change where there was none.
    fn whiteout(&mut self, path: LayerPath, below: Option<NodeId>) -> Result<(), Error> {
        match below {
            Some(_) => {
                let metadata = Metadata::default();
                self.append(&Entry { path, kind: EntryKind::Whiteout, metadata })
            }
            None => Ok(()),
        }
    }

    fn special(&mut self, entry: Entry, stat: &Stat, below: Option<NodeId>) -> Result<(), Error> {
        if self.hard_link(&entry.path, &entry.metadata, stat)? {
            return Ok(());
        }
        let node = below.map(|id| self.lower.tree.node(id));
        match stat.st_nlink == 1 && node.is_some_and(|node| compare::same_special(&entry, node)) {
            true => Ok(()),
            false => self.append(&entry),
        }
    }

    fn file(&mut self, path: LayerPath, stat: &Stat, below: Option<NodeId>) -> Result<(), Error> {
        let file =
            open::file(&self.root, path.as_bytes()).map_err(|error| self.lost(&path, error))?;
        let file = File::from(file);
        let before = fstat(&file).map_err(|e| self.io("read", &path)(e))?;
        if !compare::same_state(&before, stat) {
            return Err(Error::Changed(path));
        }
        let attributes = xattrs::of_file(&file).map_err(|e| self.io("read", &path)(e))?;
        let metadata = list::metadata(stat, attributes);
        if self.hard_link(&path, &metadata, stat)? {
            return Ok(());
        }
        // A file with several names has been linked in the container, which is a change.
        if stat.st_nlink == 1 && self.is_unchanged(&file, &metadata, stat, below)? {
            return Ok(());
        }
        self.write_directories()?;
        let on_disk = list::on_disk(self.upper, &path, b"");
        let failed = |verb, error| Error::io(verb, &on_disk)(error);
        content::append(self.out, &path, &metadata, &file, &before, failed)
    }

    fn is_unchanged(
        &self,
        file: &File,
        metadata: &Metadata,
        stat: &Stat,
        below: Option<NodeId>,
    ) -> Result<bool, Error> {
        let Some(id) = below else { return Ok(false) };
        let node = self.lower.tree.node(id);
        Comparison { layers: self.lower.layers, node }.same_file(
            file,
            metadata,
            stat.st_size as u64,
        )
    }

    /// Writes one more name of an inode, if it has one in the layer already.
    fn hard_link(
        &mut self,
        path: &LayerPath,
        metadata: &Metadata,
        stat: &Stat,
    ) -> Result<bool, Error> {
        if stat.st_nlink == 1 {
            return Ok(false);
        }
        let Some(first) = self.names.get(&stat.st_ino) else {
            self.names.insert(stat.st_ino, path.clone());
            return Ok(false);
        };
        let kind = EntryKind::HardLink(first.clone());
        self.append(&Entry { path: path.clone(), kind, metadata: metadata.clone() })?;
        Ok(true)
    }

    fn append(&mut self, entry: &Entry) -> Result<(), Error> {
        self.write_directories()?;
        Ok(self.out.append(entry)?)
    }

    /// Writes the entries of the open directories that have none yet.
    fn write_directories(&mut self) -> Result<(), Error> {
        for directory in &mut self.stack {
            if std::mem::replace(&mut directory.written, true) {
                continue;
            }
            let (path, metadata) = (directory.path.clone(), directory.metadata.clone());
            // The root is no change of its own accord: a layer need not have it.
            if directory.changed || !path.is_root() {
                let kind = EntryKind::Directory;
                self.out.append(&Entry { path: path.clone(), kind, metadata })?;
            }
            if directory.hides {
                let metadata = Metadata::default();
                self.out.append(&Entry { path, kind: EntryKind::Opaque, metadata })?;
            }
        }
        Ok(())
    }

    /// What was there a moment ago and cannot be opened.
    fn lost(&self, path: &LayerPath, error: Errno) -> Error {
        match open::is_change(error) {
            true => Error::Changed(path.clone()),
            false => self.io("open", path)(error),
        }
    }

    fn io<E: Into<std::io::Error>>(
        &self,
        verb: &'static str,
        path: &LayerPath,
    ) -> impl FnOnce(E) -> Error + use<E, W> {
        Error::io(verb, &list::on_disk(self.upper, path, b""))
    }
}
