//! The kernel's own view of an index. Needs root and a kernel that mounts EROFS from files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{Mounted, fold, path};
use tree::{Device, Entry, EntryKind, LayerWriter, Metadata, Timestamp};

fn write_layer(
    directory: &Path,
    name: &str,
    fill: impl FnOnce(&mut LayerWriter<Vec<u8>>),
) -> PathBuf {
    let mut writer = LayerWriter::new(Vec::new());
    fill(&mut writer);
    let (tar, _) = writer.finish().unwrap();
    let file = directory.join(name);
    fs::write(&file, tar).unwrap();
    file
}

fn entry(name: &str, kind: EntryKind) -> Entry {
    let mtime = Timestamp { seconds: -77, nanoseconds: 999_999_999 };
    Entry {
        path: path(name),
        kind,
        metadata: Metadata { mode: 0o1751, mtime, ..Metadata::default() },
    }
}

fn file(writer: &mut LayerWriter<Vec<u8>>, name: &str, content: &[u8]) {
    let metadata =
        Metadata { mode: 0o4755, uid: 70_000, gid: 3_000_000_000, ..Metadata::default() };
    writer.append_file(&path(name), &metadata, content.len() as u64, content).unwrap();
}

#[test]
fn two_layers() {
    let directory = tempfile::tempdir().unwrap();
    let lower = write_layer(directory.path(), "lower", |writer| {
        file(writer, "a", b"lower a");
        file(writer, "gone", b"gone");
        file(writer, "dir/x", &[1; 513]);
        file(writer, "dir/y", &[2; 100_000]);
        file(writer, "empty", b"");
        writer.append(&entry("hard", EntryKind::HardLink(path("dir/y")))).unwrap();
    });
    let upper = write_layer(directory.path(), "upper", |writer| {
        writer.append(&entry("gone", EntryKind::Whiteout)).unwrap();
        writer.append(&entry("late", EntryKind::HardLink(path("dir/y")))).unwrap();
        file(writer, "a", &[3; 1_000_000]);
        writer
            .append(&entry("char", EntryKind::CharDevice(Device { major: 4095, minor: 0xf_fffe })))
            .unwrap();
        writer
            .append(&entry("block", EntryKind::BlockDevice(Device { major: 7, minor: 3 })))
            .unwrap();
        writer.append(&entry("fifo", EntryKind::Fifo)).unwrap();
        writer.append(&entry("link", EntryKind::Symlink(b"/dir/x".to_vec()))).unwrap();
        for length in [479, 480, 481, 511, 512, 513, 4095] {
            let kind = EntryKind::Symlink(vec![b't'; length]);
            writer.append(&entry(&format!("link{length}"), kind)).unwrap();
        }
    });
    let tars = [lower, upper];
    let tree = fold(&tars);
    Mounted::new(&tree, &tars).assert_shows(&tree);
}

#[test]
fn many_devices() {
    let directory = tempfile::tempdir().unwrap();
    let layer = |number: usize| {
        write_layer(directory.path(), &format!("layer{number}"), |writer| {
            file(writer, &format!("file{number}"), format!("content {number}").as_bytes());
        })
    };
    let tars: Vec<_> = (0..100).map(layer).collect();
    let tree = fold(&tars);
    Mounted::new(&tree, &tars).assert_shows(&tree);
}

#[test]
fn one_tar_as_several_devices() {
    let directory = tempfile::tempdir().unwrap();
    let empty = write_layer(directory.path(), "empty", |_| ());
    let full = write_layer(directory.path(), "full", |writer| file(writer, "a", b"content"));
    let tars = [empty.clone(), full.clone(), empty.clone(), full, empty];
    let tree = fold(&tars);
    Mounted::new(&tree, &tars).assert_shows(&tree);
}

#[test]
fn nothing_at_all() {
    let tree = tree::Tree::new();
    Mounted::new(&tree, &[]).assert_shows(&tree);
}
