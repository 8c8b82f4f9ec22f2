//! A manifest with its layers in the form that is asked for.

use std::sync::atomic::Ordering;

use image::manifest::{self as oci, Descriptor, ImageManifest};
use image::media_type::{self, Compression};
use image::{DiffId, ImageConfig};

use super::recipe::layer_type;
use super::{LayerForm, Packer};
use crate::Error;

impl Packer<'_> {
    /// The manifest's bytes and its media type.
    pub(super) fn manifest(
        &mut self,
        descriptor: &Descriptor,
        kind: String,
    ) -> Result<(Vec<u8>, String), Error> {
        let bytes = self.store.read_blob(descriptor)?;
        let manifest: ImageManifest = self.store.read_json(descriptor)?;
        self.blob(manifest.config())?;
        let is_layer = |layer: &Descriptor| media_type::is_layer(layer.media_type().as_ref());
        // An attestation has the configuration of an image, and layers of its own kind.
        let is_image = media_type::is_config(manifest.config().media_type().as_ref())
            && manifest.layers().iter().all(is_layer);
        if !is_image || self.form == LayerForm::AsStored {
            manifest.layers().iter().try_for_each(|layer| self.blob(layer))?;
            return Ok((bytes, kind));
        }
        let layers = self.layers(descriptor, &manifest)?;
        if layers == *manifest.layers() {
            return Ok((bytes, kind));
        }
        let new = with_layers(manifest, layers, &kind);
        let kind = new.media_type().as_ref().map_or(kind, ToString::to_string);
        Ok((oci::to_json(&new), kind))
    }

    fn layers(
        &mut self,
        descriptor: &Descriptor,
        manifest: &ImageManifest,
    ) -> Result<Vec<Descriptor>, Error> {
        let config: ImageConfig = self.store.read_json(manifest.config())?;
        let (layers, diff_ids) = (manifest.layers(), &config.rootfs.diff_ids);
        if layers.len() != diff_ids.len() {
            let digest = oci::digest(descriptor)?;
            let (layers, diff_ids) = (layers.len(), diff_ids.len());
            return Err(Error::LayerCount { digest, layers, diff_ids });
        }
        layers.iter().zip(diff_ids).map(|(layer, diff_id)| self.layer(layer, diff_id)).collect()
    }

    fn layer(&mut self, layer: &Descriptor, diff_id: &DiffId) -> Result<Descriptor, Error> {
        if self.watch.stop.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        let kind = layer.media_type().to_string();
        let has = media_type::compression(&kind);
        let Some(recipe) = has.and_then(|has| self.form.recipe_for(has)) else {
            self.blob(layer)?;
            return Ok(layer.clone());
        };
        let tar = self.store.layer(layer, diff_id)?;
        let content = self.store.pressed(&tar, recipe, &self.watch)?;
        let docker = kind.starts_with("application/vnd.docker.");
        let kind = layer_type(docker, recipe.compression());
        let new = oci::descriptor(kind, content.digest, content.size);
        self.content(content);
        Ok(new)
    }
}

/// The manifest with other layers. Docker's manifests know no zstd: such a one becomes OCI's, which has
/// the same fields.
fn with_layers(
    mut manifest: ImageManifest,
    mut layers: Vec<Descriptor>,
    kind: &str,
) -> ImageManifest {
    let zstd = |layer: &Descriptor| {
        media_type::compression(layer.media_type().as_ref()) == Some(Compression::Zstd)
    };
    if kind == media_type::DOCKER_MANIFEST && layers.iter().any(zstd) {
        manifest.set_media_type(Some(media_type::MANIFEST.into()));
        let mut config = manifest.config().clone();
        config.set_media_type(media_type::CONFIG.into());
        manifest.set_config(config);
        for layer in &mut layers {
            let compression = media_type::compression(layer.media_type().as_ref());
            if let Some(compression) = compression {
                layer.set_media_type(layer_type(false, compression).into());
            }
        }
    }
    manifest.set_layers(layers);
    manifest
}

#[cfg(test)]
mod tests {
    use image::Digest;

    use super::*;

    #[test]
    fn a_docker_manifest_with_zstd_becomes_one_of_oci() {
        let blob = |kind| oci::descriptor(kind, Digest::of(kind), 1);
        let mut old = oci::manifest(blob(media_type::DOCKER_CONFIG), Vec::new());
        old.set_media_type(Some(media_type::DOCKER_MANIFEST.into()));
        let layers = vec![blob(media_type::DOCKER_LAYER_GZIP), blob(media_type::DOCKER_LAYER_ZSTD)];
        let new = with_layers(old.clone(), layers, media_type::DOCKER_MANIFEST);
        let kinds: Vec<_> = new.layers().iter().map(|it| it.media_type().to_string()).collect();
        assert_eq!(kinds, [media_type::LAYER_GZIP, media_type::LAYER_ZSTD]);
        assert_eq!(new.config().media_type().to_string(), media_type::CONFIG);
        assert_eq!(new.media_type().as_ref().unwrap().to_string(), media_type::MANIFEST);
        let gzip = vec![blob(media_type::DOCKER_LAYER_GZIP)];
        let kept = with_layers(old, gzip, media_type::DOCKER_MANIFEST);
        assert_eq!(kept.media_type().as_ref().unwrap().to_string(), media_type::DOCKER_MANIFEST);
    }
}
