//! Docker's `manifest.json`: images by the paths of their files, without manifests.

use std::fs::File;
use std::io::Read as _;

use image::manifest::{descriptor, digest, manifest};
use image::media_type::{self, Compression};
use image::{Descriptor, DiffId, ImageConfig, ImageManifest, Reference};
use serde::Deserialize;
use store::{Blob, Store};

use super::Loaded;
use super::files::Files;
use crate::Error;

/// An image as the document lists it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

pub(super) fn entries(bytes: &[u8]) -> Result<Vec<Entry>, Error> {
    serde_json::from_slice(bytes).map_err(Error::json("manifest.json"))
}

impl Entry {
    fn names(&self) -> Vec<Reference> {
        let names = self.repo_tags.iter().flatten();
        names.filter_map(|name| name.parse().ok()).collect()
    }
}

/// An image of an archive that has no manifests: one is made, and each layer checked against the
/// configuration. A compressed layer is checked when it is first used.
pub(super) fn image(store: &Store, entry: &Entry, files: &Files) -> Result<Loaded, Error> {
    let config = files.blob(&entry.config)?;
    let config = descriptor(media_type::CONFIG, config.digest, config.size);
    let read: ImageConfig =
        serde_json::from_slice(&store.read_blob(&config)?).map_err(Error::json(&entry.config))?;
    let (paths, diff_ids) = (entry.layers.as_deref().unwrap_or_default(), &read.rootfs.diff_ids);
    if paths.len() != diff_ids.len() {
        let (layers, diff_ids) = (paths.len(), diff_ids.len());
        return Err(Error::LayerCount { config: entry.config.clone(), layers, diff_ids });
    }
    let layers = paths.iter().zip(diff_ids).map(|(path, want)| layer(store, files, path, want));
    let image = store.put_manifest(&manifest(config, layers.collect::<Result<_, _>>()?))?;
    Ok(Loaded { image, names: entry.names() })
}

fn layer(store: &Store, files: &Files, path: &str, want: &DiffId) -> Result<Descriptor, Error> {
    let Blob { digest, size } = files.blob(path)?;
    let kind = match compression(store, &digest)? {
        Compression::None if digest == *want.digest() => media_type::LAYER,
        Compression::None => {
            return Err(Error::DiffId { name: path.to_owned(), want: *want, got: digest });
        }
        Compression::Gzip => media_type::LAYER_GZIP,
        Compression::Zstd => media_type::LAYER_ZSTD,
    };
    Ok(descriptor(kind, digest, size))
}

fn compression(store: &Store, blob: &image::Digest) -> Result<Compression, Error> {
    let path = store.blob_path(blob);
    let mut start = Vec::new();
    File::open(&path)
        .and_then(|file| file.take(6).read_to_end(&mut start))
        .map_err(|source| Error::Layer { path, source })?;
    Ok(Compression::of_magic(&start))
}

/// Adds the names that the document gives to images of a layout, which are known by their
/// configurations. What cannot be read gives none: it is there for readers that know no layout.
pub(super) fn add_names(store: &Store, loaded: &mut [Loaded], entries: &[Entry], files: &Files) {
    for entry in entries {
        let Ok(config) = files.blob(&entry.config) else { continue };
        let has = |image: &Loaded| config_of(store, &image.image) == Some(config.digest);
        if let Some(image) = loaded.iter_mut().find(|image| has(image)) {
            for name in entry.names() {
                if !image.names.contains(&name) {
                    image.names.push(name);
                }
            }
        }
    }
}

fn config_of(store: &Store, image: &Descriptor) -> Option<image::Digest> {
    if !media_type::is_manifest(image.media_type().as_ref()) {
        return None;
    }
    let manifest: ImageManifest = serde_json::from_slice(&store.read_blob(image).ok()?).ok()?;
    digest(manifest.config()).ok()
}
