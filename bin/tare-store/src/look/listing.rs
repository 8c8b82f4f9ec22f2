//! The files of an image, or what one layer did to them, as rows that hang on each other as a tree.

use std::collections::HashSet;

use tree::{ChangeKind, LayerPath, NodeId, Tree};

use super::Opened;
use super::shown::file_size;

/// Rows in the order of their paths, a directory before what it holds.
#[derive(Debug)]
pub(crate) struct Listing {
    /// What was there before the layer, and is shown where it is gone.
    pub(crate) before: Tree,
    /// What is there.
    pub(crate) tree: Tree,
    /// The rows.
    pub(crate) rows: Vec<Row>,
}

/// One path.
#[derive(Debug)]
pub(crate) struct Row {
    /// The path.
    pub(crate) path: LayerPath,
    /// What the layer did to it; `None` where it left it alone.
    pub(crate) change: Option<ChangeKind>,
    /// The node: of [`Listing::before`] where the path is gone.
    pub(crate) node: NodeId,
    /// Bytes: of a file its size, of a directory the sum of the rows in it.
    pub(crate) size: u64,
    /// How many rows are below it.
    pub(crate) below: usize,
}

impl Listing {
    /// All files of a tree.
    pub(crate) fn of(tree: Tree) -> Self {
        let row = |(path, node)| Row { path, change: None, node, size: 0, below: 0 };
        let rows = tree.walk().map(row).collect();
        Self { before: Tree::new(), tree, rows }.summed()
    }

    /// All files that there are with the layer, and those that it took away, each with what it did.
    pub(crate) fn of_step(opened: &Opened, layer: usize) -> Result<Self, inspect::Error> {
        let step = opened.layers.step(layer)?;
        Ok(Self::between(step.before, step.after, step.changes))
    }

    /// As [`Listing::of_step`], for any two trees.
    pub(crate) fn between(before: Tree, tree: Tree, changes: Vec<tree::Change>) -> Self {
        let mut rows = Vec::new();
        let mut changes = changes.into_iter().peekable();
        let mut gone = |before_path: Option<&LayerPath>, rows: &mut Vec<Row>| {
            // Changes are sorted as the walk is: what comes before this path is not in the newer tree.
            while let Some(change) =
                changes.next_if(|it| before_path.is_none_or(|to| it.path < *to))
            {
                removed(&before, &change.path, rows);
            }
            let same = changes.next_if(|it| before_path == Some(&it.path));
            same.map(|change| change.kind)
        };
        for (path, node) in tree.walk() {
            let change = gone(Some(&path), &mut rows);
            rows.push(Row { path, change, node, size: 0, below: 0 });
        }
        gone(None, &mut rows);
        Self { before, tree, rows }.summed()
    }

    /// Only the rows that the layer changed, and the directories that they are in.
    pub(crate) fn only_changed(mut self) -> Self {
        let mut wanted = HashSet::new();
        for row in self.rows.iter().filter(|row| row.change.is_some()) {
            let mut path = Some(row.path.clone());
            while let Some(one) = path {
                path = one.parent();
                if !wanted.insert(one) {
                    break;
                }
            }
        }
        self.rows.retain(|row| wanted.contains(&row.path));
        for row in &mut self.rows {
            // What the layer carries, not what was there.
            row.size = 0;
        }
        self.summed_where(|row| row.change.is_some())
    }

    /// Only `top` and what is below it.
    pub(crate) fn below(mut self, top: &LayerPath) -> Self {
        self.rows.retain(|row| row.path.starts_with(top));
        self
    }

    /// The node of a row.
    pub(crate) fn node(&self, row: &Row) -> &tree::Node {
        match row.change {
            Some(ChangeKind::Removed) => self.before.node(row.node),
            _ => self.tree.node(row.node),
        }
    }

    fn summed(self) -> Self {
        self.summed_where(|_| true)
    }

    /// Adds up sizes and numbers from the leaves to the root. Files that are gone count in no directory,
    /// and one with several names counts once.
    fn summed_where(mut self, counted: impl Fn(&Row) -> bool) -> Self {
        let mut seen = HashSet::new();
        let mut sums: Vec<(usize, u64, usize)> = Vec::new(); // depth, bytes, rows: of what is below
        for index in (0..self.rows.len()).rev() {
            let row = &self.rows[index];
            let depth = row.path.components().count();
            let node = self.node(row);
            let own = file_size(node).filter(|_| counted(row)).unwrap_or(0);
            let is_gone = row.change == Some(ChangeKind::Removed);
            let is_further_name = node.links > 1 && !node.is_directory() && !seen.insert(row.node);
            let (mut bytes, mut below) = (0u64, 0);
            while let Some((_, size, rows)) = sums.pop_if(|(of, ..)| *of > depth) {
                bytes = bytes.saturating_add(size);
                below += rows;
            }
            let counts = if is_gone || is_further_name { 0 } else { own };
            sums.push((depth, bytes.saturating_add(counts), below + 1));
            let row = &mut self.rows[index];
            row.size = bytes.saturating_add(own);
            row.below = below;
        }
        self
    }
}

/// A path that is gone, with all that was below it.
fn removed(before: &Tree, top: &LayerPath, rows: &mut Vec<Row>) {
    let Some(id) = before.lookup(top) else { return };
    for (path, node) in before.walk_from(id) {
        let Ok(path) = top.join(path.as_bytes()) else { continue };
        let change = Some(ChangeKind::Removed);
        rows.push(Row { path, change, node, size: 0, below: 0 });
    }
}
