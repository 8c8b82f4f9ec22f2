//! The kernel's own view of an index. Needs root and a kernel that mounts EROFS from files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use support::{Mounted, fold, path};
use tree::{
    Device, Entry, EntryKind, Extent, FileContent, LayerWriter, Metadata, Timestamp, Tree, Xattrs,
};

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
    let none = directory.path().join("none");
    fs::write(&none, "").unwrap();
    let tars = [empty.clone(), full.clone(), none.clone(), empty.clone(), full, empty, none];
    let tree = fold(&tars);
    Mounted::new(&tree, &tars).assert_shows(&tree);
}

#[test]
fn nothing_at_all() {
    let tree = tree::Tree::new();
    Mounted::new(&tree, &[]).assert_shows(&tree);
}

#[test]
fn large_directories() {
    let directory = tempfile::tempdir().unwrap();
    let tar = write_layer(directory.path(), "layer", |writer| {
        for number in 0..3000 {
            file(writer, &format!("many/{number}"), b"");
        }
        // Around a block, and where `.` and `..` do not come first.
        for count in 1..60 {
            for number in 0..count {
                let name = [&b"!"[..], b"-", b".!", b"..a", b"a"][number % 5];
                let name =
                    [format!("d{count}/").as_bytes(), name, number.to_string().as_bytes()].concat();
                writer.append(&Entry { path: path(name), ..entry("x", EntryKind::Fifo) }).unwrap();
            }
        }
        for number in 0..50 {
            file(writer, &format!("long/{number:n<255}"), b"x");
        }
        let strange =
            [&b"strange/\xff\xfe"[..], b"strange/\n", b"strange/\x01", "strange/\u{fc}".as_bytes()];
        for name in strange {
            let fifo = Entry { path: path(name), ..entry("x", EntryKind::Fifo) };
            writer.append(&fifo).unwrap();
        }
    });
    let tars = [tar];
    let tree = fold(&tars);
    Mounted::new(&tree, &tars).assert_shows(&tree);
}

#[test]
fn roots_of_all_sizes() {
    // The root's names stand behind its inode, or do not fit there, or push it from its place.
    for length in (1..250).step_by(7) {
        let directory = tempfile::tempdir().unwrap();
        let tar = write_layer(directory.path(), "layer", |writer| {
            file(writer, &"a".repeat(length), b"a");
            file(writer, &"b".repeat(250), b"b");
        });
        let tars = [tar];
        let tree = fold(&tars);
        Mounted::new(&tree, &tars).assert_shows(&tree);
    }
}

#[test]
fn extended_attributes() {
    let acl = [
        2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 4, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0,
        255, 255, 255, 255,
    ];
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let attributes: [(&str, &[u8]); 8] = [
        ("user.short", b""),
        ("user.long", &[7; 60_000]),
        ("trusted.a", b"b"),
        ("trusted.binary", b"\0\n=\xff"),
        ("security.capability", &capability),
        ("security.other", &[1; 511]),
        ("system.posix_acl_access", &acl),
        ("system.posix_acl_default", &acl),
    ];
    let longest = format!("user.{}", "n".repeat(250));
    let directory = tempfile::tempdir().unwrap();
    let tar = write_layer(directory.path(), "layer", |writer| {
        let mut add = |name: &str, xattrs: Xattrs| {
            let metadata = Metadata { mode: 0o640, xattrs, ..Metadata::default() };
            let kind = EntryKind::Directory;
            writer.append(&Entry { path: path(name), kind, metadata: metadata.clone() }).unwrap();
            writer.append_file(&path(format!("{name}/file")), &metadata, 1, &b"x"[..]).unwrap();
        };
        let pair = |(name, value): (&str, &[u8])| (name.as_bytes().to_vec(), value.to_vec());
        for (number, attribute) in attributes.into_iter().enumerate() {
            let default_acl = attribute.0.ends_with("default");
            add(
                &format!("one{number}"),
                if default_acl { Xattrs::new() } else { [pair(attribute)].into() },
            );
        }
        add("longest", [pair((&longest, b"x"))].into());
        add("all", attributes[..7].iter().copied().map(pair).collect());
        for length in 0..40 {
            add(&format!("length{length}"), [pair(("user.x", &[1; 600][..length * 15]))].into());
        }
        let mut both = entry("acls", EntryKind::Directory);
        both.metadata.mode = 0o640;
        both.metadata.xattrs = attributes[6..].iter().copied().map(pair).collect();
        writer.append(&both).unwrap();
        let mut link = entry("link", EntryKind::Symlink(b"target".to_vec()));
        link.metadata.xattrs = [pair(("trusted.x", b"y"))].into();
        writer.append(&link).unwrap();
    });
    let tars = [tar];
    let tree = fold(&tars);
    Mounted::new(&tree, &tars).assert_shows(&tree);
}

