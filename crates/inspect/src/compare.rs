//! What differs between two trees, and in which respect.

use std::sync::{Mutex, PoisonError};

use tree::{ChangeKind, FileContent, LayerPath, Node, NodeId, NodeKind, Tree};

use crate::content::Pair;
use crate::{Error, Layers};

/// A tree, and the layers that have its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The layers that it was folded of.
    pub layers: &'a Layers,
    /// The tree.
    pub tree: &'a Tree,
}

/// A path at which two trees differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The path.
    pub path: LayerPath,
    /// What happened there.
    pub kind: ChangeKind,
    /// In which respects; none where only one tree has the path.
    pub aspects: Vec<Aspect>,
    /// The older tree's node.
    pub old: Option<NodeId>,
    /// The newer tree's node.
    pub new: Option<NodeId>,
}

/// A respect in which two files differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aspect {
    /// One is a file, say, and the other a directory.
    Kind,
    /// A file's bytes, a link's target, a device's numbers.
    Content,
    /// Permission bits.
    Mode,
    /// User or group.
    Owner,
    /// Time of the last change.
    Time,
    /// Extended attributes.
    Xattrs,
    /// Names that lead to the same file.
    Links,
}

/// Compares two trees. Files have the same content where their bytes are the same, wherever they come
/// from; those are read only where the trees take them from different layers. Differences in nothing but
/// time are left out where `times` is not asked for.
///
/// # Errors
/// A layer's tar cannot be read.
pub fn compare(old: Side<'_>, new: Side<'_>, times: bool) -> Result<Vec<Difference>, Error> {
    let failure = Mutex::new(None);
    let start =
        || Comparison { old, new, pair: Pair::new(old.layers, new.layers), failure: &failure };
    let changes = old.tree.diff_by(new.tree, || {
        let mut comparison = start();
        move |old, new| comparison.is_same(old, new)
    });
    let mut comparison = start();
    let mut differences = Vec::new();
    for change in changes {
        let difference = comparison.difference(change.path, change.kind);
        let only_time = difference.aspects == [Aspect::Time];
        if times || !only_time {
            differences.push(difference);
        }
    }
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(differences),
    }
}

struct Comparison<'a> {
    old: Side<'a>,
    new: Side<'a>,
    pair: Pair<'a>,
    failure: &'a Mutex<Option<Error>>,
}

impl Comparison<'_> {
    fn is_same(&mut self, a: (u32, &FileContent), b: (u32, &FileContent)) -> bool {
        let layer = |side: &Side<'_>, index: u32| side.layers.all()[index as usize].diff_id;
        if layer(&self.old, a.0) == layer(&self.new, b.0) && a.1 == b.1 {
            return true;
        }
        self.pair.same(a, b).unwrap_or_else(|error| {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert(error);
            false
        })
    }

    fn difference(&mut self, path: LayerPath, kind: ChangeKind) -> Difference {
        let (old, new) = (self.old.tree.lookup(&path), self.new.tree.lookup(&path));
        let aspects = match (old, new) {
            (Some(old), Some(new)) => {
                self.aspects(self.old.tree.node(old), self.new.tree.node(new))
            }
            _ => Vec::new(),
        };
        Difference { path, kind, aspects, old, new }
    }

    fn aspects(&mut self, old: &Node, new: &Node) -> Vec<Aspect> {
        let (from, to) = (&old.metadata, &new.metadata);
        let mut aspects = Vec::new();
        let mut note = |aspect, differs: bool| aspects.extend(differs.then_some(aspect));
        let alike = std::mem::discriminant(&old.kind) == std::mem::discriminant(&new.kind);
        note(Aspect::Kind, !alike);
        note(Aspect::Content, alike && !self.same_content(&old.kind, &new.kind));
        note(Aspect::Mode, from.mode != to.mode);
        note(Aspect::Owner, (from.uid, from.gid) != (to.uid, to.gid));
        note(Aspect::Time, from.mtime != to.mtime);
        note(Aspect::Xattrs, from.xattrs != to.xattrs);
        if aspects.is_empty() {
            aspects.push(Aspect::Links);
        }
        aspects
    }

    fn same_content(&mut self, old: &NodeKind, new: &NodeKind) -> bool {
        match (old, new) {
            (NodeKind::Directory(_), NodeKind::Directory(_)) => true,
            (
                NodeKind::File { layer: old_layer, content: old },
                NodeKind::File { layer: new_layer, content: new },
            ) => self.is_same((*old_layer, old), (*new_layer, new)),
            (old, new) => old == new,
        }
    }
}
