//! An image, from a registry into the store.
//!
//! ```text
//! name ──▶ manifest, or index ──▶ the platform's manifest ──▶ configuration ──▶ layers, side by side
//!                                                                        ──▶ manifest ──▶ name
//! ```
//!
//! The manifest comes after what it names, and the name comes last: whatever happens, the store holds
//! no image that is not whole. What had come is left without a name, for the next attempt to find or
//! for gc to take.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use image::{Descriptor, DiffId, Digest, ImageConfig, ImageManifest, Platform, Reference};
use store::{Holder, Store};

use crate::Error;
use crate::blob;
use crate::failure::Failure;
use crate::find::{self, Document, Found};
use crate::options::Options;
use crate::progress::Progress;
use crate::queue::side_by_side;
use crate::refusal::printable;
use crate::session::Session;
use crate::sources::Reading;

/// The largest configuration that is taken, in bytes.
const MAX_CONFIG: u64 = 8 * 1024 * 1024;

/// A pulled image.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pulled {
    /// The image's manifest, as it is in the store.
    pub manifest: Descriptor,
    /// The platform that the image is for.
    pub platform: Platform,
}

/// Pulls the image that `reference` names into the store, under this name. Its digest takes
/// precedence over its tag. Where it names an index, the platform's image is taken and the index is
/// not kept. Blobs that the store holds are not asked for.
///
/// Ends soon after `interrupt` is set.
///
/// # Errors
/// [`Error`] says what failed; the name then stands for what it stood for before.
pub fn pull(
    store: &Store,
    reference: &Reference,
    options: &Options,
    progress: &dyn Progress,
    interrupt: &AtomicBool,
) -> Result<Pulled, Error> {
    let reading = Reading { options, rights: "pull", progress, interrupt };
    let pulled = reading.first(reference, |session, name| Pull { session, store }.image(name))?;
    store
        .tag(reference, &pulled.manifest)
        .map_err(|source| Error::store(format!("the name {reference}"), source))?;
    Ok(pulled)
}

/// As [`pull`], without a name: the store's session keeps it until somebody gives it one. With `all`
/// an index comes whole, with every image and artifact that it names.
///
/// # Errors
/// As [`pull`].
pub fn fetch_image(
    store: &Store,
    reference: &Reference,
    all: bool,
    options: &Options,
    progress: &dyn Progress,
    interrupt: &AtomicBool,
) -> Result<Descriptor, Error> {
    let reading = Reading { options, rights: "pull", progress, interrupt };
    reading.first(reference, |session, name| {
        let pull = Pull { session, store };
        match all {
            true => pull.whole(find::named(session, name)?, find::MAX_DEPTH),
            false => pull.image(name).map(|pulled| pulled.manifest),
        }
    })
}

struct Pull<'a> {
    session: &'a Session<'a>,
    store: &'a Store,
}

