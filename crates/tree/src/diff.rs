//! What differs between two trees.

use std::collections::{HashMap, VecDeque};
use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;

use crate::{FileContent, LayerPath, Node, NodeId, NodeKind, Tree};

/// One difference between two trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path.
    pub path: LayerPath,
    /// What happened there.
    pub kind: ChangeKind,
}

/// What happened at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// Only the newer tree has it. What is below an added directory is listed as well.
    Added,
    /// Both have it, and kind, metadata, content or hard links differ. Where a directory became
    /// something else, what was below it is not listed; the reverse is listed as added.
    Modified,
    /// Only the older tree has it. What was below a removed directory is not listed.
    Removed,
}

/// So many directories are worth to be shared out.
const MANY: usize = 64;

impl Tree {
    /// What must change in `self` to become `newer`, sorted by path. Two files have the same content
    /// where they are the same bytes of the same layer, so both trees must number their layers alike.
    pub fn diff(&self, newer: &Tree) -> Vec<Change> {
        self.diff_by(newer, || |old, new| old == new)
    }

    /// As [`Tree::diff`], where what `same` gives tells whether two files, each given with its layer's number
    /// in its own tree, have the same content. Every thread that compares asks for one of its own.
    pub fn diff_by<S>(&self, newer: &Tree, same: impl Fn() -> S + Sync) -> Vec<Change>
    where
        S: FnMut((u32, &FileContent), (u32, &FileContent)) -> bool,
    {
        let start = || Diff { old: self, new: newer, same: same(), found: Found::default() };
        let mut diff = start();
        let mut pending = VecDeque::from([diff.root()]);
        while pending.len() < MANY
            && let Some(directory) = pending.pop_front()
        {
            diff.children(&directory, &mut pending);
        }
        let mut found = diff.found;
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let share = pending.len().div_ceil(threads).max(1);
        thread::scope(|scope| {
            let shares = pending.make_contiguous().chunks(share);
            let compare = |share: &[_]| start().run(share.to_vec().into());
            let threads: Vec<_> = shares.map(|it| scope.spawn(move || compare(it))).collect();
            for thread in threads {
                found.add(thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            }
        });
        found.sorted()
    }
}

/// A directory that both trees may have: its path, and what each has there.
type Common = (LayerPath, NodeId, NodeId);

struct Diff<'t, S> {
    old: &'t Tree,
    new: &'t Tree,
    same: S,
    found: Found,
}

#[derive(Default)]
struct Found {
    changes: Vec<Change>,
    /// Paths that both trees have and that look the same, with a node of several names on a side.
    linked: Vec<Common>,
}

impl<S: FnMut((u32, &FileContent), (u32, &FileContent)) -> bool> Diff<'_, S> {
    fn root(&mut self) -> Common {
        let (old, new) = (self.old.root(), self.new.root());
        self.compare(LayerPath::root, old, new);
        (LayerPath::root(), old, new)
    }

    fn run(mut self, mut pending: VecDeque<Common>) -> Found {
        while let Some(directory) = pending.pop_back() {
            self.children(&directory, &mut pending);
        }
        self.found
    }

    fn push(&mut self, path: LayerPath, kind: ChangeKind) {
        self.found.changes.push(Change { path, kind });
    }

    /// The path is made only where it is told of: most files are the same.
    fn compare(&mut self, path: impl Fn() -> LayerPath, old: NodeId, new: NodeId) {
        let (old_node, new_node) = (self.old.node(old), self.new.node(new));
        if old_node.links > 1 || new_node.links > 1 {
            self.found.linked.push((path(), old, new));
        }
        if old_node.metadata != new_node.metadata || !self.same_kind(old_node, new_node) {
            self.push(path(), ChangeKind::Modified);
        }
    }

    fn same_kind(&mut self, old: &Node, new: &Node) -> bool {
        match (&old.kind, &new.kind) {
            (NodeKind::Directory(_), NodeKind::Directory(_)) => true,
            (
                NodeKind::File { layer: old_layer, content: old },
                NodeKind::File { layer: new_layer, content: new },
            ) => (self.same)((*old_layer, old), (*new_layer, new)),
            (old, new) => old == new,
        }
    }

    fn children(&mut self, (path, old, new): &Common, pending: &mut VecDeque<Common>) {
        let Some(new) = self.new.node(*new).names() else { return };
        // Both are sorted: they are gone through side by side.
        let mut old = self.old.node(*old).names().into_iter().flatten().peekable();
        for (name, &child) in new {
            while let Some((gone, _)) = old.next_if(|(it, _)| *it < name) {
                self.push(path.with_name(gone), ChangeKind::Removed);
            }
            let Some((_, &before)) = old.next_if(|(it, _)| *it == name) else {
                self.added(&path.with_name(name), child);
                continue;
            };
            self.compare(|| path.with_name(name), before, child);
            if self.new.node(child).is_directory() {
                pending.push_back((path.with_name(name), before, child));
            }
        }
        for (gone, _) in old {
            self.push(path.with_name(gone), ChangeKind::Removed);
        }
    }

    fn added(&mut self, top: &LayerPath, id: NodeId) {
        for (path, _) in self.new.walk_from(id) {
            let path = LayerPath::from_names(top.components().chain(path.components()));
            self.push(path, ChangeKind::Added);
        }
    }
}

impl Found {
    fn add(&mut self, more: Self) {
        self.changes.extend(more.changes);
        self.linked.extend(more.linked);
    }

    fn sorted(mut self) -> Vec<Change> {
        self.links();
        self.changes.sort_by(|a, b| a.path.cmp(&b.path));
        self.changes.dedup_by(|a, b| a.path == b.path);
        self.changes
    }

    /// Finds names that were one file and are no longer, or the reverse. Groups of names are compared
    /// by their first name that both trees have, so a name that comes or goes changes no other.
    fn links(&mut self) {
        self.linked.sort_by(|a, b| a.0.cmp(&b.0));
        let (mut old_first, mut new_first) = (HashMap::new(), HashMap::new());
        for index in 0..self.linked.len() {
            let (path, old, new) = self.linked[index].clone();
            let old = *old_first.entry(old).or_insert(index);
            let new = *new_first.entry(new).or_insert(index);
            if old != new {
                self.changes.push(Change { path, kind: ChangeKind::Modified });
            }
        }
    }
}
