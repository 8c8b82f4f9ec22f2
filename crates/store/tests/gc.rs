//! What gc takes and what it leaves; leases.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod fixture;

use std::io::Write;

use fixture::{Fixture, tar_of};
use image::manifest::{self, Descriptor};
use image::{Platform, media_type};
use store::{CacheLimit, GarbageKind, GcOptions, Holder, Removal, Store};

fn named(fixture: &Fixture, name: &str, content: &[u8]) -> Descriptor {
    let image = fixture.image(content, "linux/amd64");
    fixture.store.tag(&name.parse().unwrap(), &image).unwrap();
    image
}

#[test]
fn one_blob_goes_only_where_nothing_wants_it() {
    let fixture = Fixture::new();
    let image = named(&fixture, "app", b"content");
    let put = |bytes: &[u8]| {
        let blob = fixture.store.put_blob("text/plain", bytes).unwrap();
        manifest::digest(&blob).unwrap()
    };
    let remove = |digest| fixture.store.remove_blob(&digest).unwrap();
    let (alone, leased) = (put(b"alone"), put(b"leased"));
    assert_eq!(remove(manifest::digest(&image).unwrap()), Removal::InUse);
    // What this store itself wrote is not held against it; what another process holds is.
    assert_eq!((remove(alone), remove(alone)), (Removal::Removed, Removal::Absent));
    let other = Store::open(fixture.store.root()).unwrap();
    let lease = other.lease(&[leased], Holder::Process).unwrap();
    assert_eq!(remove(leased), Removal::InUse);
    let young = put(b"since another is at work");
    assert_eq!(remove(young), Removal::InUse);
    drop(lease);
    assert_eq!((remove(leased), remove(young)), (Removal::Removed, Removal::Removed));

    fixture.store.keep(&image).unwrap();
    fixture.store.untag("app").unwrap();
    assert!(!fixture.store.let_go(&manifest::digest(&image).unwrap()).unwrap(), "it had a name");
    fixture.store.keep(&image).unwrap();
    assert!(fixture.store.let_go(&manifest::digest(&image).unwrap()).unwrap());
    assert_eq!(remove(manifest::digest(&image).unwrap()), Removal::Removed);
}

#[test]
fn gc_keeps_what_is_named_and_takes_the_rest() {
    let fixture = Fixture::new();
    let kept = named(&fixture, "kept", b"kept");
    let gone = named(&fixture, "gone", b"gone");
    let image = |descriptor| fixture.store.image(descriptor, &Platform::host()).unwrap();
    let (kept_image, gone_image) = (image(&kept), image(&gone));
    for image in [&kept_image, &gone_image] {
        std::fs::write(fixture.store.rootfs_path(&image.chain_id()).with_extension("erofs"), "x")
            .unwrap();
    }
    fixture.store.untag("gone").unwrap();
    std::fs::write(fixture.path("tare/tmp/1-1"), "left behind").unwrap();

    let dry = fixture.store.gc(GcOptions { dry_run: true, ..GcOptions::default() }).unwrap();
    assert_eq!(image(&gone), gone_image, "a dry run takes nothing");
    let report = fixture.store.gc(GcOptions::default()).unwrap();
    assert_eq!(report, dry);
    let count = |kind| report.removed.iter().filter(|garbage| garbage.kind == kind).count();
    assert_eq!(count(GarbageKind::Blob), 3);
    assert_eq!(count(GarbageKind::Layer), 2, "tar and table of contents");
    assert_eq!((count(GarbageKind::Rootfs), count(GarbageKind::Temporary)), (1, 1));
    assert!(report.freed_bytes > 0);
    assert_eq!(image(&kept), kept_image);
    assert!(fixture.store.layer_tar(&kept_image.layers()[0].1).is_some());
    assert!(fixture.store.layer_tar(&gone_image.layers()[0].1).is_none());
    assert_eq!(fixture.store.gc(GcOptions::default()).unwrap(), store::GcReport::default());
}

#[test]
fn gc_respects_records_until_told_otherwise() {
    let fixture = Fixture::new();
    let (blob, diff_id, _) = fixture.store.import_layer(&tar_of(&[("a", b"b")])[..]).unwrap();
    let digest = manifest::digest(&blob).unwrap();
    fixture.store.cache_put("step", b"result", &[digest]).unwrap();
    assert_eq!(fixture.store.gc(GcOptions::default()).unwrap().removed, vec![]);
    let report =
        fixture.store.gc(GcOptions { build_cache: &[CacheLimit::ALL], dry_run: false }).unwrap();
    assert_eq!(report.removed.len(), 4, "{report:?}");
    assert_eq!(fixture.store.cache_get("step").unwrap(), None);
    assert_eq!(fixture.store.layer_tar(&diff_id), None);
    fixture.store.cache_put("step", b"again", &[]).unwrap();
}

