//! What later layers make useless of earlier ones, in the numbers that dive made known.
//!
//! A path that several layers have is carried several times, and what a whiteout hides is carried for
//! nothing. Directories count only where a layer has nothing in them.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use crate::{Changeset, EntryKind, FoldError, LayerPath, NodeId, NodeKind, Tree};

/// How well the layers of an image use their bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Waste {
    /// What the paths need at least ÷ what the layers carry for them: from 0, all in vain, to 1.
    pub efficiency: f64,
    /// The paths that more than one layer has or hides, those with the most bytes first.
    pub paths: Vec<WastedPath>,
}

/// A path that more than one layer has or hides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WastedPath {
    /// The path.
    pub path: LayerPath,
    /// How many layers have or hide it.
    pub layers: usize,
    /// What all of them carry for it, in bytes.
    pub bytes: u64,
}

impl Waste {
    /// Compares the layers of an image, lowest first.
    ///
    /// # Errors
    /// The layers do not fold.
    pub fn of<'a>(layers: impl IntoIterator<Item = &'a Changeset>) -> Result<Self, FoldError> {
        let layers: Vec<&Changeset> = layers.into_iter().collect();
        let mut paths = HashMap::new();
        let hiding = layers.iter().rposition(|layer| hides(layer)).unwrap_or(0);
        let mut below = Tree::new();
        for (number, layer) in layers.iter().enumerate() {
            for leaf in leaves(layer) {
                let size = if leaf.hidden { below.directory_size(leaf.path) } else { leaf.size };
                Seen::add(paths.entry(leaf.path), size);
            }
            // Only what a whiteout may hide is folded.
            if number < hiding {
                below.apply(number as u32, layer)?;
            }
        }
        Ok(Self::sum(paths))
    }

    /// What the paths carry together, in bytes: what dive calls wasted.
    pub fn bytes(&self) -> u64 {
        self.paths.iter().map(|path| path.bytes).sum()
    }

    fn sum(seen: HashMap<&LayerPath, Seen>) -> Self {
        let least: u64 = seen.values().map(|seen| seen.least).sum();
        let carried: u64 = seen.values().map(|seen| seen.bytes).sum();
        let several = seen.into_iter().filter(|(_, seen)| seen.layers > 1);
        let mut paths: Vec<_> = several
            .map(|(path, Seen { layers, bytes, .. })| WastedPath {
                path: path.clone(),
                layers,
                bytes,
            })
            .collect();
        paths.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
        let efficiency = if carried == 0 { 1.0 } else { least as f64 / carried as f64 };
        Self { efficiency, paths }
    }
}

/// What is known of a path so far.
struct Seen {
    layers: usize,
    bytes: u64,
    least: u64,
}

impl Seen {
    fn add(slot: Slot<'_, &LayerPath, Self>, size: u64) {
        let seen = slot.or_insert(Self { layers: 0, bytes: 0, least: size });
        seen.layers += 1;
        seen.bytes = seen.bytes.saturating_add(size);
        seen.least = seen.least.min(size);
    }
}

/// A path of a layer that has no other of the layer's below it.
struct Leaf<'a> {
    path: &'a LayerPath,
    size: u64,
    hidden: bool,
}

fn leaves(layer: &Changeset) -> Vec<Leaf<'_>> {
    let mut all: Vec<_> = layer.entries().iter().map(Leaf::of).collect();
    // Sorted, the last of equals is the one that counts, and a directory comes before what it holds.
    all.sort_by(|a, b| a.path.cmp(b.path).then(a.hidden.cmp(&b.hidden)));
    all.reverse();
    all.dedup_by(|later, kept| later.path == kept.path && later.hidden == kept.hidden);
    let mut below: Option<&LayerPath> = None;
    all.retain(|leaf| {
        let is_parent =
            below.is_some_and(|below| below != leaf.path && below.starts_with(leaf.path));
        below = Some(leaf.path);
        leaf.hidden || !is_parent
    });
    all
}

impl<'a> Leaf<'a> {
    fn of(entry: &'a crate::Entry) -> Self {
        let size = match &entry.kind {
            EntryKind::File(content) => content.size,
            _ => 0,
        };
        Self { path: &entry.path, size, hidden: entry.kind == EntryKind::Whiteout }
    }
}

fn hides(layer: &Changeset) -> bool {
    layer.entries().iter().any(|entry| entry.kind == EntryKind::Whiteout)
}

