//! Random layers, folded, indexed and mounted: the mount shows the tree. Needs root.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use support::{Mounted, path};
use tree::{
    Changeset, Device, Entry, EntryKind, LayerPath, LayerWriter, Metadata, Timestamp, Tree,
};

fn paths() -> impl Strategy<Value = LayerPath> {
    let name = prop_oneof![
        6 => "[a-d]".prop_map(String::into_bytes),
        2 => vec(0x80..=0xff_u8, 1..20),
        1 => "[!-.][a-z]{0,3}".prop_map(|name| format!("{name}_").into_bytes()),
        1 => "[e-h]{255}".prop_map(String::into_bytes),
    ];
    vec(name, 1..4).prop_map(|names| path(names.join(&b'/')))
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let name = "(trusted|security)\\.[a-z]{1,100}".prop_map(String::into_bytes);
    let value = prop_oneof![4 => vec(any::<u8>(), 0..100), 1 => vec(any::<u8>(), 400..1500)];
    let xattrs = prop_oneof![
        3 => Just(Default::default()).boxed(),
        1 => btree_map(name, value, 1..4).boxed(),
    ];
    let time = (any::<i32>(), prop_oneof![Just(0), 0..1_000_000_000_u32]);
    (0..=0o7777_u16, any::<u32>(), 0..u32::MAX, time, xattrs).prop_map(
        |(mode, uid, gid, (seconds, nanoseconds), xattrs)| Metadata {
            mode,
            uid: uid % (u32::MAX - 1), // All ones is no owner.
            gid,
            mtime: Timestamp { seconds: seconds.into(), nanoseconds },
            xattrs,
        },
    )
}

fn kinds() -> impl Strategy<Value = EntryKind> {
    let device =
        (0..=4095_u32, 0..=0xf_ffff_u32).prop_map(|(major, minor)| Device { major, minor });
    prop_oneof![
        6 => Just(EntryKind::File(Default::default())),
        4 => Just(EntryKind::Directory),
        2 => vec(1..=255_u8, 1..700).prop_map(EntryKind::Symlink),
        2 => paths().prop_map(EntryKind::HardLink),
        1 => device.clone().prop_map(EntryKind::CharDevice),
        1 => device.prop_map(EntryKind::BlockDevice),
        1 => Just(EntryKind::Fifo),
        1 => Just(EntryKind::Whiteout),
        1 => Just(EntryKind::Opaque),
    ]
}

/// An entry, and how many bytes it has if it is a file.
fn seeds() -> impl Strategy<Value = (Entry, u16)> {
    let entry = (paths(), kinds(), metadata()).prop_map(|(path, kind, metadata)| Entry {
        path,
        kind,
        metadata,
    });
    (entry, prop_oneof![0..2000_u16, any::<u16>()])
}

/// Writes the layer of those entries that fit on top of `tree`, and applies it.
fn grow(tree: Tree, layer: u32, seeds: &[(Entry, u16)], tar: &Path) -> Tree {
    let mut fitting = Vec::new();
    let mut writer = LayerWriter::new(Vec::new());
    for (entry, size) in seeds {
        fitting.push(entry.clone());
        if tree.clone().apply(layer, &fitting.clone().into()).is_err() {
            fitting.pop();
        } else if matches!(entry.kind, EntryKind::File(_)) {
            let content = vec![*size as u8; (*size).into()];
            writer.append_file(&entry.path, &entry.metadata, (*size).into(), &content[..]).unwrap();
        } else {
            writer.append(entry).unwrap();
        }
    }
    let (bytes, _) = writer.finish().unwrap();
    std::fs::write(tar, &bytes).unwrap();
    let mut tree = tree;
    tree.apply(layer, &Changeset::read_tar(&bytes[..]).unwrap()).unwrap();
    tree
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_mount_shows_the_tree(layers in vec(vec(seeds(), 0..30), 1..4)) {
        let directory = tempfile::tempdir().unwrap();
        let tars: Vec<PathBuf> = (0..layers.len()).map(|number| directory.path().join(number.to_string())).collect();
        let mut tree = Tree::new();
        for ((number, seeds), tar) in (0..).zip(&layers).zip(&tars) {
            tree = grow(tree, number, seeds, tar);
        }
        Mounted::new(&tree, &tars).assert_shows(&tree);
    }
}
