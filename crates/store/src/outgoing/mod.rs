//! An image as it leaves the store: its documents, and its blobs with their layers compressed as asked.
//!
//! ```text
//! index ─▶ manifests ─▶ layers: kept, or compressed (remembered beside the layer) ─▶ contents
//!                    ◀─ new manifest, where a layer became another blob
//!       ◀─ new index, where a manifest became another
//! ```
//!
//! Nothing in the store changes by it, but what is remembered in `tare/layers`. An image none of whose
//! layers change leaves byte for byte as it is. What is no image (a signature, an attestation) is never
//! changed; an attestation is told the new digest of the image that it speaks of, in its statements too.

mod attestation;
mod compress;
mod deflate;
mod manifest;
mod recipe;
mod remember;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use image::manifest::{self as oci, Descriptor};
use image::{DiffId, Digest, Platform, media_type};
use serde_json::Value;

use crate::{BlobReader, Error, Holder, Lease, Store};

pub use recipe::{LayerForm, LevelError, Recipe};

/// How deep indexes may lie in each other.
const MAX_DEPTH: usize = 4;
/// How BuildKit says which manifest an attestation is about.
const ABOUT: &str = "vnd.docker.reference.digest";

/// A blob to send: a configuration, a layer, a part of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The digest of the bytes.
    pub digest: Digest,
    /// How many bytes there are.
    pub size: u64,
    /// The file with them.
    pub path: PathBuf,
}

impl Content {
    /// Opens it for reading. The reader gives an error instead of the end when the bytes are not
    /// those of the digest.
    ///
    /// # Errors
    /// The file cannot be opened, or has another size.
    pub fn open(&self) -> Result<BlobReader, Error> {
        BlobReader::open(&self.path, self.digest, self.size)
    }
}

/// A manifest or index to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What names it, with its media type.
    pub descriptor: Descriptor,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// All that an image consists of outside the store. The store keeps it as long as this lives.
#[derive(Debug)]
pub struct Outgoing {
    /// Manifests and indexes, each after those that it names. The last one is the image.
    pub documents: Vec<Document>,
    /// The blobs, each once.
    pub contents: Vec<Content>,
    #[expect(dead_code, reason = "dropping it gives the image free for gc")]
    lease: Option<Lease>,
}

impl Outgoing {
    /// What names the image outside.
    pub fn image(&self) -> &Document {
        self.documents.last().expect("an image has a manifest")
    }
}

/// What happens while an image is made ready.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum OutgoingEvent<'a> {
    /// A layer begins to be compressed.
    Compressing {
        /// The layer.
        diff_id: DiffId,
        /// How many bytes it has.
        size: u64,
    },
    /// More of it is compressed.
    Compressed {
        /// The layer.
        diff_id: DiffId,
        /// How many bytes more.
        bytes: u64,
    },
    /// All of it is compressed.
    CompressedAll {
        /// The layer.
        diff_id: DiffId,
        /// How many bytes it has become.
        size: u64,
    },
    /// A blob is ready to be sent.
    Ready(&'a Content),
}

use OutgoingEvent as Event;

/// Who hears what happens, possibly from several threads, and who may stop it.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Called for each event. It must return quickly.
    pub hear: &'a (dyn Fn(OutgoingEvent<'_>) + Sync),
    /// Ends the work soon after it is set, with [`Error::Stopped`].
    pub stop: &'a AtomicBool,
}

impl Store {
    /// Makes an image ready to leave: of an index all images, or that of `platform`. Layers are
    /// compressed where `form` asks for it, which may take long; the result is remembered.
    ///
    /// # Errors
    /// A blob is missing or corrupt, the platform is not there, or a layer cannot be compressed.
    pub fn outgoing(
        &self,
        image: &Descriptor,
        platform: Option<&Platform>,
        form: LayerForm,
        watch: Watch<'_>,
    ) -> Result<Outgoing, Error> {
        // A store that may not be written cannot lose anything to gc either.
        let lease = self.lease(&[oci::digest(image)?], Holder::Process).ok();
        let top = match platform {
            Some(platform) => self.image_for(image, platform)?.manifest_descriptor,
            None => image.clone(),
        };
        let mut packer = Packer {
            store: self,
            form,
            watch,
            documents: Vec::new(),
            contents: Vec::new(),
            seen: HashSet::new(),
            done: HashMap::new(),
        };
        packer.document(&top, MAX_DEPTH)?;
        Ok(Outgoing { documents: packer.documents, contents: packer.contents, lease })
    }

