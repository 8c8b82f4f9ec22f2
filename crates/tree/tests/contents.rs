//! Tables of contents: what is refused, and how large they are.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::path;
use tree::{Changeset, Entry, EntryKind, Extent, FileContent, LimitError, Metadata, TocError};

fn changeset(kind: EntryKind, metadata: Metadata) -> Changeset {
    vec![Entry { path: path("a"), kind, metadata }].into()
}

fn file(size: u64, runs: &[(u64, u64, u64)]) -> EntryKind {
    let extent = |&(file_offset, tar_offset, length)| Extent { file_offset, tar_offset, length };
    EntryKind::File(FileContent { size, extents: runs.iter().map(extent).collect() })
}

/// Gives changed bytes a right checksum.
fn seal(mut toc: Vec<u8>) -> Vec<u8> {
    let checksum = crc32fast::hash(&toc[16..]);
    toc[12..16].copy_from_slice(&checksum.to_le_bytes());
    toc
}

#[test]
fn damaged() {
    let good = changeset(EntryKind::Fifo, Metadata::default()).encode();
    assert!(Changeset::decode(&good).is_ok());
    let with = |at: usize, byte: u8| {
        let mut toc = good.clone();
        toc[at] = byte;
        toc
    };
    assert!(matches!(Changeset::decode(b""), Err(TocError::Magic)));
    assert!(matches!(Changeset::decode(&with(0, b'T')), Err(TocError::Magic)));
    assert!(matches!(Changeset::decode(&with(8, 77)), Err(TocError::Version(77))));
    assert!(matches!(Changeset::decode(&with(12, !good[12])), Err(TocError::Checksum)));
    assert!(matches!(Changeset::decode(&with(20, !good[20])), Err(TocError::Checksum)));
    for length in 0..good.len() {
        Changeset::decode(&good[..length]).expect_err("a part is not the whole");
        if length > 16 {
            let cut = seal(good[..length].to_vec());
            assert!(matches!(Changeset::decode(&cut), Err(TocError::Record { .. })), "{length}");
        }
    }
    let longer = seal([&good[..], b"x"].concat());
    assert!(matches!(Changeset::decode(&longer), Err(TocError::Trailing(1))));
}

#[test]
fn a_false_count() {
    let mut toc = Changeset::default().encode();
    toc.truncate(16);
    toc.extend([0xff, 0xff, 0xff, 0x01]);
    assert!(matches!(
        Changeset::decode(&seal(toc.clone())),
        Err(TocError::Record { record: 0, .. })
    ));
    toc.truncate(16);
    toc.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    let error = Changeset::decode(&seal(toc)).unwrap_err();
    assert!(matches!(error, TocError::Limit { source: LimitError::Entries, .. }), "{error:?}");
}

#[test]
fn impossible_entries() {
    let plain = Metadata::default();
    let late = Metadata {
        mtime: tree::Timestamp { seconds: 0, nanoseconds: 1_000_000_000 },
        ..plain.clone()
    };
    for (kind, metadata, want) in [
        (EntryKind::Symlink(vec![]), plain.clone(), LimitError::Target),
        (EntryKind::Symlink(b"a\0b".to_vec()), plain.clone(), LimitError::Target),
        (EntryKind::Fifo, Metadata { mode: 0o10_000, ..plain.clone() }, LimitError::Mode(0o10_000)),
        (EntryKind::Fifo, late, LimitError::Nanoseconds(1_000_000_000)),
        (file(u64::MAX, &[]), plain.clone(), LimitError::Size),
        (file(9, &[(0, u64::MAX, 1), (2, 0, 1)]), plain.clone(), LimitError::Size),
        (file(9, &[(0, 0, 10)]), plain.clone(), LimitError::Extents),
        (file(9, &[(0, 0, 0)]), plain.clone(), LimitError::Extents),
        (file(9, &[(0, 0, 5), (4, 8, 1)]), plain.clone(), LimitError::Extents),
        (file(9, &[(u64::MAX, 0, 5), (4, 8, 1)]), plain, LimitError::Extents),
    ] {
        let error = Changeset::decode(&changeset(kind, metadata).encode()).unwrap_err();
        assert!(
            matches!(error, TocError::Limit { record: 0, ref source } if *source == want),
            "{error:?}"
        );
    }
}

#[test]
fn a_record_is_small() {
    let entries: Vec<_> = (0..1000)
        .map(|number| Entry {
            path: path(format!("usr/share/doc/package/file{number:04}")),
            kind: EntryKind::File(FileContent::plain(1000, 1536 * number)),
            metadata: Metadata { mode: 0o644, ..Metadata::default() },
        })
        .collect();
    let toc = Changeset::from(entries).encode();
    assert!(toc.len() < 25 * 1000, "{} bytes", toc.len());
}
