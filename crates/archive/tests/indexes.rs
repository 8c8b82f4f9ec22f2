//! Images for several platforms, whole and in part.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::AtomicBool;

use archive::{Format, RefName, Saved, Saving, load, save};
use image::manifest::{descriptor, digest, index, manifest};
use image::{Descriptor, Platform, media_type};
use store::{LayerForm, Store, Watch};
use tempfile::TempDir;

struct Place {
    _directory: TempDir,
    store: Store,
}

fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    Place { _directory: directory, store }
}

fn platform(name: &str) -> Platform {
    name.parse().unwrap()
}

fn image(store: &Store, architecture: &str) -> Descriptor {
    let config = serde_json::json!({
        "os": "linux", "architecture": architecture,
        "rootfs": {"type": "layers", "diff_ids": []},
    });
    let config = store.put_json(media_type::CONFIG, &config).unwrap();
    store.put_manifest(&manifest(config, Vec::new())).unwrap()
}

/// An index of two images, neither of them for this machine, and the two.
fn two(store: &Store) -> (Descriptor, Descriptor, Descriptor) {
    let (one, other) = (image(store, "s390x"), image(store, "ppc64le"));
    let index =
        index([(one.clone(), platform("linux/s390x")), (other.clone(), platform("linux/ppc64le"))]);
    (store.put_json(media_type::INDEX, &index).unwrap(), one, other)
}

fn saved(
    store: &Store,
    image: &Descriptor,
    format: Format,
    platform: Option<&Platform>,
) -> Result<Vec<u8>, archive::Error> {
    let never = AtomicBool::new(false);
    let watch = Watch { hear: &|_| {}, stop: &never };
    let saving = Saving { format, platform, form: LayerForm::AsStored, ref_name: RefName::Tag };
    let image =
        Saved { image: image.clone(), names: vec!["app:1".parse().unwrap()], ref_name: None };
    let mut bytes = Vec::new();
    save(store, &[image], saving, &mut bytes, watch)?;
    Ok(bytes)
}

fn loaded(bytes: &[u8]) -> (Place, Descriptor) {
    let place = place();
    let mut loaded = load(&place.store, bytes, &AtomicBool::new(false)).unwrap();
    let one = loaded.remove(0);
    assert!(loaded.is_empty());
    assert_eq!(one.names, ["app:1".parse().unwrap()]);
    (place, one.image)
}

#[test]
fn an_oci_archive_has_all_images_or_the_one_that_is_named() {
    let Place { store, .. } = &place();
    let (index, one, _) = two(store);
    let (there, image) = loaded(&saved(store, &index, Format::Oci, None).unwrap());
    assert_eq!(image.digest(), index.digest());
    assert_eq!(there.store.platforms(&image).unwrap().len(), 2);
    let chosen = platform("linux/s390x");
    let (_, image) = loaded(&saved(store, &index, Format::Oci, Some(&chosen)).unwrap());
    assert_eq!(image.digest(), one.digest());
}

#[test]
fn dockers_archive_has_one() {
    let Place { store, .. } = &place();
    let (index, _, other) = two(store);
    let chosen = platform("linux/ppc64le");
    let (_, image) = loaded(&saved(store, &index, Format::Docker, Some(&chosen)).unwrap());
    assert_eq!(image.digest(), other.digest());
    let error = saved(store, &index, Format::Docker, None).unwrap_err().to_string();
    assert!(error.contains("it has linux/s390x, linux/ppc64le"), "{error}");
}

#[test]
fn of_an_index_in_part_the_whole_image_is_loaded() {
    let Place { store, .. } = &place();
    let (index, _, other) = two(store);
    let whole = saved(store, &index, Format::Oci, None).unwrap();
    let missing = digest(&index).unwrap();
    // As docker saves an image that it has for one platform: the index names more than there is.
    let mut part = tar::Builder::new(Vec::new());
    let gone = blob_of(store, "s390x");
    for entry in tar::Archive::new(&whole[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        if !entry.path().unwrap().ends_with(&gone) {
            part.append(&header, &mut entry).unwrap();
        }
    }
    let (there, image) = loaded(&part.into_inner().unwrap());
    assert_eq!(image.digest(), other.digest());
    assert_ne!(digest(&image).unwrap(), missing);
    let absent = descriptor(media_type::CONFIG, image::Digest::from_hex(&gone).unwrap(), 1);
    assert!(!there.store.has_blob(&absent).unwrap());
}

/// The file name of the configuration for an architecture.
fn blob_of(store: &Store, architecture: &str) -> String {
    let image = image(store, architecture);
    let manifest: image::ImageManifest =
        serde_json::from_slice(&store.read_blob(&image).unwrap()).unwrap();
    digest(manifest.config()).unwrap().hex()
}
