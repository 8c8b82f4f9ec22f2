//! From the target's files and history to an image in the store.

use image::manifest::{self, Descriptor};
use image::{DateTime, Digest, History, ImageConfig, media_type};
use store::Store;

use crate::Error;
use crate::plan::Stage;
use crate::solve::{Built, Snapshot};

/// An image that was built.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BuiltImage {
    /// Its manifest.
    pub manifest: Descriptor,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The digest of its configuration: docker's image ID.
    pub config: Digest,
    /// What the user should know, and what is no error.
    pub warnings: Vec<String>,
}

/// Writes configuration and manifest of the image.
pub(crate) fn put(
    store: &Store,
    stage: &Stage,
    built: &Built,
    files: &Snapshot,
) -> Result<BuiltImage, Error> {
    let config = configuration(stage, built.history.clone(), files);
    let config = store.put_json(media_type::CONFIG, &config)?;
    let layers = files.layers.iter().map(|layer| oci(&layer.descriptor)).collect();
    let manifest = store.put_manifest(&manifest::manifest(config.clone(), layers))?;
    let digest = crate::record::digest(&manifest)?;
    let config = crate::record::digest(&config)?;
    Ok(BuiltImage { manifest, digest, config, warnings: Vec::new() })
}

/// A layer of a docker image by the name that OCI has for the same.
fn oci(layer: &Descriptor) -> Descriptor {
    let media_type = match layer.media_type().to_string().as_str() {
        media_type::DOCKER_LAYER => media_type::LAYER,
        media_type::DOCKER_LAYER_GZIP => media_type::LAYER_GZIP,
        _ => return layer.clone(),
    };
    let mut layer = layer.clone();
    layer.set_media_type(media_type.into());
    layer
}

fn configuration(stage: &Stage, mut history: Vec<History>, files: &Snapshot) -> ImageConfig {
    fill_times(&mut history);
    let mut config = stage.config.clone();
    config.created = history.last().and_then(|last| last.created.clone()).or(config.created);
    config.rootfs.diff_ids = files.diff_ids();
    config.history = history;
    config
}

/// Instructions before the first layer have no time of their own: they get that of the first one, so
/// that a rebuild from the cache has the same times.
fn fill_times(history: &mut [History]) {
    let epoch = || DateTime::new(0, 0).to_string();
    let first = history.iter().find_map(|entry| entry.created.clone());
    let mut last = first.unwrap_or_else(epoch);
    for entry in history {
        match &entry.created {
            Some(created) => last.clone_from(created),
            None => entry.created = Some(last.clone()),
        }
    }
}
