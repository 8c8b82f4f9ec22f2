//! Tars as LayerWriter makes them and as others do, read back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;

use tree::{Changeset, EntryKind, Extent, LayerPath, LayerWriter, Metadata, Timestamp};

fn path(text: &str) -> LayerPath {
    LayerPath::new(text).unwrap()
}

#[test]
fn written_then_read() {
    let mut writer = LayerWriter::new(Vec::new());
    let metadata = Metadata {
        mode: 0o4755,
        uid: 3_000_000_000,
        gid: 12,
        mtime: Timestamp { seconds: -2, nanoseconds: 500_000_000 },
        xattrs: [(b"security.capability".to_vec(), b"\x01\n\0=\xff".to_vec())].into(),
    };
    writer.append_file(&path("a"), &metadata, 5, &b"hello"[..]).unwrap();
    let long = path(&"long/".repeat(100));
    writer.append_file(&long, &metadata, 1000, &[7; 1000][..]).unwrap();
    writer
        .append_sparse_file(&path("s"), &metadata, 100_000, &[(4096, 10)], |_, buffer| {
            buffer.fill(b'x');
            Ok(buffer.len())
        })
        .unwrap();
    let (mut tar, changeset) = writer.finish().unwrap();
    assert_eq!(tar.len() % 512, 0);
    tar.write_all(b"garbage behind the end").unwrap();
    let read = Changeset::read_tar(&tar[..]).unwrap();
    assert_eq!(read, changeset);
    assert_eq!(Changeset::decode(&changeset.encode()).unwrap(), changeset);
    let EntryKind::File(content) = &read.entries()[2].kind else { panic!("{read:?}") };
    let [Extent { file_offset: 0, tar_offset, length: 100_000 }] = content.extents[..] else {
        panic!("{content:?}")
    };
    let start = tar_offset as usize;
    assert_eq!(&tar[start + 4095..start + 4107], b"\0xxxxxxxxxx\0");
}
