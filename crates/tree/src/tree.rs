//! The tree that layers fold into: an arena of nodes, and the ways through it.

use std::collections::{BTreeMap, btree_map};

use crate::{Device, EntryKind, FileContent, LayerPath, Metadata, Timestamp};

/// The most nodes that a tree may have. Far above any real image, and low enough that layers made to
/// exhaust memory are refused first.
pub const MAX_NODES: usize = 8 << 20;

/// A node of one [`Tree`]. It means nothing in another tree, nor after that tree was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// The node's slot, below [`Tree::slots`]: an index for tables beside the tree.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The names in a directory, sorted by their bytes.
pub type Names = BTreeMap<Box<[u8]>, NodeId>;

/// One file of a tree, under however many names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Mode, owner, time, extended attributes.
    pub metadata: Metadata,
    /// What it is.
    pub kind: NodeKind,
    /// How many names lead to it: more than one only for what is not a directory.
    pub links: u32,
}

/// What a [`Node`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory with its names.
    Directory(Names),
    /// A regular file.
    File {
        /// The layer whose tar has the bytes, as it was numbered when it was folded in.
        layer: u32,
        /// Where in that tar.
        content: FileContent,
    },
    /// A symbolic link with its target.
    Symlink(Vec<u8>),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
}

/// A root file system: metadata, and for each file the place of its bytes in a layer's tar.
///
/// Nodes lie in an arena, so that hard links share a node and a deep tree is dropped without
/// recursion. No path in a tree is longer than [`MAX_PATH`](crate::MAX_PATH).
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    free: Vec<NodeId>,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// A tree of a root directory alone: mode 0755, owned by root, as old as the epoch.
    pub fn new() -> Self {
        Self { nodes: vec![Node::directory(Metadata::implicit_directory())], free: Vec::new() }
    }

    /// The root directory.
    pub fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// The node behind `id`.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Gives all files this time of modification.
    pub fn set_times(&mut self, time: Timestamp) {
        self.nodes.iter_mut().for_each(|node| node.metadata.mtime = time);
    }

    /// How many nodes there are, the root included; a file with several names counts once.
    pub fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.len() == 1
    }

    /// One more than the highest [`NodeId::index`].
    pub fn slots(&self) -> usize {
        self.nodes.len()
    }

    /// The node at `path`, if there is one. No symbolic link is followed.
    pub fn lookup(&self, path: &LayerPath) -> Option<NodeId> {
        self.descend(path.components())
    }

    /// All paths of the tree with their nodes, sorted: a directory comes right before what it holds.
    /// The first is the root. A node with several names comes under each.
    pub fn walk(&self) -> Walk<'_> {
        self.walk_from(self.root())
    }

    /// `top` (with the empty path) and all that is below it, with paths relative to it, as in
    /// [`Tree::walk`].
    pub fn walk_from(&self, top: NodeId) -> Walk<'_> {
        Walk { tree: self, top: Some(top), open: Vec::new() }
    }

    pub(crate) fn descend<'a>(&self, names: impl Iterator<Item = &'a [u8]>) -> Option<NodeId> {
        let mut node = self.root();
        for name in names {
            node = *self.node(node).names()?.get(name)?;
        }
        Some(node)
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }

    /// Puts a new node, with no name yet, into the arena; `None` when the tree is full.
    pub(crate) fn add(&mut self, node: Node) -> Option<NodeId> {
        if let Some(id) = self.free.pop() {
            *self.node_mut(id) = node;
            return Some(id);
        }
        if self.nodes.len() >= MAX_NODES {
            return None;
        }
        let id = NodeId(u32::try_from(self.nodes.len()).ok()?);
        self.nodes.push(node);
        Some(id)
    }

    /// Takes away one name of each of `ids`, and what then has no name left, with all below it.
    pub(crate) fn release(&mut self, mut ids: Vec<NodeId>) {
        while let Some(id) = ids.pop() {
            let node = self.node_mut(id);
            node.links -= 1;
            if node.links == 0 {
                if let NodeKind::Directory(names) =
                    std::mem::replace(&mut node.kind, NodeKind::Fifo)
                {
                    ids.extend(names.into_values());
                }
                node.metadata = Metadata::default();
                self.free.push(id);
            }
        }
    }
}

impl Node {
    pub(crate) fn directory(metadata: Metadata) -> Self {
        Self { metadata, kind: NodeKind::Directory(Names::new()), links: 1 }
    }

    /// The names in this directory, or `None` where it is something else.
    pub fn names(&self) -> Option<&Names> {
        match &self.kind {
            NodeKind::Directory(names) => Some(names),
            _ => None,
        }
    }

    /// The kind of an entry that makes a node like this; for a file its content is where it is.
    pub fn entry_kind(&self) -> EntryKind {
        match &self.kind {
            NodeKind::Directory(_) => EntryKind::Directory,
            NodeKind::File { content, .. } => EntryKind::File(content.clone()),
            NodeKind::Symlink(target) => EntryKind::Symlink(target.clone()),
            NodeKind::CharDevice(device) => EntryKind::CharDevice(*device),
            NodeKind::BlockDevice(device) => EntryKind::BlockDevice(*device),
            NodeKind::Fifo => EntryKind::Fifo,
        }
    }

    /// Whether this is a directory.
    pub fn is_directory(&self) -> bool {
        self.names().is_some()
    }
}

type NamesIter<'t> = btree_map::Iter<'t, Box<[u8]>, NodeId>;

/// The iterator of [`Tree::walk`].
#[derive(Debug)]
pub struct Walk<'t> {
    tree: &'t Tree,
    top: Option<NodeId>,
    /// The directories on the way, with what is left of each.
    open: Vec<(LayerPath, NamesIter<'t>)>,
}

impl Walk<'_> {
    fn enter(&mut self, path: &LayerPath, id: NodeId) {
        if let Some(names) = self.tree.node(id).names()
            && !names.is_empty()
        {
            self.open.push((path.clone(), names.iter()));
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = (LayerPath, NodeId);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(top) = self.top.take() {
            self.enter(&LayerPath::root(), top);
            return Some((LayerPath::root(), top));
        }
        loop {
            let (directory, names) = self.open.last_mut()?;
            let Some((name, &id)) = names.next() else {
                self.open.pop();
                continue;
            };
            let path = directory.with_name(name);
            self.enter(&path, id);
            return Some((path, id));
        }
    }
}
