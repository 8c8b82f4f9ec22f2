//! A tree laid over a directory that has files: as `--output DIR` needs it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use rootfs::{LayerTar, unpack_over};
use tree::{Entry, EntryKind, LayerPath, LayerWriter, Metadata, Timestamp, Tree};

fn path(name: &str) -> LayerPath {
    LayerPath::new(name).unwrap()
}

fn metadata(mode: u16) -> Metadata {
    let mtime = Timestamp { seconds: 1_000_000_000, nanoseconds: 0 };
    Metadata { mode, uid: 5, gid: 6, mtime, ..Metadata::default() }
}

#[test]
fn what_is_in_the_way_is_replaced_and_the_rest_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (tar, target) = (directory.path().join("layer.tar"), directory.path().join("out"));
    let outside = directory.path().join("outside");
    let mut layer = LayerWriter::new(fs::File::create(&tar).unwrap());
    let entry = |name: &str, kind| Entry { path: path(name), kind, metadata: metadata(0o750) };
    for name in ["dir", "link", "was-file"] {
        layer.append(&entry(name, EntryKind::Directory)).unwrap();
    }
    for name in ["dir/file", "link/inside", "was-dir", "was-file/new"] {
        layer.append_file(&path(name), &metadata(0o640), 4, &b"new\n"[..]).unwrap();
    }
    layer.append(&entry("symlink", EntryKind::Symlink(b"dir/file".to_vec()))).unwrap();
    let hard = EntryKind::HardLink(path("dir/file"));
    // What a hard link says holds for the file.
    layer.append(&Entry { metadata: metadata(0o640), ..entry("hard", hard) }).unwrap();
    let (_, changeset) = layer.finish().unwrap();
    let tree = Tree::fold([&changeset]).unwrap();
    let layers = [LayerTar { size: fs::metadata(&tar).unwrap().len(), path: tar }];

    fs::create_dir_all(target.join("was-dir/full")).unwrap();
    fs::create_dir_all(target.join("dir")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(target.join("dir/file"), "old").unwrap();
    fs::write(target.join("dir/kept"), "kept").unwrap();
    fs::write(target.join("was-file"), "old").unwrap();
    // A link out of the directory is replaced, not followed.
    symlink(&outside, target.join("link")).unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o711)).unwrap();

    // Twice: the second time everything is in the way.
    for _ in 0..2 {
        unpack_over(&tree, &layers, &target, (1234, 2345)).unwrap();
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        for name in ["dir/file", "link/inside", "was-dir", "was-file/new", "hard", "symlink"] {
            assert_eq!(fs::read_to_string(target.join(name)).unwrap(), "new\n", "{name}");
        }
        assert_eq!(fs::read_to_string(target.join("dir/kept")).unwrap(), "kept");
        let file = fs::metadata(target.join("dir/file")).unwrap();
        assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (1234, 2345, 0o640));
        assert_eq!((file.mtime(), file.nlink()), (1_000_000_000, 2));
        let dir = fs::metadata(target.join("dir")).unwrap();
        assert_eq!((dir.uid(), dir.mode() & 0o7777), (1234, 0o750));
        let top = fs::metadata(&target).unwrap();
        assert_eq!((top.uid(), top.mode() & 0o7777), (0, 0o711));
    }
}
