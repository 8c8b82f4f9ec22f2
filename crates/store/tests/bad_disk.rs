//! Disks that are full or read-only: a clear error, and nothing left behind. Needs root, for a small
//! file system of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use std::io::Write;
use std::path::Path;
use std::process::Command;

use fixture::{gzip, tar_of};
use image::{DiffId, Digest, media_type};
use store::{Error, Store};

/// A file system of four megabytes in memory, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "tare-test"]).arg(directory.path());
        assert!(mount.status().unwrap().success(), "cannot mount: is this root?");
        Self(directory)
    }

    fn make_read_only(&self) {
        let mut mount = Command::new("mount");
        mount.args(["-o", "remount,ro"]).arg(self.path());
        assert!(mount.status().unwrap().success());
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn files(root: &Path, directory: &str) -> usize {
    std::fs::read_dir(root.join(directory)).unwrap().count()
}

fn assert_nothing_left(store: &Store) {
    for directory in ["blobs/sha256", "tare/tmp", "tare/layers"] {
        assert_eq!(files(store.root(), directory), 0, "{directory}");
    }
    let descriptor = store.put_blob(media_type::CONFIG, b"there is room again").unwrap();
    store.read_blob(&descriptor).unwrap();
}

#[test]
fn a_blob_that_does_not_fit() {
    let disk = SmallDisk::new();
    let store = Store::open(disk.path()).unwrap();
    let mut writer = store.blob_writer().unwrap();
    let error = (0..64).find_map(|_| writer.write_all(&[1; 100_000]).err()).unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    let error = writer.finish().unwrap_err();
    assert!(matches!(error, Error::Io { verb: "write", .. }), "{error}");
    assert_nothing_left(&store);
}

#[test]
fn an_import_that_does_not_fit() {
    let disk = SmallDisk::new();
    let store = Store::open(disk.path()).unwrap();
    let tar = tar_of(&[("big", &vec![1; 8 << 20])]);
    let error = store.import_layer(&gzip(&tar)[..]).unwrap_err();
    assert!(error.is_full_disk(), "{error}");
    assert_nothing_left(&store);
}

#[test]
fn a_layer_that_does_not_fit() {
    let disk = SmallDisk::new();
    let store = Store::open(disk.path()).unwrap();
    let tar = tar_of(&[("big", &vec![1; 8 << 20])]);
    let blob = store.put_blob(media_type::LAYER_GZIP, &gzip(&tar)).unwrap();
    let error = store.layer(&blob, &DiffId::new(Digest::of(&tar))).unwrap_err();
    assert!(error.is_full_disk(), "{error}");
    assert_eq!((files(disk.path(), "tare/tmp"), files(disk.path(), "tare/layers")), (0, 0));
    assert_eq!(files(disk.path(), "blobs/sha256"), 1, "the blob itself stays");
}

#[test]
fn a_read_only_store_can_be_read() {
    let disk = SmallDisk::new();
    let store = Store::open(disk.path()).unwrap();
    let tar = tar_of(&[("a", b"b")]);
    let (layer, diff_id, changeset) = store.import_layer(&tar[..]).unwrap();
    store.keep(&layer).unwrap();
    drop(store);
    std::fs::remove_file(disk.path().join(format!("tare/layers/{}.toc", diff_id.hex()))).unwrap();
    disk.make_read_only();
    let store = Store::open(disk.path()).unwrap();
    assert_eq!(store.references().unwrap().len(), 1);
    assert_eq!(store.layer(&layer, &diff_id).unwrap().changeset().unwrap(), changeset);
    store.open_blob(&layer).unwrap().finish().unwrap();
    let error = store.put_blob(media_type::CONFIG, b"{}").unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn a_read_only_layout_of_another_tool_can_be_read() {
    let disk = SmallDisk::new();
    let write = |name: &str, text: &str| std::fs::write(disk.path().join(name), text).unwrap();
    std::fs::create_dir_all(disk.path().join("blobs/sha256")).unwrap();
    write("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    write("index.json", r#"{"schemaVersion":2,"manifests":[]}"#);
    disk.make_read_only();
    let store = Store::open(disk.path()).unwrap();
    assert_eq!(store.references().unwrap(), vec![]);
    assert_eq!(store.resolve("app").unwrap(), None);
}
