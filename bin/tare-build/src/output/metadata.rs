//! `--metadata-file`: what was built, in buildx's words.

use std::path::Path;

use anyhow::Context as _;
use build::Attestation;
use image::{Descriptor, ImageManifest, Reference, media_type};
use serde_json::{Map, Value, json};

use super::Delivery;

/// How an image was built, among what is said of it.
fn is_provenance(attestation: &Attestation) -> bool {
    attestation.predicate_type.starts_with("https://slsa.dev/provenance/")
}

/// ```json
/// {"containerimage.config.digest": "sha256:…", "containerimage.descriptor": {"mediaType": "…", …},
///  "containerimage.digest": "sha256:…", "image.name": "docker.io/library/app:latest"}
/// ```
#[derive(Default)]
pub(crate) struct Metadata(Map<String, Value>);

impl Metadata {
    /// What holds wherever the image goes: a single one's configuration.
    pub(super) fn of(delivery: &Delivery<'_>) -> anyhow::Result<Self> {
        let mut metadata = Self::default();
        let image = &delivery.image.manifest;
        if media_type::is_manifest(image.media_type().as_ref()) {
            let manifest: ImageManifest =
                serde_json::from_slice(&delivery.store.read_blob(image)?)?;
            let digest = manifest.config().digest().to_string();
            metadata.0.insert("containerimage.config.digest".to_owned(), digest.into());
        }
        if let Some(explained) = &delivery.explained {
            metadata.0.insert("tare.explain".to_owned(), serde_json::to_value(explained)?);
        }
        if let Some(said) = delivery.image.attestations.iter().find(|it| is_provenance(it)) {
            let statement: Value = serde_json::from_slice(&said.statement)?;
            metadata.0.insert("buildx.build.provenance".to_owned(), statement["predicate"].clone());
        }
        Ok(metadata)
    }

    /// The image as it is in an output, under these names.
    pub(super) fn image(&mut self, image: &Descriptor, names: &[Reference]) {
        let digest = image.digest().to_string();
        self.0.insert("containerimage.descriptor".to_owned(), json!(image));
        self.0.insert("containerimage.digest".to_owned(), digest.into());
        if !names.is_empty() {
            let names: Vec<String> = names.iter().map(Reference::to_string).collect();
            self.0.insert("image.name".to_owned(), names.join(",").into());
        }
    }

    /// Writes the file. Where it cannot be written, it is as it was.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(&self.0)?;
        text.push(b'\n');
        let mut file = cli::Destination::open(path, "--metadata-file")?;
        std::io::Write::write_all(&mut file, &text)
            .with_context(|| format!("cannot write {}", path.display()))?;
        file.finish()
    }
}