#[test]
fn gc_leaves_the_work_of_others_alone() {
    let fixture = Fixture::new();
    let other = Store::open(fixture.store.root()).unwrap();
    let mut writing = other.blob_writer().unwrap();
    writing.write_all(b"half").unwrap();
    let written = other.put_blob(media_type::CONFIG, b"{}").unwrap();
    assert_eq!(fixture.store.gc(GcOptions::default()).unwrap().removed, vec![]);
    let blob = writing.finish().unwrap();
    assert_eq!(fixture.store.gc(GcOptions::default()).unwrap().removed, vec![]);
    assert!(other.has_blob(&written).unwrap());
    drop(other);
    let report = fixture.store.gc(GcOptions::default()).unwrap();
    assert_eq!(report.removed.len(), 2, "{report:?}");
    assert!(!fixture.store.blob_path(&blob.digest).exists());
}

#[test]
fn a_lease_lives_and_dies_with_its_holder() {
    let fixture = Fixture::new();
    let image = fixture.image(b"content", "linux/amd64");
    let digest = manifest::digest(&image).unwrap();
    let collected = || fixture.store.gc(GcOptions::default()).unwrap().removed.len();
    let lease = fixture.store.lease(&[digest], Holder::Process).unwrap();
    assert_eq!(collected(), 0);
    let bundle = tempfile::tempdir().unwrap();
    let of_bundle = fixture.store.lease(&[digest], Holder::Bundle(bundle.path())).unwrap();
    let id = of_bundle.id().to_owned();
    drop(lease);
    assert_eq!(collected(), 0, "the bundle is in the making");
    std::fs::write(bundle.path().join("tare.json"), format!(r#"{{"lease":"{id}"}}"#)).unwrap();
    drop(of_bundle);
    assert_eq!((collected(), fixture.names("tare/leases").len()), (0, 1));
    fixture.store.release_lease("../../index.json").unwrap_err();
    std::fs::remove_file(bundle.path().join("tare.json")).unwrap();
    assert_eq!(collected(), 5, "manifest, config, layer blob, tar, table of contents");
    assert_eq!(fixture.names("tare/leases"), Vec::<String>::new());
    fixture.store.release_lease(&id).unwrap();
}

/// Anybody may call an image a layer elsewhere: what it refers to stays all the same.
#[test]
fn an_image_that_is_called_a_layer_keeps_what_it_has() {
    let fixture = Fixture::new();
    let image = fixture.image(b"content", "linux/amd64");
    let whole = fixture.store.image(&image, &Platform::host()).unwrap();
    let layer = whole.layers()[0].0.clone();
    let liar = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::MANIFEST,
        "config": whole.manifest.config(),
        "layers": [{
            "mediaType": media_type::LAYER, "digest": image.digest().to_string(), "size": image.size(),
        }],
    });
    let liar = fixture.store.put_json(media_type::MANIFEST, &liar).unwrap();
    let index = fixture.index(&[&liar, &image]);
    fixture.store.tag(&"app".parse().unwrap(), &index).unwrap();
    fixture.store.gc(GcOptions::default()).unwrap();
    assert!(fixture.store.has_blob(&layer).unwrap());
    assert!(fixture.store.has_blob(&image).unwrap());
}

/// What it names may be all that is left of an image.
#[test]
fn an_index_with_an_entry_that_makes_no_sense_keeps_everything() {
    let fixture = Fixture::new();
    let image = named(&fixture, "app", b"content");
    let mut index = fixture.read_index();
    let sha512 = serde_json::json!({ "digest": format!("sha512:{}", "0".repeat(128)), "size": 1 });
    for wrong in [serde_json::json!({ "digest": 3 }), serde_json::json!("x"), sha512] {
        index["manifests"] = serde_json::json!([wrong]);
        fixture.write_index(&index);
        let error = fixture.store.gc(GcOptions::default()).unwrap_err();
        assert!(matches!(error, store::Error::Json { .. }), "{error}");
        assert!(!fixture.store.usage().unwrap().is_known);
        assert!(fixture.store.has_blob(&image).unwrap());
    }
}