    /// The digests under which an image's layers may be known elsewhere: those of their blobs, and of
    /// their compressed forms. Of an index, those of all images; what cannot be read has none.
    pub fn layer_digests(&self, image: &Descriptor) -> Vec<Digest> {
        let images = self.platforms(image).unwrap_or_default();
        let read = images.iter().filter_map(|(platform, it)| self.image(it, platform).ok());
        let layers = read.flat_map(|image| image.layers());
        let mut digests = Vec::new();
        for (blob, diff_id) in layers {
            digests.extend(oci::digest(&blob));
            digests.extend(self.remembered_forms(&diff_id).unwrap_or_default());
        }
        digests
    }
}

struct Packer<'a> {
    store: &'a Store,
    form: LayerForm,
    watch: Watch<'a>,
    documents: Vec<Document>,
    contents: Vec<Content>,
    /// Digests of the contents.
    seen: HashSet<Digest>,
    /// What became of a manifest or an index.
    done: HashMap<Digest, Descriptor>,
}

impl Packer<'_> {
    /// Packs a manifest or index with all that it names, and gives what names it now.
    fn document(&mut self, descriptor: &Descriptor, depth: usize) -> Result<Descriptor, Error> {
        let digest = oci::digest(descriptor)?;
        if let Some(done) = self.done.get(&digest) {
            return Ok(done.clone());
        }
        let kind = descriptor.media_type().to_string();
        let (bytes, kind) = match (media_type::is_manifest(&kind), media_type::is_index(&kind)) {
            (true, _) => self.manifest(descriptor, kind)?,
            (_, true) if depth > 0 => (self.index(descriptor, depth)?, kind),
            _ => {
                let want = "image manifest or index";
                return Err(Error::MediaType { digest, media_type: kind, want });
            }
        };
        let now = Digest::of(&bytes);
        let new = oci::descriptor(&kind, now, bytes.len() as u64);
        self.documents.push(Document { descriptor: new.clone(), digest: now, bytes });
        self.done.insert(digest, new.clone());
        Ok(new)
    }

    /// The index, which stays JSON: what is not understood in it survives.
    fn index(&mut self, descriptor: &Descriptor, depth: usize) -> Result<Vec<u8>, Error> {
        let bytes = self.store.read_blob(descriptor)?;
        let json = |source| {
            let path = oci::digest(descriptor).map(|digest| self.store.blob_path(&digest));
            Error::Json { path: path.unwrap_or_default(), source }
        };
        let mut index: Value = serde_json::from_slice(&bytes).map_err(json)?;
        let mut changed = HashMap::new();
        let mut children: Vec<&mut Value> =
            index["manifests"].as_array_mut().into_iter().flatten().collect();
        // What speaks of images is told their new digests: they come first.
        children.sort_by_key(|child| attestation::is_one(child));
        for child in children {
            let old: Descriptor = serde_json::from_value(child.clone()).map_err(json)?;
            let new = match attestation::is_one(child) && !changed.is_empty() {
                true => self.attestation(&old, &changed)?,
                false => self.child(&old, depth)?,
            };
            if new.digest() != old.digest() {
                child["digest"] = new.digest().to_string().into();
                child["size"] = new.size().into();
                child["mediaType"] = new.media_type().to_string().into();
                changed.insert(old.digest().to_string(), new.digest().to_string());
            }
        }
        if changed.is_empty() {
            return Ok(bytes);
        }
        for child in index["manifests"].as_array_mut().into_iter().flatten() {
            let about = child.get_mut("annotations").and_then(|all| all.get_mut(ABOUT));
            if let Some(about) = about
                && let Some(new) = about.as_str().and_then(|old| changed.get(old))
            {
                *about = new.clone().into();
            }
        }
        Ok(serde_json::to_vec(&index).expect("what was JSON is JSON"))
    }

    /// A child of an index; one that is neither manifest nor index is a blob.
    fn child(&mut self, child: &Descriptor, depth: usize) -> Result<Descriptor, Error> {
        let kind = child.media_type().to_string();
        if media_type::is_manifest(&kind) || media_type::is_index(&kind) {
            return self.document(child, depth - 1);
        }
        self.blob(child)?;
        Ok(child.clone())
    }

    /// A blob as the store has it.
    fn blob(&mut self, blob: &Descriptor) -> Result<(), Error> {
        let digest = oci::digest(blob)?;
        let path = self.store.blob_path(&digest);
        if self.store.has_blob(blob)? {
            self.content(Content { digest, size: blob.size(), path });
            return Ok(());
        }
        // A layer that its owner does not let registries keep is named, and not sent.
        match blob.urls().as_ref().is_some_and(|urls| !urls.is_empty()) {
            true => Ok(()),
            false => Err(Error::MissingBlob { digest, path }),
        }
    }

    fn content(&mut self, content: Content) {
        if self.seen.insert(content.digest) {
            (self.watch.hear)(Event::Ready(&content));
            self.contents.push(content);
        }
    }
}
