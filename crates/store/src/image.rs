//! An image in the store: manifest and configuration, read and checked.

use std::collections::HashSet;

use image::manifest::{self, Descriptor, ImageIndex, ImageManifest};
use image::{ChainId, DiffId, Digest, ImageConfig, Platform, media_type};
use serde::de::DeserializeOwned;

use crate::{Error, Store};

/// An image: what its manifest and its configuration say.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// What names the manifest.
    pub manifest_descriptor: Descriptor,
    /// The manifest.
    pub manifest: ImageManifest,
    /// The configuration.
    pub config: ImageConfig,
    /// The digest of the configuration: docker's image ID.
    pub config_digest: Digest,
}

impl Image {
    /// The layers, lowest first: the blob and the digest that it has uncompressed.
    pub fn layers(&self) -> Vec<(Descriptor, DiffId)> {
        let diff_ids = self.config.rootfs.diff_ids.iter().copied();
        self.manifest.layers().iter().cloned().zip(diff_ids).collect()
    }

    /// The chain ID of all layers.
    pub fn chain_id(&self) -> ChainId {
        self.config.chain_id()
    }

    /// The digest of the manifest.
    ///
    /// # Errors
    /// It is not SHA-256.
    pub fn digest(&self) -> Result<Digest, Error> {
        Ok(manifest::digest(&self.manifest_descriptor)?)
    }
}

impl Store {
    /// Reads an image. Where `descriptor` names an index, it is the image in it that fits `platform`
    /// best; where it names a manifest, it is that image, whatever its platform.
    ///
    /// # Errors
    /// A blob is missing, corrupt or no image, or nothing fits the platform.
    pub fn image(&self, descriptor: &Descriptor, platform: &Platform) -> Result<Image, Error> {
        let descriptor = self.manifest_for(descriptor, platform)?;
        let digest = manifest::digest(&descriptor)?;
        let manifest: ImageManifest = self.read_json(&descriptor)?;
        let config_type = manifest.config().media_type().to_string();
        if !media_type::is_config(&config_type) {
            let want = "container image";
            return Err(Error::MediaType { digest, media_type: config_type, want });
        }
        let config: ImageConfig = self.read_json(manifest.config())?;
        let (layers, diff_ids) = (manifest.layers().len(), config.rootfs.diff_ids.len());
        if layers != diff_ids {
            return Err(Error::LayerCount { digest, layers, diff_ids });
        }
        let config_digest = manifest::digest(manifest.config())?;
        Ok(Image { manifest_descriptor: descriptor, manifest, config, config_digest })
    }

    /// As [`Store::image`], for a user who names the platform: an image of another is refused.
    ///
    /// # Errors
    /// As [`Store::image`].
    pub fn image_for(&self, descriptor: &Descriptor, platform: &Platform) -> Result<Image, Error> {
        let image = self.image(descriptor, platform)?;
        let offered = image.config.platform();
        match platform.preference(&offered) {
            Some(_) => Ok(image),
            None => Err(Error::NoPlatform {
                digest: image.digest()?,
                wanted: platform.to_string(),
                available: vec![offered.to_string()],
            }),
        }
    }

    /// The platforms that an image is there for: one for a manifest, several for an index.
    ///
    /// # Errors
    /// A blob is missing, corrupt or no image.
    pub fn platforms(&self, descriptor: &Descriptor) -> Result<Vec<(Platform, Descriptor)>, Error> {
        self.candidates(descriptor, &mut HashSet::new())
    }

    /// The manifest that `descriptor` means for `platform`.
    fn manifest_for(
        &self,
        descriptor: &Descriptor,
        platform: &Platform,
    ) -> Result<Descriptor, Error> {
        if media_type::is_manifest(descriptor.media_type().as_ref()) {
            return Ok(descriptor.clone());
        }
        let candidates = self.candidates(descriptor, &mut HashSet::new())?;
        let fitting = candidates.iter().filter_map(|(offered, manifest)| {
            platform.preference(offered).map(|preference| (preference, manifest))
        });
        match fitting.min_by_key(|(preference, _)| *preference) {
            Some((_, manifest)) => Ok(manifest.clone()),
            None => {
                let available = candidates.iter().map(|(offered, _)| offered.to_string()).collect();
                let digest = manifest::digest(descriptor)?;
                Err(Error::NoPlatform { digest, wanted: platform.to_string(), available })
            }
        }
    }

    fn candidates(
        &self,
        descriptor: &Descriptor,
        seen: &mut HashSet<Digest>,
    ) -> Result<Vec<(Platform, Descriptor)>, Error> {
        let media_type = descriptor.media_type().to_string();
        let digest = manifest::digest(descriptor)?;
        if media_type::is_manifest(&media_type) {
            return Ok(self.platform_of(descriptor)?.into_iter().collect());
        }
        if !media_type::is_index(&media_type) {
            return Err(Error::MediaType { digest, media_type, want: "image manifest or index" });
        }
        // Indexes that name each other many times over must not cost more than they are.
        if !seen.insert(digest) {
            return Ok(Vec::new());
        }
        let index: ImageIndex = self.read_json(descriptor)?;
        let mut candidates = Vec::new();
        for child in index.manifests() {
            let child_type = child.media_type().to_string();
            // Signatures and other artifacts stand beside images.
            if media_type::is_manifest(&child_type) || media_type::is_index(&child_type) {
                candidates.extend(self.candidates(child, seen)?);
            }
        }
        Ok(candidates)
    }

    /// The platform of one manifest, by its descriptor or else by its configuration; `None` for what
    /// is no image, such as BuildKit's attestations, whose platform is `unknown`.
    fn platform_of(
        &self,
        descriptor: &Descriptor,
    ) -> Result<Option<(Platform, Descriptor)>, Error> {
        if let Some(platform) = descriptor.platform() {
            let platform = Platform::from(platform);
            let known = platform.os() != "unknown";
            return Ok(known.then(|| (platform, descriptor.clone())));
        }
        let manifest: ImageManifest = self.read_json(descriptor)?;
        if !media_type::is_config(manifest.config().media_type().as_ref()) {
            return Ok(None);
        }
        let config: ImageConfig = self.read_json(manifest.config())?;
        Ok(Some((config.platform(), descriptor.clone())))
    }

    /// A checked JSON blob as a value.
    pub(crate) fn read_json<T: DeserializeOwned>(
        &self,
        descriptor: &Descriptor,
    ) -> Result<T, Error> {
        let bytes = self.read_blob(descriptor)?;
        let kind = descriptor.media_type().to_string();
        let one_kind = match media_type::is_manifest(&kind) || media_type::is_index(&kind) {
            true => manifest::check_kind(&bytes),
            false => Ok(()),
        };
        let parsed = one_kind.and_then(|()| serde_json::from_slice(&bytes));
        parsed.map_err(|source| {
            let path = manifest::digest(descriptor).map(|digest| self.blob_path(&digest));
            Error::Json { path: path.unwrap_or_default(), source }
        })
    }
}
