//! Tars that become layers, and those that do not.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod fixture;

use fixture::{Fixture, gzip, tar_of, zstd};
use image::{Digest, media_type};
use store::Error;
use tree::{Entry, EntryKind, LayerPath, LayerWriter, Metadata};

#[test]
fn imports_recognize_the_compression() {
    let tar = tar_of(&[("a", b"b")]);
    for bytes in [tar.clone(), gzip(&tar), zstd(&tar)] {
        let fixture = Fixture::new();
        let (blob, diff_id, changeset) = fixture.store.import_layer(&bytes[..]).unwrap();
        assert_eq!(blob.media_type().to_string(), media_type::LAYER);
        assert_eq!((*diff_id.digest(), changeset.len()), (Digest::of(&tar), 1));
        assert!(std::fs::read(fixture.store.layer_tar(&diff_id).unwrap().0).unwrap() == tar);
    }
    let fixture = Fixture::new();
    let error = fixture.store.import_layer(&b"\xfd7zXZ\0rest"[..]).unwrap_err();
    assert!(matches!(error, Error::Compression("xz")), "{error}");
    let error = fixture.store.import_layer(&tar[..512]).unwrap_err();
    assert!(matches!(error, Error::Tar { .. }), "{error}");
    assert_eq!(fixture.names("blobs/sha256"), Vec::<String>::new());
}
#[test]
fn a_tar_without_its_end_is_refused() {
    let tar = tar_of(&[("a", b"b"), ("c", b"d")]);
    // Between two files, after the last one, and nothing at all.
    for length in [1024, tar.len() - 1024, 0] {
        for bytes in [tar[..length].to_vec(), gzip(&tar[..length])] {
            let fixture = Fixture::new();
            fixture.store.import_layer(&bytes[..]).expect_err(&format!("{length} bytes"));
            assert_eq!(fixture.names("blobs/sha256"), Vec::<String>::new());
            fixture.assert_no_temporary_files();
        }
    }
}

#[test]
fn a_lowest_layer_must_stand_alone() {
    let mut writer = LayerWriter::new(Vec::new());
    let kind = EntryKind::HardLink(LayerPath::new("nowhere").unwrap());
    let path = LayerPath::new("link").unwrap();
    writer.append(&Entry { path, kind, metadata: Metadata::default() }).unwrap();
    let (tar, _) = writer.finish().unwrap();
    let fixture = Fixture::new();
    let error = fixture.store.import_root(&tar[..]).unwrap_err();
    assert!(matches!(error, Error::Alone { .. }), "{error}");
    assert_eq!(fixture.names("blobs/sha256"), Vec::<String>::new());
    fixture.store.import_layer(&tar[..]).expect("another layer may have it");
}