/// Place in the file, place in the tar, length.
type Run = (u64, u64, u64);

/// A tree of one sparse file per map, all in one layer.
fn sparse_tree(files: &[(u64, &[Run])]) -> Tree {
    let extent =
        |&(file_offset, tar_offset, length): &Run| Extent { file_offset, tar_offset, length };
    let entry = |(number, (size, runs)): (usize, &(u64, &[Run]))| {
        let content = FileContent { size: *size, extents: runs.iter().map(extent).collect() };
        entry(&format!("sparse{number}"), EntryKind::File(content))
    };
    Tree::fold([&files.iter().enumerate().map(entry).collect::<Vec<_>>().into()]).unwrap()
}

const KIB: u64 = 1 << 10;
const TIB: u64 = 1 << 40;

#[test]
fn sparse_files() {
    let directory = tempfile::tempdir().unwrap();
    let tar = directory.path().join("data");
    let noise: Vec<u8> =
        (0..1_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(&tar, noise).unwrap();
    let tree = sparse_tree(&[
        (1, &[]),
        (100_000, &[]),
        (1 << 30, &[(0, 512, 4096)]),
        (1 << 30, &[((1 << 30) - 4096, 512, 4096)]),
        (40_001, &[(36_864, 1024, 3137)]),
        (40_001, &[(512, 1024, 512), (1536, 5120, 1024), (39_936, 512, 65)]),
        // Runs that continue each other, and runs that only touch.
        (64 * KIB, &[(0, 512, 700), (700, 1212, 324), (1024, 1536, 63 * KIB)]),
        (64 * KIB, &[(0, 32 * KIB, 32 * KIB), (32 * KIB, 512, 32 * KIB)]),
        (TIB, &[(TIB / 2, 4096, 512 * KIB), (TIB - 512 * KIB, 512, 512 * KIB)]),
    ]);
    Mounted::new(&tree, &[tar]).assert_shows(&tree);
}

#[test]
fn a_file_of_more_than_a_tebibyte() {
    let directory = tempfile::tempdir().unwrap();
    let tar = directory.path().join("data");
    let sparse = File::create(&tar).unwrap();
    sparse.set_len(2 * TIB - 512).unwrap();
    let size = TIB + TIB / 2 + 77;
    let places = [0, TIB - 6, TIB, size - 6];
    for place in places {
        sparse.write_all_at(&place.to_le_bytes()[..6], 1024 + place).unwrap();
    }
    let plain = FileContent::plain(size, 1024);
    let tree = Tree::fold([&vec![entry("huge", EntryKind::File(plain))].into()]).unwrap();
    let mounted = Mounted::new(&tree, &[tar]);
    let huge = File::open(mounted.root().join("huge")).unwrap();
    assert_eq!(huge.metadata().unwrap().len(), size);
    for place in places {
        let mut found = [0; 6];
        huge.read_exact_at(&mut found, place).unwrap();
        assert_eq!(found[..], place.to_le_bytes()[..6], "at {place}");
    }
    assert!(fs::metadata(mounted.index()).unwrap().len() < 4096, "one chunk for each tebibyte");
}

#[test]
fn a_tar_that_ends_with_its_last_file() {
    let directory = tempfile::tempdir().unwrap();
    let tar = write_layer(directory.path(), "layer", |writer| file(writer, "a", &[5; 1500]));
    File::options().write(true).open(&tar).unwrap().set_len(1536 + 1536).unwrap();
    let tars = [tar];
    let tree = fold(&tars);
    Mounted::new(&tree, &tars).assert_shows(&tree);
}
