//! Files of the store that somebody wrote to: told apart, healed where there is another copy, never
//! believed.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod fixture;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use fixture::{Fixture, gzip, tar_of};
use image::manifest;
use image::{DiffId, Digest, Reference, media_type};
use store::{Error, GcOptions, Store};

/// Two megabytes: more than is compared byte by byte.
fn big_tar() -> Vec<u8> {
    tar_of(&[("usr/bin/big", &[7; 2 << 20])])
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

fn cut(path: &Path) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - 512).unwrap();
}

#[test]
fn writing_a_blob_again_heals_it() {
    let fixture = Fixture::new();
    let descriptor = fixture.store.put_blob(media_type::CONFIG, b"good").unwrap();
    std::fs::write(fixture.store.blob_path(&Digest::of(b"good")), b"evil").unwrap();
    fixture.store.put_blob(media_type::CONFIG, b"good").unwrap();
    assert_eq!(fixture.store.read_blob(&descriptor).unwrap(), b"good");
}

#[test]
fn a_layer_that_was_written_to_is_refused_and_healed_by_the_next_import() {
    for damage in [|path: &Path| flip(path, 100_000), cut] {
        let fixture = Fixture::new();
        let tar = big_tar();
        let (blob, diff_id, _) = fixture.store.import_layer(&tar[..]).unwrap();
        let path = fixture.store.blob_path(diff_id.digest());
        damage(&path);
        assert_eq!(fixture.store.layer_tar(&diff_id), None, "not believed");
        let error = fixture.store.layer(&blob, &diff_id).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. } | Error::Size { .. }), "{error}");

        fixture.store.import_layer(&tar[..]).unwrap();
        let layer = fixture.store.layer(&blob, &diff_id).unwrap();
        assert!(fs::read(&layer.tar).unwrap() == tar);
        assert!(fs::read(&path).unwrap() == tar);
        fixture.assert_no_temporary_files();
    }
}

#[test]
fn a_damaged_tar_of_a_compressed_layer_is_unpacked_again() {
    let fixture = Fixture::new();
    let tar = big_tar();
    let blob = fixture.store.put_blob(media_type::LAYER_GZIP, &gzip(&tar)).unwrap();
    let diff_id = DiffId::new(Digest::of(&tar));
    let layer = fixture.store.layer(&blob, &diff_id).unwrap();
    flip(&layer.tar, 100_000);
    let healed = fixture.store.layer(&blob, &diff_id).unwrap();
    assert!(fs::read(healed.tar).unwrap() == tar);
}

#[test]
fn a_layer_that_only_looks_written_to_stays() {
    let fixture = Fixture::new();
    let tar = big_tar();
    let (blob, diff_id, changeset) = fixture.store.import_layer(&tar[..]).unwrap();
    let path = fixture.store.blob_path(diff_id.digest());
    let inode = fs::metadata(&path).unwrap().ino();
    let soon = std::time::SystemTime::now();
    OpenOptions::new().write(true).open(&path).unwrap().set_modified(soon).unwrap();
    assert_eq!(fixture.store.layer_tar(&diff_id), None);
    let layer = fixture.store.layer(&blob, &diff_id).unwrap();
    assert_eq!(fs::metadata(&layer.tar).unwrap().ino(), inode, "the same file");
    assert_eq!(layer.changeset().unwrap(), changeset);
    assert!(fixture.store.layer_tar(&diff_id).is_some(), "believed again");

    // The same blob once more makes it young, for gc, and is no damage.
    fixture.store.import_layer(&tar[..]).unwrap();
    assert!(fixture.store.layer_tar(&diff_id).is_some());
}

#[test]
fn gc_takes_nothing_while_an_image_that_has_a_name_cannot_be_read() {
    type Damage = fn(&Path);
    let damages: [Damage; 4] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::write(path, "").unwrap(),
        |path| fs::write(path, "rubbish").unwrap(),
        |path| flip(path, 30),
    ];
    for damage in damages {
        let fixture = Fixture::new();
        let image = fixture.image(b"content", "linux/amd64");
        let name: Reference = "named".parse().unwrap();
        fixture.store.tag(&name, &image).unwrap();
        damage(&fixture.store.blob_path(&manifest::digest(&image).unwrap()));
        let before = fixture.names("blobs/sha256").len();
        for dry_run in [true, false] {
            let options = GcOptions { dry_run, ..GcOptions::default() };
            fixture.store.gc(options).unwrap_err();
        }
        assert_eq!(fixture.names("blobs/sha256").len(), before);

        fixture.store.untag(&name.to_string()).unwrap();
        fixture.store.gc(GcOptions::default()).unwrap();
        assert_eq!(fixture.names("blobs/sha256"), Vec::<String>::new());
    }
}

#[test]
fn any_part_of_the_cache_may_be_deleted() {
    for part in ["", "tmp", "layers", "rootfs", "build", "build/records", "leases", "lock"] {
        let fixture = Fixture::new();
        let (blob, diff_id, changeset) = fixture.store.import_layer(&big_tar()[..]).unwrap();
        let Fixture { store, directory } = fixture;
        let root = store.root().to_owned();
        drop(store);
        let path = root.join("tare").join(part);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap()
        } else {
            fs::remove_file(&path).unwrap()
        }
        let store = Store::open(&root).unwrap();
        let layer = store.layer(&blob, &diff_id).unwrap();
        assert_eq!(layer.changeset().unwrap(), changeset, "without {part:?}");
        store.cache_put("key", b"value", &[]).unwrap();
        store.gc(GcOptions::default()).unwrap();
        drop(directory);
    }
}
