//! Trees that cannot be indexed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use erofs::Error;
use tree::{Entry, EntryKind, Extent, FileContent, LayerPath, Metadata, Tree};

fn tree(kind: EntryKind, metadata: Metadata) -> Tree {
    let entry = Entry { path: path(), kind, metadata };
    Tree::fold([&vec![entry].into()]).unwrap()
}

fn path() -> LayerPath {
    LayerPath::new("dir/file").unwrap()
}

fn sparse(size: u64, runs: &[(u64, u64, u64)]) -> Tree {
    let extent = |&(file_offset, tar_offset, length)| Extent { file_offset, tar_offset, length };
    let extents = runs.iter().map(extent).collect();
    tree(EntryKind::File(FileContent { size, extents }), Metadata::default())
}

#[test]
fn runs_off_the_blocks() {
    for runs in [
        &[(0, 513, 512)][..],
        &[(1, 512, 512)],
        &[(0, 512, 100), (1024, 1024, 512)],
        &[(0, 512, 512), (512, 1025, 512)],
    ] {
        let error = erofs::index(&sparse(5000, runs), &[10_000]).unwrap_err();
        assert_eq!(error, Error::Unaligned { path: path() }, "{runs:?}");
    }
}

#[test]
fn too_fine_runs() {
    let error = erofs::index(&sparse(1 << 42, &[(512, 512, 512)]), &[10_000]).unwrap_err();
    assert_eq!(error, Error::TooSparse { path: path() });
}

#[test]
fn content_outside_of_the_layer() {
    let outside = Error::Outside { path: path(), layer: 0 };
    for (place, devices) in
        [(512, &[10_000][..]), (9_728, &[10_000]), (512, &[]), (u64::MAX - 511 - 512, &[10_000])]
    {
        let runs = [(0, place, 10_000)];
        assert_eq!(erofs::index(&sparse(10_000, &runs), devices).unwrap_err(), outside, "{place}");
    }
    erofs::index(&sparse(9_200, &[(0, 512, 9_200)]), &[10_000]).unwrap();
}

#[test]
fn a_layer_that_ends_within_a_block() {
    let error = erofs::index(&sparse(9_488, &[(0, 512, 9_488)]), &[10_000]).unwrap_err();
    assert_eq!(error, Error::Unpadded { path: path() });
}

#[test]
fn beyond_the_format() {
    let empty = Tree::new();
    assert_eq!(erofs::index(&empty, &vec![0; 70_000]).unwrap_err(), Error::Devices(70_000));
    assert_eq!(erofs::index(&empty, &[1 << 41]).unwrap_err(), Error::TooLarge);
    erofs::index(&empty, &[(1 << 41) - 512]).unwrap();
    let xattrs = [(b"user.big".to_vec(), vec![0; 65_536])].into();
    let tree = tree(EntryKind::Fifo, Metadata { xattrs, ..Metadata::default() });
    let error = erofs::index(&tree, &[]).unwrap_err();
    assert_eq!(error, Error::Xattr { path: path(), name: "user.big".into() });
}

#[test]
fn attributes_that_linux_has_not_are_left_out() {
    let names = ["system.nfs4_acl", "com.apple.quarantine", "user.", "system.posix_acl_accessory"];
    let xattrs = names.map(|name| (name.as_bytes().to_vec(), b"x".to_vec())).into();
    let with = tree(EntryKind::Fifo, Metadata { xattrs, ..Metadata::default() });
    let without = tree(EntryKind::Fifo, Metadata::default());
    assert_eq!(erofs::index(&with, &[]).unwrap(), erofs::index(&without, &[]).unwrap());
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let other = tree(EntryKind::Directory, Metadata::default());
    let mut detour = other.clone();
    let gone = Entry { path: path(), kind: EntryKind::Whiteout, metadata: Metadata::default() };
    detour.apply(1, &vec![gone].into()).unwrap();
    let back = Entry { path: path(), kind: EntryKind::Directory, metadata: Metadata::default() };
    detour.apply(2, &vec![back].into()).unwrap();
    assert_eq!(erofs::index(&other, &[]).unwrap(), erofs::index(&detour, &[]).unwrap());
}
