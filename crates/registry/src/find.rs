//! Manifests and indexes of a repository: by name, by digest, for a platform, all of them.

use std::collections::BTreeMap;

use image::manifest::digest;
use image::{Descriptor, Digest, ImageIndex, ImageManifest, Platform, Reference, media_type};

use crate::Error;
use crate::failure::Failure;
use crate::manifest;
pub(crate) use crate::manifest::Document;
use crate::session::Session;
use crate::transport::header;

/// How deep indexes may lie in each other.
pub(crate) const MAX_DEPTH: usize = 4;

/// A manifest as it was read: media type, bytes, digest, meaning.
pub(crate) type Read = (String, Vec<u8>, Digest, Document);

/// An image's manifest with its exact bytes, which its digest is made of.
pub(crate) struct Found {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) manifest: Box<ImageManifest>,
}

impl Found {
    /// The layers, each blob once.
    pub(crate) fn layers(&self) -> Result<BTreeMap<Digest, Descriptor>, Failure> {
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

    pub(crate) fn config(&self) -> Result<Digest, Failure> {
        known(self.manifest.config())
    }
}

/// The digest of a descriptor, in the one algorithm that is used.
pub(crate) fn known(blob: &Descriptor) -> Result<Digest, Failure> {
    digest(blob).map_err(|error| Failure::NotImage(error.to_string()))
}

/// What a reference names, whatever it is. Its digest takes precedence over its tag.
pub(crate) fn named(session: &Session<'_>, reference: &Reference) -> Result<Read, Error> {
    let pinned = reference.digest().copied();
    let tag = reference.tag().unwrap_or("latest").to_owned();
    get(session, &pinned.map_or(tag, |digest| digest.to_string()), pinned)
}

/// All manifests and indexes that an index names, as deep as `depth` allows.
pub(crate) fn children(
    session: &Session<'_>,
    index: &ImageIndex,
    depth: usize,
) -> Result<Vec<Read>, Error> {
    let unusable = |failure| session.error("use the index", failure);
    if depth == 0 {
        let reason = "its indexes lie too deep in each other".to_owned();
        return Err(unusable(Failure::NotManifest(reason)));
    }
    let is_document = |entry: &&Descriptor| {
        let kind = entry.media_type().to_string();
        media_type::is_manifest(&kind) || media_type::is_index(&kind)
    };
    let entries = index.manifests().iter().filter(is_document);
    entries
        .map(|entry| {
            let digest =
                digest(entry).map_err(|error| unusable(Failure::NotManifest(error.to_string())))?;
            get(session, &digest.to_string(), Some(digest))
        })
        .collect()
}

/// Follows the reference through indexes to the manifest of the platform's image.
pub(crate) fn image(session: &Session<'_>, reference: &Reference) -> Result<Found, Error> {
    let mut found = named(session, reference)?;
    for _ in 0..MAX_DEPTH {
        let (media_type, bytes, digest, document) = found;
        let action = format!("use manifest {digest}");
        let index = match document {
            Document::Index(index) => index,
            Document::Manifest(manifest) => {
                manifest::check_image(&manifest)
                    .map_err(|failure| session.error(&action, failure))?;
                return Ok(Found { digest, media_type, bytes, manifest });
            }
        };
        let next = choose(session, &index).map_err(|failure| session.error(&action, failure))?;
        found = get(session, &next.to_string(), Some(next))?;
    }
    let failure = Failure::NotManifest("its indexes lie too deep in each other".to_owned());
    Err(session.error("use the manifest", failure))
}

fn choose(session: &Session<'_>, index: &ImageIndex) -> Result<Digest, Failure> {
    let wanted = session.options.platform.clone().unwrap_or_else(Platform::host);
    let entry = manifest::choose(index, &wanted)?;
    digest(entry).map_err(|error| Failure::NotManifest(error.to_string()))
}

/// Gets a manifest or index by tag or digest; `expected` is what its bytes must hash to.
pub(crate) fn get(
    session: &Session<'_>,
    name: &str,
    expected: Option<Digest>,
) -> Result<Read, Error> {
    let url = session.endpoint.manifest(session.scheme, name);
    session.retry(&format!("get manifest {name}"), || {
        let mut response = session.get(&url, &[("Accept", manifest::ACCEPT)])?;
        let bytes = session.http.read(&mut response, manifest::MAX_SIZE)?;
        let found = Digest::of(&bytes);
        // A registry that says which digest it means has to mean what it sent.
        let said = header(&response, "docker-content-digest").and_then(|said| said.parse().ok());
        let content_type = header(&response, "content-type");
        // An error page has no digest worth a word.
        let (media_type, document) = manifest::parse(&bytes, content_type)?;
        match expected.or(said).filter(|&expected| expected != found) {
            Some(expected) => Err(Failure::Digest { expected, found }),
            None => Ok((media_type, bytes, found, document)),
        }
    })
}
