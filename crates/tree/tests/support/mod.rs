//! Random entries, layers and trees.

#![allow(dead_code, reason = "each test uses a part")]

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use tree::{
    Changeset, Device, Entry, EntryKind, FileContent, LayerPath, LayerWriter, Metadata, NodeKind,
    Timestamp, Tree, WriteError,
};

pub(crate) fn path(text: impl AsRef<[u8]>) -> LayerPath {
    LayerPath::new(text).expect("a good path")
}

/// Few names, so that paths meet; one is long, one is not UTF-8.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop_oneof![Just(b"a"), Just(b"b"), Just(b"c")].prop_map(|name| name.to_vec()),
        1 => Just(b"\xff\xfe=".to_vec()),
        1 => Just("ä".repeat(60).into_bytes()),
    ]
}

pub(crate) fn paths() -> impl Strategy<Value = LayerPath> {
    vec(name(), 1..5).prop_map(|names| path(names.join(&b'/')))
}

pub(crate) fn metadata() -> impl Strategy<Value = Metadata> {
    let time = prop_oneof![0..2_000_000_000_i64, -5..5_i64, any::<i64>()];
    let nanoseconds = prop_oneof![3 => Just(0), 1 => 0..1_000_000_000_u32];
    let owner = || prop_oneof![3 => 0..2000_u32, 1 => any::<u32>()];
    let xattr_name = prop_oneof![
        Just(b"security.capability".to_vec()),
        "user\\.[%=235D]{1,9}".prop_map(String::into_bytes),
        "user\\.[a-z]{1,20}".prop_map(String::into_bytes),
    ];
    let xattrs = prop_oneof![3 => Just(Default::default()).boxed(), 1 => btree_map(xattr_name, vec(any::<u8>(), 0..300), 0..3).boxed()];
    (0..=0o7777_u16, owner(), owner(), time, nanoseconds, xattrs).prop_map(
        |(mode, uid, gid, seconds, nanoseconds, xattrs)| Metadata {
            mode,
            uid,
            gid,
            mtime: Timestamp { seconds, nanoseconds },
            xattrs,
        },
    )
}

/// Any entry that has no content; of files, so, only empty ones.
pub(crate) fn entries() -> impl Strategy<Value = Entry> {
    let target = prop_oneof![
        3 => paths().prop_map(|path| path.as_bytes().to_vec()),
        1 => Just(b"../../..//a/".to_vec()),
        1 => vec(1..=255_u8, 1..300),
    ];
    let device =
        (0..=4095_u32, 0..=0xf_ffff_u32).prop_map(|(major, minor)| Device { major, minor });
    let kind = prop_oneof![
        4 => Just(EntryKind::Directory),
        4 => Just(EntryKind::File(FileContent::default())),
        2 => target.prop_map(EntryKind::Symlink),
        2 => paths().prop_map(EntryKind::HardLink),
        1 => device.clone().prop_map(EntryKind::CharDevice),
        1 => device.prop_map(EntryKind::BlockDevice),
        1 => Just(EntryKind::Fifo),
        1 => Just(EntryKind::Whiteout),
        1 => Just(EntryKind::Opaque),
    ];
    (paths(), kind, metadata()).prop_map(|(path, kind, metadata)| {
        let bare = matches!(kind, EntryKind::Whiteout | EntryKind::Opaque);
        Entry { path, kind, metadata: if bare { Metadata::default() } else { metadata } }
    })
}

/// What a writer is told to do.
#[derive(Clone, Debug)]
pub(crate) enum Member {
    Entry(Entry),
    File(LayerPath, Metadata, Vec<u8>),
    Sparse(LayerPath, Metadata, u64, Vec<(u64, u64)>),
}

pub(crate) fn members() -> impl Strategy<Value = Member> {
    prop_oneof![
        entries().prop_map(Member::Entry),
        (paths(), metadata(), vec(any::<u8>(), 0..2000))
            .prop_map(|(path, metadata, content)| Member::File(path, metadata, content)),
        (paths(), metadata(), vec((0..9000_u64, 1..5000_u64), 0..4)).prop_map(
            |(path, metadata, gaps)| {
                let (mut runs, mut end) = (Vec::new(), 0);
                for (gap, length) in gaps {
                    runs.push((end + gap, length));
                    end += gap + length;
                }
                Member::Sparse(path, metadata, end + 700, runs)
            }
        ),
    ]
}

/// Writes `members`; each byte of a sparse file's data is the low byte of its place.
pub(crate) fn write(members: &[Member]) -> Result<(Vec<u8>, Changeset), WriteError> {
    let mut writer = LayerWriter::new(Vec::new());
    for member in members {
        match member {
            Member::Entry(entry) => writer.append(entry)?,
            Member::File(path, metadata, content) => {
                writer.append_file(path, metadata, content.len() as u64, &content[..])?;
            }
            Member::Sparse(path, metadata, size, runs) => {
                writer.append_sparse_file(path, metadata, *size, runs, |offset, buffer| {
                    for (at, byte) in (offset..).zip(&mut *buffer) {
                        *byte = at as u8;
                    }
                    Ok(buffer.len())
                })?;
            }
        }
    }
    writer.finish()
}

/// Puts those of some random entries into `tree` that fit. There are few contents and few kinds of
/// metadata, so that trees have much in common.
fn grow(mut tree: Tree, entries: Vec<(Entry, u64)>) -> Tree {
    for (mut entry, place) in entries {
        if let EntryKind::File(content) = &mut entry.kind {
            *content = FileContent::plain(place / 2, 512 * place);
        }
        entry.metadata = Metadata { mode: 0o700 + place as u16 / 3, ..Metadata::default() };
        let mut next = tree.clone();
        if next.apply(0, &vec![entry].into()).is_ok() {
            tree = next;
        }
    }
    tree
}

fn seeds() -> impl Strategy<Value = Vec<(Entry, u64)>> {
    vec((entries(), 0..4_u64), 0..25)
}

pub(crate) fn trees() -> impl Strategy<Value = Tree> {
    seeds().prop_map(|seeds| grow(Tree::new(), seeds))
}

/// Two trees that share a past.
pub(crate) fn related_trees() -> impl Strategy<Value = (Tree, Tree)> {
    (seeds(), seeds(), seeds()).prop_map(|(past, left, right)| {
        let past = grow(Tree::new(), past);
        (grow(past.clone(), left), grow(past, right))
    })
}

/// All that a tree shows, layers' numbers apart: for each path its metadata, its kind and content,
/// and the first path of the same node.
pub(crate) fn view(tree: &Tree) -> Vec<(LayerPath, Metadata, EntryKind, LayerPath)> {
    let mut first = std::collections::HashMap::new();
    tree.walk()
        .map(|(path, id)| {
            let node = tree.node(id);
            let first = first.entry(id).or_insert_with(|| path.clone()).clone();
            assert!(
                node.links >= 1
                    && (node.links == 1 || !matches!(node.kind, NodeKind::Directory(_)))
            );
            (path, node.metadata.clone(), node.entry_kind(), first)
        })
        .collect()
}
