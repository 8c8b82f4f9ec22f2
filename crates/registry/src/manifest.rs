//! Manifests and indexes as registries send them: read with suspicion, and the platform's chosen.
//!
//! Pure: bytes in, values or a failure out. Image-spec, manifest.md and image-index.md;
//! distribution-spec, "Pulling manifests".

use image::{Descriptor, ImageIndex, ImageManifest, Platform, media_type};
use serde::Deserialize;

use crate::failure::Failure;
use crate::refusal::printable;

/// The largest manifest that is taken, in bytes: what the distribution-spec says that registries
/// should take.
pub(crate) const MAX_SIZE: u64 = 4 * 1024 * 1024;

/// What we can read, best first.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// A manifest or an index.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Document {
    Manifest(Box<ImageManifest>),
    Index(Box<ImageIndex>),
}

/// Reads a manifest or index, and tells its media type: what the document says of itself, the
/// `Content-Type`, or what its fields show, in this order.
///
/// # Errors
/// Where these contradict each other, where it is neither, and for schema 1.
pub(crate) fn parse(
    bytes: &[u8],
    content_type: Option<&str>,
) -> Result<(String, Document), Failure> {
    let content_type = content_type.map(essence).filter(|essence| !is_vague(essence));
    if content_type.as_deref().is_some_and(is_schema1) {
        return Err(Failure::Schema1);
    }
    if let Some(other) = content_type.as_ref().filter(|essence| !is_known(essence)) {
        return Err(Failure::NotManifest(format!("it is of type {}", printable(other))));
    }
    let head: Head = json(bytes)?;
    let media_type = head.media_type(content_type.as_deref())?;
    let document = if media_type::is_index(&media_type) {
        Document::Index(Box::new(json(bytes)?))
    } else {
        Document::Manifest(Box::new(json(bytes)?))
    };
    Ok((media_type, document))
}

/// The entry of an index whose image fits the platform best. An entry that names no platform is
/// taken where no other fits.
///
/// # Errors
/// [`Failure::NoPlatform`].
pub(crate) fn choose<'a>(
    index: &'a ImageIndex,
    wanted: &Platform,
) -> Result<&'a Descriptor, Failure> {
    let usable = |entry: &&Descriptor| is_known(entry.media_type().as_ref());
    let entries = || index.manifests().iter().filter(usable);
    let fitting =
        entries().filter_map(|entry| Some((wanted.preference(&platform(entry)?)?, entry)));
    let best = fitting.min_by_key(|(preference, _)| *preference).map(|(_, entry)| entry);
    best.or_else(|| entries().find(|entry| entry.platform().is_none())).ok_or_else(|| {
        let named = entries().filter_map(platform).map(|platform| platform.to_string());
        // What builders attach to images stands under this name.
        let available = named.filter(|name| name != "unknown/unknown").collect();
        Failure::NoPlatform { wanted: wanted.to_string(), available }
    })
}

fn platform(entry: &Descriptor) -> Option<Platform> {
    let platform = entry.platform().as_ref()?;
    let os = platform.os().to_string();
    let architecture = platform.architecture().to_string();
    Some(Platform::new(&os, &architecture, platform.variant().as_deref()))
}

/// Makes sure that the manifest is that of an image whose layers can be read.
///
/// # Errors
/// [`Failure::NotImage`] says what it is.
pub(crate) fn check_image(manifest: &ImageManifest) -> Result<(), Failure> {
    let config = manifest.config();
    let not = |what: String| Err(Failure::NotImage(printable(&what)));
    if !media_type::is_config(config.media_type().as_ref()) {
        return not(format!("its configuration is of type {}", config.media_type()));
    }
    for (number, layer) in manifest.layers().iter().enumerate() {
        if !media_type::is_layer(layer.media_type().as_ref()) {
            return not(format!("its layer {} is of type {}", number + 1, layer.media_type()));
        }
    }
    Ok(())
}

/// What a document says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    schema_version: Option<u64>,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
}

impl Head {
    fn media_type(&self, content_type: Option<&str>) -> Result<String, Failure> {
        let not = |reason: String| Err(Failure::NotManifest(reason));
        let own = self.media_type.as_deref().map(essence).filter(|own| !own.is_empty());
        if self.schema_version == Some(1) || own.as_deref().is_some_and(is_schema1) {
            return Err(Failure::Schema1);
        }
        let from_fields =
            match (self.manifests.is_some(), self.config.is_some() || self.layers.is_some()) {
                (true, false) => media_type::INDEX,
                (false, true) => media_type::MANIFEST,
                // Two readers could see two different images in it (CVE-2021-41190).
                (true, true) => {
                    return not("it has the fields of an index and of a manifest".to_owned());
                }
                (false, false) => return not("it has neither manifests nor layers".to_owned()),
            };
        match (own, content_type) {
            (Some(own), _) if !is_known(&own) => not(format!("it is of type {}", printable(&own))),
            (Some(own), Some(header)) if own != header => {
                not(format!("it says that it is {own}, but was sent as {header}"))
            }
            (own, header) => {
                let found = own.unwrap_or_else(|| header.unwrap_or(from_fields).to_owned());
                if media_type::is_index(&found) == media_type::is_index(from_fields) {
                    Ok(found)
                } else {
                    not(format!("it is not what its type {found} says"))
                }
            }
        }
    }
}

fn json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::NotManifest(format!("bad JSON: {}", printable(&error.to_string())))
    })
}

/// A media type without its parameters, in lower case.
fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_known(media_type: &str) -> bool {
    media_type::is_manifest(media_type) || media_type::is_index(media_type)
}

/// Types that servers send for files that they know nothing about.
fn is_vague(essence: &str) -> bool {
    matches!(essence, "" | "application/json" | "application/octet-stream" | "text/plain")
}

fn is_schema1(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.docker.distribution.manifest.v1+")
}

#[cfg(test)]
mod tests;
