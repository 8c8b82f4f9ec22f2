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
use std::sync::{Mutex, PoisonError};
use std::thread;

use image::manifest::digest;
use image::{Descriptor, Digest, ImageConfig, ImageIndex, ImageManifest, Platform, Reference};
use store::{Holder, Store};

use crate::Error;
use crate::blob;
use crate::cancel::{self, Cancel};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::manifest::{self, Document};
use crate::options::Options;
use crate::progress::Progress;
use crate::refusal::printable;
use crate::session::Session;
use crate::transport::header;

/// How deep indexes may lie in each other.
const MAX_DEPTH: usize = 4;
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
    cancel::watching(interrupt, |cancel| pull_watched(store, reference, options, progress, cancel))
}

fn pull_watched(
    store: &Store,
    reference: &Reference,
    options: &Options,
    progress: &dyn Progress,
    cancel: &Cancel<'_>,
) -> Result<Pulled, Error> {
    let endpoint = Endpoint::of(reference);
    let session = Session::connect(&endpoint, options, progress, cancel)?;
    let pull = Pull { session: &session, store };
    let found = pull.image_manifest(reference)?;
    let layers = found.layers().map_err(|failure| session.error("use the manifest", failure))?;
    let config = found.config().map_err(|failure| session.error("use the manifest", failure))?;
    let holds: Vec<Digest> = layers.keys().copied().chain([config, found.digest]).collect();
    // From here until it has its name, gc leaves it alone.
    let _lease = store
        .lease(&holds, Holder::Process)
        .map_err(|source| Error::store(format!("image {reference}"), source))?;
    let platform = pull.config(&found.manifest, config)?;
    pull.layers(layers)?;
    let manifest = pull.keep_manifest(&found)?;
    store
        .tag(reference, &manifest)
        .map_err(|source| Error::store(format!("the name {reference}"), source))?;
    Ok(Pulled { manifest, platform })
}

struct Pull<'a> {
    session: &'a Session<'a>,
    store: &'a Store,
}

/// An image's manifest with its exact bytes, which its digest is made of.
struct Found {
    digest: Digest,
    media_type: String,
    bytes: Vec<u8>,
    manifest: Box<ImageManifest>,
}

impl Found {
    /// The layers, each blob once.
    fn layers(&self) -> Result<BTreeMap<Digest, Descriptor>, Failure> {
        let mut layers: BTreeMap<Digest, Descriptor> = BTreeMap::new();
        for blob in self.manifest.layers() {
            let digest = known(blob)?;
            if layers.get(&digest).is_some_and(|other| other.size() != blob.size()) {
                return Err(Failure::NotImage(format!("its layer {digest} has two sizes")));
            }
            layers.insert(digest, blob.clone());
        }
        Ok(layers)
    }

    fn config(&self) -> Result<Digest, Failure> {
        known(self.manifest.config())
    }
}

/// The digest of a descriptor, in the one algorithm that is used.
fn known(blob: &Descriptor) -> Result<Digest, Failure> {
    digest(blob).map_err(|error| Failure::NotImage(error.to_string()))
}

impl Pull<'_> {
    /// Follows the reference through indexes to the manifest of the platform's image.
    fn image_manifest(&self, reference: &Reference) -> Result<Found, Error> {
        let pinned = reference.digest().copied();
        let tag = reference.tag().unwrap_or("latest").to_owned();
        let mut found = self.document(&pinned.map_or(tag, |digest| digest.to_string()), pinned)?;
        for _ in 0..MAX_DEPTH {
            let (media_type, bytes, digest, document) = found;
            let action = format!("use manifest {digest}");
            let index = match document {
                Document::Index(index) => index,
                Document::Manifest(manifest) => {
                    manifest::check_image(&manifest)
                        .map_err(|failure| self.session.error(&action, failure))?;
                    return Ok(Found { digest, media_type, bytes, manifest });
                }
            };
            let next =
                self.choose(&index).map_err(|failure| self.session.error(&action, failure))?;
            found = self.document(&next.to_string(), Some(next))?;
        }
        let failure = Failure::NotManifest("its indexes lie too deep in each other".to_owned());
        Err(self.session.error("use the manifest", failure))
    }

    fn choose(&self, index: &ImageIndex) -> Result<Digest, Failure> {
        let wanted = self.session.options.platform.clone().unwrap_or_else(Platform::host);
        let entry = manifest::choose(index, &wanted)?;
        digest(entry).map_err(|error| Failure::NotManifest(error.to_string()))
    }

    /// Gets a manifest or index by tag or digest; `expected` is what its bytes must hash to.
    fn document(&self, name: &str, expected: Option<Digest>) -> Result<Read, Error> {
        let url = self.session.endpoint.manifest(self.session.scheme, name);
        self.session.retry(&format!("get manifest {name}"), || {
            let mut response = self.session.get(&url, &[("Accept", manifest::ACCEPT)])?;
            let bytes = self.session.http.read(&mut response, manifest::MAX_SIZE)?;
            let found = Digest::of(&bytes);
            // A registry that says which digest it means has to mean what it sent.
            let said =
                header(&response, "docker-content-digest").and_then(|said| said.parse().ok());
            let content_type = header(&response, "content-type");
            // An error page has no digest worth a word.
            let (media_type, document) = manifest::parse(&bytes, content_type)?;
            match expected.or(said).filter(|&expected| expected != found) {
                Some(expected) => Err(Failure::Digest { expected, found }),
                None => Ok((media_type, bytes, found, document)),
            }
        })
    }

    /// Fetches the configuration, and makes sure that it belongs to the manifest and the platform.
    fn config(&self, manifest: &ImageManifest, digest: Digest) -> Result<Platform, Error> {
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

    /// Fetches the layers, several at a time. The first failure ends all of them.
    fn layers(&self, layers: BTreeMap<Digest, Descriptor>) -> Result<(), Error> {
        let workers = self.session.options.parallel.clamp(1, layers.len().max(1));
        let queue = Mutex::new(layers.into_iter());
        let failed: Mutex<Option<Error>> = Mutex::new(None);
        let work = || {
            while let Some((digest, blob)) = lock(&queue).next() {
                if let Err(error) = blob::fetch(self.session, self.store, &blob, digest) {
                    lock(&failed).get_or_insert(error);
                    return self.session.cancel.stop();
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(work);
            }
            work();
        });
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn keep_manifest(&self, found: &Found) -> Result<Descriptor, Error> {
        self.store
            .put_blob(&found.media_type, &found.bytes)
            .map_err(|source| Error::store(format!("manifest {}", found.digest), source))
    }
}

/// A manifest as it was read: media type, bytes, digest, meaning.
type Read = (String, Vec<u8>, Digest, Document);

/// Makes sure that a configuration belongs to the manifest, and is for the platform.
fn check_config(
    bytes: &[u8],
    manifest: &ImageManifest,
    wanted: Option<&Platform>,
) -> Result<Platform, Failure> {
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
        None => Ok(found),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
