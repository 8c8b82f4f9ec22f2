//! Attestations of images whose manifests become others: their statements are about the new ones.
//!
//! BuildKit's layout (docs/attestations/attestation-storage.md): a manifest whose layers are in-toto
//! statements, with an image's configuration that has them as its layers. A statement that is signed is
//! in an envelope, which is no statement: it stays as it is.

use std::collections::HashMap;

use image::manifest::{self as oci, Descriptor};
use image::{Digest, media_type};
use serde_json::Value;

use super::{ABOUT, Document, Packer};
use crate::Error;

/// What a layer of statements is.
const STATEMENT: &str = "application/vnd.in-toto+json";

/// Whether an index says of a child that it is such a manifest.
pub(super) fn is_one(child: &Value) -> bool {
    let annotation = |name: &str| child["annotations"][name].as_str();
    annotation("vnd.docker.reference.type") == Some("attestation-manifest")
        && annotation(ABOUT).is_some()
        && child["mediaType"].as_str().is_some_and(media_type::is_manifest)
}

impl Packer<'_> {
    /// Packs the manifest, with digests in place of those that have changed.
    pub(super) fn attestation(
        &mut self,
        descriptor: &Descriptor,
        changed: &HashMap<String, String>,
    ) -> Result<Descriptor, Error> {
        let mut manifest: Value = self.store.read_json(descriptor)?;
        let mut renamed = HashMap::new();
        for layer in manifest["layers"].as_array_mut().into_iter().flatten() {
            let Ok(old) = serde_json::from_value::<Descriptor>(layer.clone()) else { continue };
            let Some(new) = self.statement(&old, changed)? else { continue };
            renamed.insert(old.digest().to_string(), new.digest().to_string());
            put(layer, &new);
        }
        if renamed.is_empty() {
            return self.document(descriptor, 1);
        }
        if let Ok(config) = serde_json::from_value::<Descriptor>(manifest["config"].clone()) {
            let new = self.configuration(&config, &renamed)?;
            put(&mut manifest["config"], &new);
        }
        let kind = descriptor.media_type().to_string();
        let bytes = serde_json::to_vec(&manifest).expect("what was JSON is JSON");
        let new = self.store.put_blob(&kind, &bytes)?;
        for part in [&manifest["config"], &manifest["layers"]] {
            let one_or_all = part.as_array().map_or_else(|| vec![part], |all| all.iter().collect());
            for blob in one_or_all {
                if let Ok(blob) = serde_json::from_value::<Descriptor>(blob.clone()) {
                    self.blob(&blob)?;
                }
            }
        }
        let digest = Digest::of(&bytes);
        self.documents.push(Document { descriptor: new.clone(), digest, bytes });
        self.done.insert(oci::digest(descriptor)?, new.clone());
        Ok(new)
    }

    /// The statement about the new digests, where it is about one that has changed.
    fn statement(
        &self,
        layer: &Descriptor,
        changed: &HashMap<String, String>,
    ) -> Result<Option<Descriptor>, Error> {
        if layer.media_type().to_string() != STATEMENT {
            return Ok(None);
        }
        let bytes = self.store.read_blob(layer)?;
        let Ok(mut statement) = serde_json::from_slice::<Value>(&bytes) else { return Ok(None) };
        let mut is_other = false;
        for subject in statement["subject"].as_array_mut().into_iter().flatten() {
            let digest = &mut subject["digest"]["sha256"];
            let new = digest.as_str().and_then(|old| changed.get(&format!("sha256:{old}")));
            if let Some(hex) = new.and_then(|new| new.strip_prefix("sha256:")) {
                *digest = hex.into();
                is_other = true;
            }
        }
        if !is_other {
            return Ok(None);
        }
        let bytes = serde_json::to_vec(&statement).expect("what was JSON is JSON");
        self.store.put_blob(STATEMENT, &bytes).map(Some)
    }

    /// The configuration, which names the layers as an image's does.
    fn configuration(
        &self,
        config: &Descriptor,
        renamed: &HashMap<String, String>,
    ) -> Result<Descriptor, Error> {
        let mut value: Value = self.store.read_json(config)?;
        for diff_id in value["rootfs"]["diff_ids"].as_array_mut().into_iter().flatten() {
            if let Some(new) = diff_id.as_str().and_then(|old| renamed.get(old)) {
                *diff_id = new.clone().into();
            }
        }
        let bytes = serde_json::to_vec(&value).expect("what was JSON is JSON");
        self.store.put_blob(config.media_type().as_ref(), &bytes)
    }
}

/// Makes a descriptor name another blob.
fn put(descriptor: &mut Value, blob: &Descriptor) {
    descriptor["digest"] = blob.digest().to_string().into();
    descriptor["size"] = blob.size().into();
}
