//! Layers on top of each other: what is left of all of them (OCI image-spec, layer.md).
//!
//! Where the specification is silent this does what containerd's differ does when it unpacks, so that
//! an image looks the same whether it is unpacked there or never unpacked here.

use crate::path::MAX_PATH;
use crate::resolve::ResolveError;
use crate::tree::MAX_NODES;
use crate::{
    Changeset, Entry, EntryKind, LayerPath, Metadata, Node, NodeId, NodeKind, Timestamp, Tree,
};

/// A layer that cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot apply {path} of layer {layer}")]
pub struct FoldError {
    /// The layer, counted from 0 at the bottom, or as given to [`Tree::apply`].
    pub layer: u32,
    /// The entry's path.
    pub path: LayerPath,
    /// What is wrong with it.
    #[source]
    pub cause: FoldCause,
}

/// What is wrong with an entry that cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FoldCause {
    /// A hard link's target is in no layer up to this entry.
    #[error("the hard link's target {0} does not exist")]
    MissingTarget(LayerPath),
    /// A hard link's target is a directory.
    #[error("the hard link's target {0} is a directory")]
    DirectoryTarget(LayerPath),
    /// A hard link's target has as many names as a file may have.
    #[error("the hard link's target {0} has too many names")]
    TooManyNames(LayerPath),
    /// A parent is a file of the same layer.
    #[error("a parent is not a directory")]
    ParentNotADirectory,
    /// The root is anything but a directory.
    #[error("the root must be a directory")]
    RootNotADirectory,
    /// A parent leads through too many links or to an impossible path.
    #[error("its parent leads nowhere")]
    Parent(#[source] ResolveError),
    /// With its parents' links followed the path is longer than Linux allows.
    #[error("the path is longer than {MAX_PATH} bytes once links are followed")]
    TooLong,
    /// The tree has [`MAX_NODES`] nodes.
    #[error("the tree has more than {MAX_NODES} files")]
    TooManyNodes,
}

impl Metadata {
    /// What a directory gets that a layer uses without an entry for it.
    pub(crate) fn implicit_directory() -> Self {
        Self { mode: 0o755, mtime: Timestamp::default(), ..Self::default() }
    }
}

impl Tree {
    /// The tree that `layers`, lowest first, make together. Files refer to their layer by its place.
    ///
    /// # Errors
    /// An entry of a layer cannot be applied; the error names both.
    pub fn fold<'a>(layers: impl IntoIterator<Item = &'a Changeset>) -> Result<Self, FoldError> {
        let mut tree = Self::new();
        for (layer, changeset) in (0..).zip(layers) {
            tree.apply(layer, changeset)?;
        }
        Ok(tree)
    }

    /// Puts one more layer on top; its files get the number `layer`.
    ///
    /// Whiteouts and opaque markers act on what was there before, wherever in the layer they stand.
    /// Then the entries come in their order. Parents that no layer has are made (0755, root); parents
    /// that are symbolic links are followed inside the root; a parent that is a lower layer's file
    /// makes way for a directory. A directory merges with a directory and takes the entry's metadata,
    /// anything else replaces what has its name. A hard link sets its file's mode, owner and time and
    /// adds its extended attributes, as unpacking it does.
    ///
    /// # Errors
    /// An entry cannot be applied. The tree is then good for nothing.
    pub fn apply(&mut self, layer: u32, changeset: &Changeset) -> Result<(), FoldError> {
        for entry in changeset.entries() {
            match entry.kind {
                EntryKind::Whiteout => self.remove(&entry.path),
                EntryKind::Opaque => self.clear(&entry.path),
                _ => {}
            }
        }
        let mut apply = Apply { tree: self, layer, directory: None };
        for entry in changeset.entries() {
            apply.entry(entry).map_err(|cause| FoldError {
                layer,
                path: entry.path.clone(),
                cause,
            })?;
        }
        Ok(())
    }

    fn remove(&mut self, path: &LayerPath) {
        let Some((parent, name)) = path.split() else { return };
        let Ok(parent) = self.resolve(parent) else { return };
        if let NodeKind::Directory(names) = &mut self.node_mut(parent).kind
            && let Some(gone) = names.remove(name)
        {
            self.release(vec![gone]);
        }
    }

    fn clear(&mut self, path: &LayerPath) {
        let Ok(directory) = self.resolve_no_follow(path.as_bytes()) else { return };
        if let NodeKind::Directory(names) = &mut self.node_mut(directory).kind {
            let gone = std::mem::take(names).into_values().collect();
            self.release(gone);
        }
    }
}

/// One layer on its way into a tree.
struct Apply<'t> {
    tree: &'t mut Tree,
    layer: u32,
    /// The last parent as the layer names it, since neighbours mostly share it, and what is there.
    directory: Option<(Vec<u8>, Parent)>,
}

#[derive(Clone, Copy)]
struct Parent {
    id: NodeId,
    /// The length of its path once links are followed, in bytes.
    length: usize,
}