impl Tree {
    /// The bytes of all files in the directory at `path`, each counted once; 0 where there is none.
    fn directory_size(&self, path: &LayerPath) -> u64 {
        match self.lookup(path) {
            Some(id) if self.node(id).is_directory() => self.size_below(id),
            _ => 0,
        }
    }

    /// The apparent sizes of the files at and below `top`, in bytes; a file with several names there
    /// counts once.
    pub fn size_below(&self, top: NodeId) -> u64 {
        let mut linked = std::collections::HashSet::new();
        let mut pending = vec![top];
        let mut sum = 0u64;
        while let Some(id) = pending.pop() {
            let node = self.node(id);
            match &node.kind {
                NodeKind::Directory(names) => pending.extend(names.values()),
                NodeKind::File { content, .. } if node.links == 1 || linked.insert(id) => {
                    sum = sum.saturating_add(content.size);
                }
                _ => {}
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entry, FileContent, Metadata};

    fn entry(path: &str, kind: EntryKind) -> Entry {
        Entry { path: LayerPath::new(path).unwrap(), kind, metadata: Metadata::default() }
    }

    fn layer(entries: &[(&str, i64)]) -> Changeset {
        let entry = |&(path, size): &(&str, i64)| match size {
            -1 => entry(path, EntryKind::Directory),
            -2 => entry(path, EntryKind::Whiteout),
            -3 => entry(path, EntryKind::Opaque),
            size => {
                let size = size as u64;
                entry(path, EntryKind::File(FileContent { size, extents: Vec::new() }))
            }
        };
        entries.iter().map(entry).collect::<Vec<_>>().into()
    }

    const DIR: i64 = -1;
    const GONE: i64 = -2;
    const OPAQUE: i64 = -3;

    fn waste(layers: &[&[(&str, i64)]]) -> (f64, Vec<(String, usize, u64)>) {
        let layers: Vec<_> = layers.iter().map(|entries| layer(entries)).collect();
        let waste = Waste::of(&layers).unwrap();
        let paths = waste.paths.iter();
        (waste.efficiency, paths.map(|it| (it.path.to_string(), it.layers, it.bytes)).collect())
    }

    #[test]
    fn nothing_twice_is_no_waste() {
        assert_eq!(waste(&[]), (1.0, vec![]));
        assert_eq!(waste(&[&[("a", DIR), ("a/b", 5)], &[("a", DIR), ("a/c", 7)]]), (1.0, vec![]));
    }

    #[test]
    fn a_file_that_comes_again_is_carried_twice() {
        let (efficiency, paths) = waste(&[&[("a", 30), ("b", 40)], &[("a", 10)]]);
        assert_eq!(efficiency, 50.0 / 80.0);
        assert_eq!(paths, [("/a".to_owned(), 2, 40)]);
    }

    #[test]
    fn a_file_that_goes_was_carried_for_nothing() {
        let (efficiency, paths) = waste(&[&[("d", DIR), ("d/a", 30), ("b", 10)], &[("d/a", GONE)]]);
        assert_eq!(efficiency, 10.0 / 40.0);
        assert_eq!(paths, [("/d/a".to_owned(), 2, 30)]);
    }

    #[test]
    fn a_directory_that_goes_counts_what_was_in_it() {
        // As dive has it: the directory's own path is one of one layer, so it is not listed.
        let layers: &[&[_]] = &[&[("d", DIR), ("d/a", 30), ("d/b", 10)], &[("d", GONE)]];
        assert_eq!(waste(layers), (1.0, vec![]));
        let again: &[&[_]] = &[layers[0], layers[1], &[("d", 4)]];
        assert_eq!(waste(again), (44.0 / 84.0, vec![("/d".to_owned(), 2, 44)]));
    }

    #[test]
    fn of_one_layer_the_last_entry_counts() {
        let (_, paths) = waste(&[&[("a", 1), ("a", 2)], &[("a", 3), ("a", GONE)]]);
        assert_eq!(paths, [("/a".to_owned(), 3, 5)]);
    }

    #[test]
    fn empty_and_opaque_directories_are_leaves_of_no_size() {
        let (efficiency, paths) =
            waste(&[&[("d", DIR)], &[("d", OPAQUE)], &[("d", DIR), ("d/a", 1)]]);
        assert_eq!((efficiency, paths), (1.0, vec![("/d".to_owned(), 2, 0)]));
    }
}
