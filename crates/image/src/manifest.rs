//! Manifests and indexes: `oci_spec`'s types, and their bytes.
//!
//! Image-spec, manifest.md and image-index.md.

use std::collections::{BTreeMap, HashMap};

use oci_spec::image::{ImageIndexBuilder, ImageManifestBuilder};
use serde::Serialize;

pub use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};

use crate::media_type;
use crate::{Digest, DigestError, Platform};

/// The annotation that names an image in a layout's index (image-spec, annotations.md): a full name for
/// podman, a tag for docker and buildx, anything for skopeo.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A descriptor for a blob.
pub fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor::new(media_type.into(), size, digest)
}

/// A descriptor's digest as ours.
///
/// # Errors
/// An algorithm other than SHA-256.
pub fn digest(descriptor: &Descriptor) -> Result<Digest, DigestError> {
    Digest::try_from(descriptor.digest())
}

/// A manifest of an image with this configuration and these layers, lowest first.
pub fn manifest(config: Descriptor, layers: Vec<Descriptor>) -> ImageManifest {
    ImageManifestBuilder::default()
        .schema_version(oci_spec::image::SCHEMA_VERSION)
        .media_type(media_type::MANIFEST)
        .config(config)
        .layers(layers)
        .build()
        .expect("every required field is given")
}

/// An index of images, each with the platform that it is for.
pub fn index(images: impl IntoIterator<Item = (Descriptor, Platform)>) -> ImageIndex {
    let manifests = images.into_iter().map(|(mut descriptor, platform)| {
        descriptor.set_platform(Some((&platform).into()));
        descriptor
    });
    ImageIndexBuilder::default()
        .schema_version(oci_spec::image::SCHEMA_VERSION)
        .media_type(media_type::INDEX)
        .manifests(manifests.collect::<Vec<_>>())
        .build()
        .expect("every required field is given")
}

/// Refuses a document that is a manifest and an index at once: readers that differ in what they take it for
/// would see different images under one digest (image-spec, CVE-2021-41190).
///
/// # Errors
/// It has both `manifests` and `layers`, or is no JSON object.
pub fn check_kind(document: &[u8]) -> Result<(), serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Kinds {
        manifests: Option<serde::de::IgnoredAny>,
        layers: Option<serde::de::IgnoredAny>,
    }
    match serde_json::from_slice(document)? {
        Kinds { manifests: Some(_), layers: Some(_) } => {
            Err(serde::de::Error::custom("it is an index and a manifest at once"))
        }
        _ => Ok(()),
    }
}

/// A layer of a docker image by the name that OCI has for the same; any other as it is.
pub fn oci_layer(layer: &Descriptor) -> Descriptor {
    let media_type = match layer.media_type().to_string().as_str() {
        media_type::DOCKER_LAYER => media_type::LAYER,
        media_type::DOCKER_LAYER_GZIP => media_type::LAYER_GZIP,
        _ => return layer.clone(),
    };
    let mut layer = layer.clone();
    layer.set_media_type(media_type.into());
    layer
}

/// The bytes of a manifest. `oci_spec` keeps annotations in a map without order; here they are
/// sorted, because equal manifests must have equal digests.
pub fn to_json(manifest: &ImageManifest) -> Vec<u8> {
    let in_order = InOrder {
        schema_version: manifest.schema_version(),
        media_type: manifest.media_type().as_ref(),
        artifact_type: manifest.artifact_type().as_ref(),
        config: (manifest.config()).into(),
        layers: manifest.layers().iter().map(Into::into).collect(),
        subject: manifest.subject().as_ref().map(Into::into),
        annotations: sorted(manifest.annotations()),
    };
    serde_json::to_vec(&in_order).expect("maps with text keys serialize")
}

/// The bytes of an index, in order for the same reason.
pub fn index_to_json(index: &ImageIndex) -> Vec<u8> {
    let in_order = IndexInOrder {
        schema_version: index.schema_version(),
        media_type: index.media_type().as_ref(),
        artifact_type: index.artifact_type().as_ref(),
        manifests: index.manifests().iter().map(Into::into).collect(),
        subject: index.subject().as_ref().map(Into::into),
        annotations: sorted(index.annotations()),
    };
    serde_json::to_vec(&in_order).expect("maps with text keys serialize")
}

type MediaType = oci_spec::image::MediaType;

fn sorted(map: &Option<HashMap<String, String>>) -> Option<BTreeMap<&str, &str>> {
    let pairs = map.as_ref()?.iter();
    Some(pairs.map(|(key, value)| (key.as_str(), value.as_str())).collect())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InOrder<'a> {
    schema_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<&'a MediaType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a MediaType>,
    config: DescriptorInOrder<'a>,
    layers: Vec<DescriptorInOrder<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<DescriptorInOrder<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<&'a str, &'a str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IndexInOrder<'a> {
    schema_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<&'a MediaType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a MediaType>,
    manifests: Vec<DescriptorInOrder<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<DescriptorInOrder<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<&'a str, &'a str>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescriptorInOrder<'a> {
    media_type: &'a MediaType,
    digest: &'a oci_spec::image::Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    urls: &'a Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<BTreeMap<&'a str, &'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: &'a Option<oci_spec::image::Platform>,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: &'a Option<MediaType>,
}

impl<'a> From<&'a Descriptor> for DescriptorInOrder<'a> {
    fn from(descriptor: &'a Descriptor) -> Self {
        Self {
            media_type: descriptor.media_type(),
            digest: descriptor.digest(),
            size: descriptor.size(),
            urls: descriptor.urls(),
            annotations: sorted(descriptor.annotations()),
            data: descriptor.data(),
            platform: descriptor.platform(),
            artifact_type: descriptor.artifact_type(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_in_order_and_read_back() {
        let config = descriptor(media_type::CONFIG, Digest::of(b"config"), 6);
        let mut layer = descriptor(media_type::LAYER, Digest::of(b"layer"), 5);
        let pairs = ["z", "a", "m", "b"].map(|key| (key.to_owned(), "1".to_owned()));
        layer.set_annotations(Some(pairs.into()));
        let manifest = manifest(config, vec![layer]);
        let bytes = to_json(&manifest);
        assert_eq!(serde_json::from_slice::<ImageManifest>(&bytes).unwrap(), manifest);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with(r#"{"schemaVersion":2,"mediaType":"#), "{text}");
        assert!(text.contains(r#"{"a":"1","b":"1","m":"1","z":"1"}"#), "{text}");
    }

    #[test]
    fn an_index_is_in_order_too() {
        let image = descriptor(media_type::MANIFEST, Digest::of(b"manifest"), 8);
        let mut index = index([(image, "linux/arm64".parse().unwrap())]);
        assert_eq!(index_to_json(&index), serde_json::to_vec(&index).unwrap());
        let pairs = ["z", "a", "m", "b"].map(|key| (key.to_owned(), "1".to_owned()));
        index.set_annotations(Some(pairs.into()));
        let bytes = index_to_json(&index);
        assert_eq!(serde_json::from_slice::<ImageIndex>(&bytes).unwrap(), index);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.ends_with(r#""annotations":{"a":"1","b":"1","m":"1","z":"1"}}"#), "{text}");
    }
}