impl Pull<'_> {
    /// The image for the platform that is asked for.
    fn image(&self, reference: &Reference) -> Result<Pulled, Error> {
        let found = find::image(self.session, reference)?;
        let unusable = |failure| self.session.error("use the manifest", failure);
        let layers = found.layers().map_err(unusable)?;
        let config = found.config().map_err(unusable)?;
        let holds: Vec<Digest> = layers.keys().copied().chain([config, found.digest]).collect();
        // From here until it has its manifest, gc leaves it alone; then the session's lease does.
        let _lease = self
            .store
            .lease(&holds, Holder::Process)
            .map_err(|source| Error::store(format!("image {reference}"), source))?;
        let (platform, diff_ids) = self.config(&found.manifest, config)?;
        let diff_ids = match self.session.options.unpack {
            true => by_digest(&found.manifest, diff_ids).map_err(unusable)?,
            false => BTreeMap::new(),
        };
        self.layers(layers, &diff_ids)?;
        let manifest = self.keep(&found.media_type, &found.bytes, found.digest)?;
        Ok(Pulled { manifest, platform })
    }

    /// A manifest with its blobs, whatever they are, or an index with all that it names.
    fn whole(&self, read: find::Read, depth: usize) -> Result<Descriptor, Error> {
        let (media_type, bytes, digest, document) = read;
        match document {
            Document::Manifest(manifest) => {
                let found = Found { digest, media_type, bytes, manifest };
                let unusable = |failure| self.session.error("use the manifest", failure);
                let mut blobs = found.layers().map_err(unusable)?;
                let config = found.config().map_err(unusable)?;
                blobs.insert(config, found.manifest.config().clone());
                self.layers(blobs, &BTreeMap::new())?;
                self.keep(&found.media_type, &found.bytes, digest)
            }
            Document::Index(index) => {
                for child in find::children(self.session, &index, depth)? {
                    self.whole(child, depth - 1)?;
                }
                self.keep(&media_type, &bytes, digest)
            }
        }
    }

    /// Fetches the configuration, and makes sure that it belongs to the manifest and the platform.
    fn config(
        &self,
        manifest: &ImageManifest,
        digest: Digest,
    ) -> Result<(Platform, Vec<DiffId>), Error> {
        let blob = manifest.config();
        let action = format!("use configuration {}", blob.digest());
        let refuse = |failure| self.session.error(&action, failure);
        if blob.size() > MAX_CONFIG {
            return Err(refuse(Failure::Endless { limit: MAX_CONFIG }));
        }
        blob::fetch(self.session, self.store, blob, digest)?;
        let bytes = self
            .store
            .read_blob(blob)
            .map_err(|source| Error::store(format!("configuration {digest}"), source))?;
        check_config(&bytes, manifest, self.session.options.platform.as_ref()).map_err(refuse)
    }

    /// Fetches the layers, several at a time, and unpacks those whose diff IDs are given. The first failure
    /// ends all of them.
    fn layers(
        &self,
        layers: BTreeMap<Digest, Descriptor>,
        diff_ids: &BTreeMap<Digest, DiffId>,
    ) -> Result<(), Error> {
        let threads = self.session.options.parallel.min(layers.len());
        side_by_side(layers, threads, |(digest, blob)| {
            blob::fetch(self.session, self.store, &blob, digest)
                .and_then(|()| self.unpack(&blob, diff_ids.get(&digest)))
                .inspect_err(|_| self.session.cancel.stop())
        })
    }

    /// Makes the layer's tar of a blob that is here.
    fn unpack(&self, blob: &Descriptor, diff_id: Option<&DiffId>) -> Result<(), Error> {
        let Some(diff_id) = diff_id.filter(|_| !self.session.cancel.is_stopped()) else {
            return Ok(());
        };
        let failed = |source| Error::store(format!("layer {diff_id}"), source);
        self.store.layer(blob, diff_id).map(drop).map_err(failed)
    }

    fn keep(&self, media_type: &str, bytes: &[u8], digest: Digest) -> Result<Descriptor, Error> {
        self.store
            .put_blob(media_type, bytes)
            .map_err(|source| Error::store(format!("manifest {digest}"), source))
    }
}

/// What each layer's blob becomes unpacked.
fn by_digest(
    manifest: &ImageManifest,
    diff_ids: Vec<DiffId>,
) -> Result<BTreeMap<Digest, DiffId>, Failure> {
    let digests = manifest.layers().iter().map(find::known);
    digests.zip(diff_ids).map(|(digest, diff_id)| Ok((digest?, diff_id))).collect()
}

/// Makes sure that a configuration belongs to the manifest, and is for the platform. Gives that, and the
/// layers' diff IDs.
fn check_config(
    bytes: &[u8],
    manifest: &ImageManifest,
    wanted: Option<&Platform>,
) -> Result<(Platform, Vec<DiffId>), Failure> {
    let config: ImageConfig = serde_json::from_slice(bytes)
        .map_err(|error| printable(&format!("its configuration is bad JSON: {error}")))
        .map_err(Failure::NotImage)?;
    let (diff_ids, layers) = (config.rootfs.diff_ids.len(), manifest.layers().len());
    if diff_ids != layers {
        return Err(Failure::NotImage(format!(
            "its configuration is for {diff_ids} layers, its manifest for {layers}"
        )));
    }
    let found = config.platform();
    match wanted.filter(|wanted| !wanted.accepts(&found)) {
        Some(wanted) => Err(Failure::OtherPlatform {
            wanted: wanted.to_string(),
            found: printable(&found.to_string()),
        }),
        None => Ok((found, config.rootfs.diff_ids)),
    }
}
