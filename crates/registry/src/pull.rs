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

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use image::{Descriptor, DiffId, Digest, ImageConfig, ImageManifest, Platform, Reference};
use store::{CheckedBlob, Holder, Store};

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
        let (platform, diff_ids, config) = self.config(&found.manifest, config)?;
        let mut manifest = self.manifest(&found.media_type, &found.bytes, found.digest)?;
        let diff_ids = match self.session.options.unpack {
            true => by_digest(&found.manifest, diff_ids).map_err(unusable)?,
            false => BTreeMap::new(),
        };
        self.layers(layers, &diff_ids, config, &mut manifest)?;
        Ok(Pulled { manifest: self.keep(manifest)?, platform })
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
                let mut manifest = self.manifest(&found.media_type, &found.bytes, digest)?;
                self.layers(blobs, &BTreeMap::new(), None, &mut manifest)?;
                self.keep(manifest)
            }
            Document::Index(index) => {
                for child in find::children(self.session, &index, depth)? {
                    self.whole(child, depth - 1)?;
                }
                self.keep(self.manifest(&media_type, &bytes, digest)?)
            }
        }
    }

    /// Fetches the configuration, and makes sure that it belongs to the manifest and the platform. Where it
    /// was not here it comes without its name.
    fn config(
        &self,
        manifest: &ImageManifest,
        digest: Digest,
    ) -> Result<(Platform, Vec<DiffId>, Option<CheckedBlob>), Error> {
        let blob = manifest.config();
        let action = format!("use configuration {}", blob.digest());
        let refuse = |failure| self.session.error(&action, failure);
        if blob.size() > MAX_CONFIG {
            return Err(refuse(Failure::Endless { limit: MAX_CONFIG }));
        }
        let fetched = blob::fetch(self.session, self.store, blob, digest)?;
        let bytes = match &fetched {
            Some(checked) => checked.read(),
            None => self.store.read_blob(blob),
        };
        let bytes =
            bytes.map_err(|source| Error::store(format!("configuration {digest}"), source))?;
        let wanted = self.session.options.platform.as_ref();
        let (platform, diff_ids) = check_config(&bytes, manifest, wanted).map_err(refuse)?;
        Ok((platform, diff_ids, fetched))
    }

    /// Fetches the layers, several at a time, and unpacks those whose diff IDs are given. The first failure
    /// ends all of them. What is here already is put on disk meanwhile.
    fn layers(
        &self,
        layers: BTreeMap<Digest, Descriptor>,
        diff_ids: &BTreeMap<Digest, DiffId>,
        config: Option<CheckedBlob>,
        manifest: &mut Manifest,
    ) -> Result<(), Error> {
        let mut layers: Vec<_> = layers.into_iter().collect();
        // The largest first: so the last ones end together.
        layers.sort_by_key(|(_, blob)| Reverse(blob.size()));
        let threads = self.session.options.parallel.min(layers.len());
        let stop = || self.session.cancel.stop();
        let (complete, unnamed) = channel();
        thread::scope(|scope| {
            // A name waits for the disk: the next layer comes meanwhile.
            let unnamed = config.into_iter().chain(unnamed);
            let naming = scope.spawn(|| self.names(manifest, unnamed).inspect_err(|_| stop()));
            let fetch = |(digest, blob): (Digest, Descriptor)| {
                self.layer(&blob, digest, diff_ids.get(&digest), &complete)
            };
            let fetched = side_by_side(layers, threads, fetch, stop);
            drop(complete);
            // Where that failed, the others were stopped.
            naming.join().expect("naming does not panic").and(fetched)
        })
    }

    /// Fetches a layer; unpacks it, or hands it on to get its name.
    fn layer(
        &self,
        blob: &Descriptor,
        digest: Digest,
        diff_id: Option<&DiffId>,
        complete: &Sender<CheckedBlob>,
    ) -> Result<(), Error> {
        let fetched = blob::fetch(self.session, self.store, blob, digest)?;
        match (fetched, diff_id) {
            (Some(checked), Some(_)) => blob::name(self.session, self.store, checked)?,
            // Nobody takes it any more where naming has failed.
            (Some(checked), None) => drop(complete.send(checked)),
            (None, _) => {}
        }
        self.unpack(blob, diff_id)
    }

    /// Gives blobs their names, after what else the end of the pull would have to wait for.
    fn names(
        &self,
        manifest: &mut Manifest,
        mut blobs: impl Iterator<Item = CheckedBlob>,
    ) -> Result<(), Error> {
        let synced = self.store.sync_layout().and_then(|()| match manifest.is_new {
            true => manifest.blob.sync(),
            false => Ok(()),
        });
        synced.map_err(|source| Error::store("the manifest".to_owned(), source))?;
        blobs.try_for_each(|blob| blob::name(self.session, self.store, blob))
    }

    /// Makes the layer's tar of a blob that is here.
    fn unpack(&self, blob: &Descriptor, diff_id: Option<&DiffId>) -> Result<(), Error> {
        let Some(diff_id) = diff_id.filter(|_| !self.session.cancel.is_stopped()) else {
            return Ok(());
        };
        let failed = |source| Error::store(format!("layer {diff_id}"), source);
        self.store.layer(blob, diff_id).map(drop).map_err(failed)
    }

    /// The manifest or index, still without its name.
    fn manifest(&self, media_type: &str, bytes: &[u8], digest: Digest) -> Result<Manifest, Error> {
        let descriptor = image::manifest::descriptor(media_type, digest, bytes.len() as u64);
        let failed = |source| Error::store(format!("manifest {digest}"), source);
        let is_new = !self.store.has_blob(&descriptor).map_err(failed)?;
        let blob = self.store.nameless_blob(bytes).map_err(failed)?;
        Ok(Manifest { descriptor, blob, is_new })
    }

    /// Gives the manifest or index its name, after what it names.
    fn keep(&self, manifest: Manifest) -> Result<Descriptor, Error> {
        let Manifest { descriptor, blob, .. } = manifest;
        let failed = |source| Error::store(format!("manifest {}", descriptor.digest()), source);
        self.store.name_blob(blob).map_err(failed)?;
        Ok(descriptor)
    }
}

/// A manifest or an index that is to be in the store.
struct Manifest {
    descriptor: Descriptor,
    blob: CheckedBlob,
    is_new: bool,
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
