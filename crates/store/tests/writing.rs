//! Ways to write a blob: past the page cache, into the writer's own room, named later; and what a power
//! cut leaves of a store that is new.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod fixture;

use std::io::Write;

use fixture::Fixture;
use image::manifest::{self, Descriptor};
use image::{Digest, Reference, media_type};
use store::Store;

fn noise(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 7 % 251) as u8).collect()
}

fn described(bytes: &[u8]) -> Descriptor {
    manifest::descriptor(media_type::LAYER, Digest::of(bytes), bytes.len() as u64)
}

/// Writes as who reads from somewhere does: into the writer's room, what comes at a time.
fn pour(writer: &mut store::BlobWriter, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let room = writer.room(bytes.len() as u64).unwrap();
        let count = room.len().min(100_001);
        room[..count].copy_from_slice(&bytes[..count]);
        writer.advance(count).unwrap();
        bytes = &bytes[count..];
    }
}

#[test]
fn blobs_that_go_past_the_page_cache_come_back_wherever_they_were_cut() {
    let fixture = Fixture::new();
    for size in [0, 1, 4095, 4096, 512 << 10, (512 << 10) + 1, (3 << 20) + 4097] {
        let bytes = noise(size);
        let blob = described(&bytes);
        for cut in [0, 1, 4096, (1 << 20) + 5, 2 << 20].into_iter().filter(|cut| *cut < size.max(1))
        {
            let resume = || {
                let writer = fixture.store.resume_blob(&Digest::of(&bytes), size as u64);
                let mut writer = writer.unwrap();
                writer.bypass_cache();
                writer
            };
            let mut writer = resume();
            pour(&mut writer, &bytes[..cut]);
            writer.leave().unwrap();
            let mut writer = resume();
            assert_eq!(writer.size(), cut as u64, "of {size}");
            pour(&mut writer, &bytes[cut..]);
            writer.finish_verified(&blob).unwrap();
            assert!(fixture.store.read_blob(&blob).unwrap() == bytes, "{size} cut at {cut}");
            std::fs::remove_file(fixture.store.blob_path(&Digest::of(&bytes))).unwrap();
        }
    }
}

#[test]
fn a_blob_has_no_name_before_it_gets_one() {
    let fixture = Fixture::new();
    let (bytes, none) = (noise(2 << 20), Vec::<String>::new());
    let blob = described(&bytes);
    let mut writer = fixture.store.blob_writer().unwrap();
    writer.write_all(&bytes).unwrap();
    let mut checked = writer.check(&blob).unwrap();
    checked.sync().unwrap();
    assert_eq!(fixture.names("blobs/sha256"), none);
    assert!(checked.read().unwrap() == bytes);
    let named = fixture.store.name_blob(checked).unwrap();
    assert_eq!((named.digest, named.size), (Digest::of(&bytes), bytes.len() as u64));
    assert!(fixture.store.read_blob(&blob).unwrap() == bytes);

    drop(fixture.store.nameless_blob(b"never named").unwrap());
    assert_eq!(fixture.names("blobs/sha256").len(), 1);
    fixture.assert_no_temporary_files();
}

#[test]
fn a_new_store_whose_files_a_power_cut_emptied_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(directory.path()).unwrap());
    std::fs::write(directory.path().join("oci-layout"), b"").unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.references().unwrap(), vec![]);
    let blob = store.put_blob(media_type::MANIFEST, b"{}").unwrap();
    store.tag(&"some:1".parse::<Reference>().unwrap(), &blob).unwrap();
    let layout = std::fs::read(directory.path().join("oci-layout")).unwrap();
    assert_eq!(layout, br#"{"imageLayoutVersion":"1.0.0"}"#);

    std::fs::write(directory.path().join("index.json"), b"").unwrap();
    let store = Store::open(directory.path()).unwrap();
    store.references().expect_err("there were images");
}
