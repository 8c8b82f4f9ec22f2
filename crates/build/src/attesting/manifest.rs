//! The attestation manifest.

use std::collections::HashMap;

use image::manifest::{self, Descriptor};
use image::{Digest, ImageConfig, Platform, media_type};
use store::Store;

use super::Attestation;
use crate::Error;

/// What a statement's blob is.
const STATEMENT: &str = "application/vnd.in-toto+json";

/// Writes the manifest of these statements about an image, and gives what names it in an index.
pub(super) fn write(
    store: &Store,
    image: &Descriptor,
    attestations: &[Attestation],
) -> Result<Descriptor, Error> {
    let mut layers = Vec::new();
    let mut config = ImageConfig::empty(&Platform::new("unknown", "unknown", None));
    for attestation in attestations {
        let mut layer = store.put_blob(STATEMENT, &attestation.statement)?;
        let kind = attestation.predicate_type.to_owned();
        layer
            .set_annotations(Some(HashMap::from([("in-toto.io/predicate-type".to_owned(), kind)])));
        config.rootfs.diff_ids.push(Digest::of(&attestation.statement).into());
        layers.push(layer);
    }
    let config = store.put_json(media_type::CONFIG, &config)?;
    let mut descriptor = store.put_manifest(&manifest::manifest(config, layers))?;
    let about = [
        ("vnd.docker.reference.digest", image.digest().to_string()),
        ("vnd.docker.reference.type", "attestation-manifest".to_owned()),
    ];
    descriptor.set_annotations(Some(about.map(|(name, value)| (name.to_owned(), value)).into()));
    Ok(descriptor)
}
