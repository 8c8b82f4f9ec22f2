//! What holds for all layers and trees.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::{HashMap, HashSet};

use proptest::collection::vec;
use proptest::prelude::*;
use support::{entries, members, related_trees, trees, view, write};
use tree::{ChangeKind, Changeset, Entry, EntryKind, LayerPath, Metadata, NodeId, Tree};

/// Tries `bytes` in all ways that take bytes from outside; only panics count.
fn survives(bytes: &[u8]) {
    if let Ok(changeset) = Changeset::read_tar(bytes) {
        assert_eq!(Changeset::decode(&changeset.encode()).unwrap(), changeset);
        folds(&changeset);
    }
    if let Ok(changeset) = Changeset::decode(bytes) {
        folds(&changeset);
    }
}

fn folds(changeset: &Changeset) {
    if let Ok(tree) = Tree::fold([changeset, changeset]) {
        view(&tree);
        assert!(tree.diff(&tree).is_empty());
    }
}

/// Gives the header block that `at` is in a right checksum.
fn fix_checksum(tar: &mut [u8], at: usize) {
    let start = at / 512 * 512;
    let block = &mut tar[start..start + 512];
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// The entries that make `new` of `old`, as the differences say.
fn changeset_between(old: &Tree, new: &Tree) -> Changeset {
    let changes = old.diff(new);
    let changed: HashSet<&LayerPath> = changes.iter().map(|change| &change.path).collect();
    // A name that stays can be the target of new ones.
    let mut anchors: HashMap<NodeId, LayerPath> = HashMap::new();
    for (path, id) in new.walk().filter(|(path, _)| !changed.contains(path)) {
        anchors.entry(id).or_insert(path);
    }
    let entry = |change: &tree::Change| {
        let path = change.path.clone();
        if change.kind == ChangeKind::Removed {
            return Entry { path, kind: EntryKind::Whiteout, metadata: Metadata::default() };
        }
        let id = new.lookup(&path).unwrap();
        let node = new.node(id);
        let kind = match anchors.get(&id) {
            Some(anchor) if !node.is_directory() => EntryKind::HardLink(anchor.clone()),
            _ => node.entry_kind(),
        };
        anchors.entry(id).or_insert_with(|| path.clone());
        Entry { path, kind, metadata: node.metadata.clone() }
    };
    changes.iter().map(entry).collect::<Vec<_>>().into()
}

proptest! {
    #[test]
    fn what_is_written_is_read(members in vec(members(), 0..12)) {
        let (tar, changeset) = write(&members).unwrap();
        prop_assert_eq!(tar.len() % 512, 0);
        prop_assert_eq!(Changeset::read_tar(&tar[..]).unwrap(), changeset);
    }

    #[test]
    fn the_same_is_written_again(members in vec(members(), 0..5)) {
        prop_assert_eq!(write(&members).unwrap().0, write(&members).unwrap().0);
    }

    #[test]
    fn a_table_of_contents_keeps_all(members in vec(members(), 0..12)) {
        let (_, changeset) = write(&members).unwrap();
        prop_assert_eq!(Changeset::decode(&changeset.encode()).unwrap(), changeset);
    }

    #[test]
    fn a_difference_leads_from_one_tree_to_the_other((old, new) in related_trees()) {
        let changeset = changeset_between(&old, &new);
        let mut made = old.clone();
        made.apply(1, &changeset).unwrap();
        prop_assert_eq!(view(&made), view(&new));
        prop_assert_eq!(made.len(), new.len());
        prop_assert!(new.diff(&new.clone()).is_empty());
    }

    #[test]
    fn resolving_stays_inside(tree in trees(), path in "[abc./]{0,20}") {
        if let (Ok(id), Ok(canonical)) = (tree.resolve(path.as_bytes()), tree.resolve_path(path.as_bytes())) {
            prop_assert_eq!(tree.lookup(&canonical), Some(id));
        }
    }

    #[test]
    fn any_layers_fold_or_fail(layers in vec(vec(entries(), 0..20), 0..4)) {
        let layers: Vec<Changeset> = layers.into_iter().map(Into::into).collect();
        if let Ok(tree) = Tree::fold(&layers) {
            let nodes: HashSet<_> = view(&tree).into_iter().map(|(.., first)| first).collect();
            prop_assert_eq!(nodes.len(), tree.len());
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..3000)) {
        survives(&bytes);
    }

    #[test]
    fn damaged_tars_are_survived(
        members in vec(members(), 1..5),
        damage in vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (mut tar, _) = write(&members).unwrap();
        for (at, byte, in_type) in damage {
            let at = at.index(tar.len());
            let at = if in_type { at / 512 * 512 + 156 } else { at };
            tar[at] = byte;
            fix_checksum(&mut tar, at);
        }
        tar.truncate(cut.map_or(tar.len(), |cut| cut.index(tar.len())));
        survives(&tar);
    }

    #[test]
    fn damaged_tables_of_contents_are_survived(
        members in vec(members(), 1..5),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (_, changeset) = write(&members).unwrap();
        let mut toc = changeset.encode();
        for (at, byte) in damage {
            let at = at.index(toc.len());
            toc[at] = byte;
        }
        let checksum = crc32fast::hash(&toc[16..]);
        toc[12..16].copy_from_slice(&checksum.to_le_bytes());
        survives(&toc);
    }
}