impl Apply<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<(), FoldCause> {
        if matches!(entry.kind, EntryKind::Whiteout) {
            return Ok(());
        }
        let Some((parent, name)) = entry.path.split() else { return self.root(entry) };
        let Parent { id: parent, length } = self.directory(parent)?;
        if length + 1 + name.len() > MAX_PATH {
            return Err(FoldCause::TooLong);
        }
        match &entry.kind {
            EntryKind::Directory => self.merge(parent, name, Some(&entry.metadata)),
            EntryKind::Opaque => self.merge(parent, name, None),
            EntryKind::HardLink(target) => self.link(parent, name, target, &entry.metadata),
            _ => self.replace(parent, name, self.node_of(entry)),
        }
    }

    fn root(&mut self, entry: &Entry) -> Result<(), FoldCause> {
        match entry.kind {
            EntryKind::Directory => {
                let root = self.tree.root();
                self.tree.node_mut(root).metadata = entry.metadata.clone();
                Ok(())
            }
            EntryKind::Opaque => Ok(()),
            _ => Err(FoldCause::RootNotADirectory),
        }
    }

    fn node_of(&self, entry: &Entry) -> Node {
        let mut metadata = entry.metadata.clone();
        let kind = match &entry.kind {
            EntryKind::File(content) => {
                NodeKind::File { layer: self.layer, content: content.clone() }
            }
            EntryKind::Symlink(target) => {
                metadata.mode = 0o777; // Linux knows no other, so all ways to mount a tree agree.
                NodeKind::Symlink(target.clone())
            }
            EntryKind::CharDevice(device) => NodeKind::CharDevice(*device),
            EntryKind::BlockDevice(device) => NodeKind::BlockDevice(*device),
            EntryKind::Fifo => NodeKind::Fifo,
            EntryKind::Directory
            | EntryKind::HardLink(_)
            | EntryKind::Whiteout
            | EntryKind::Opaque => unreachable!("these make no node of their own"),
        };
        Node { metadata, kind, links: 1 }
    }

    /// The directory at `path`, made where it is missing.
    fn directory(&mut self, path: &[u8]) -> Result<Parent, FoldCause> {
        if let Some((last, parent)) = &self.directory
            && last == path
        {
            return Ok(*parent);
        }
        let names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
        let parent = match self.tree.descend(names) {
            Some(id) if self.tree.node(id).is_directory() => Parent { id, length: path.len() },
            _ => self.make_directories(path)?,
        };
        self.directory = Some((path.to_vec(), parent));
        Ok(parent)
    }

    fn make_directories(&mut self, path: &[u8]) -> Result<Parent, FoldCause> {
        let path = [path, b"/"].concat(); // A trailing slash: what is there must be a directory.
        let mut route = self.tree.route(&path, true).map_err(|error| match error {
            ResolveError::Impossible { .. } => FoldCause::TooLong,
            error => FoldCause::Parent(error),
        })?;
        if route.obstacle() {
            let file = route.nodes.pop().expect("the obstacle is the last node");
            if matches!(self.tree.node(file).kind, NodeKind::File { layer, .. } if layer == self.layer)
            {
                return Err(FoldCause::ParentNotADirectory);
            }
        }
        let mut parent = route.last();
        for name in route.names.iter().skip(route.nodes.len() - 1) {
            self.merge(parent, name, None)?;
            parent = self.child(parent, name).expect("it was just made");
        }
        Ok(Parent { id: parent, length: route.path().as_bytes().len() })
    }

    fn child(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        self.tree.node(parent).names()?.get(name).copied()
    }

    /// Makes a directory, or keeps the one that is there; either takes `metadata`.
    fn merge(
        &mut self,
        parent: NodeId,
        name: &[u8],
        metadata: Option<&Metadata>,
    ) -> Result<(), FoldCause> {
        match self.child(parent, name) {
            Some(id) if self.tree.node(id).is_directory() => {
                if let Some(metadata) = metadata {
                    self.tree.node_mut(id).metadata = metadata.clone();
                }
                Ok(())
            }
            _ => {
                let metadata = metadata.cloned().unwrap_or_else(Metadata::implicit_directory);
                self.replace(parent, name, Node::directory(metadata))
            }
        }
    }

    fn replace(&mut self, parent: NodeId, name: &[u8], node: Node) -> Result<(), FoldCause> {
        let id = self.tree.add(node).ok_or(FoldCause::TooManyNodes)?;
        self.name(parent, name, id);
        Ok(())
    }

    fn link(
        &mut self,
        parent: NodeId,
        name: &[u8],
        target: &LayerPath,
        metadata: &Metadata,
    ) -> Result<(), FoldCause> {
        let missing = |_| FoldCause::MissingTarget(target.clone());
        let id = self.tree.resolve_no_follow(target.as_bytes()).map_err(missing)?;
        let node = self.tree.node_mut(id);
        if node.is_directory() {
            return Err(FoldCause::DirectoryTarget(target.clone()));
        }
        let symlink = matches!(node.kind, NodeKind::Symlink(_));
        node.metadata.update(metadata, symlink);
        if self.child(parent, name) == Some(id) {
            return Ok(());
        }
        let node = self.tree.node_mut(id);
        let links = node.links.checked_add(1);
        node.links = links.ok_or_else(|| FoldCause::TooManyNames(target.clone()))?;
        self.name(parent, name, id);
        Ok(())
    }

    /// Gives `id`, already counted, a name; whatever had it goes.
    fn name(&mut self, parent: NodeId, name: &[u8], id: NodeId) {
        let NodeKind::Directory(names) = &mut self.tree.node_mut(parent).kind else {
            unreachable!("parents are directories")
        };
        if let Some(old) = names.insert(name.into(), id) {
            self.tree.release(vec![old]);
            self.directory = None; // It may have led through what is gone.
        }
    }
}

impl Metadata {
    /// What unpacking a hard link does to its file.
    fn update(&mut self, link: &Self, symlink: bool) {
        if !symlink {
            self.mode = link.mode;
        }
        (self.uid, self.gid, self.mtime) = (link.uid, link.gid, link.mtime);
        self.xattrs.extend(link.xattrs.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}
