//! The build cache, to take along: to another machine, by a directory or a registry, or in the image.
//!
//! ```text
//! image configuration   rootfs.diff_ids: the layers of steps
//!                       "tare.cache.v1": {"records": [{"key", "layer", "created", "content"?}, …],
//!                                         "shapes": [key, …]}
//! ```
//!
//! A cache is an image: any registry keeps it, any tool copies it, and every blob is verified as an
//! image's. Its configuration says which keys ([`crate::key`]) each layer is found by; `layer` counts
//! in `diff_ids`. `content` is the key that later steps are keyed by, where that is another one. An
//! *inline* cache is the same field in the configuration of the image that was built.
//!
//! With `mode=min` the layers of the result are taken along, with `mode=max` those of all steps.
//! Whoever imports a cache trusts who made it to have done what the keys say. That the layers are
//! those that it names is checked, before a record of them is made; what is not is refused, and the
//! build does without.

mod collect;
mod export;
mod import;
mod layout;
mod session;

use std::fmt;
use std::path::PathBuf;

use image::{DiffId, ImageConfig};
use serde::{Deserialize, Serialize};
use store::LayerForm;

pub(crate) use collect::Collected;
pub(crate) use export::inline;
pub(crate) use session::{export_all, import_all};

use crate::key::Key;
use crate::record::{LayerRef, Record};

/// The field of an image's configuration that has a cache.
const FIELD: &str = "tare.cache.v1";

/// Where a cache comes from: `--cache-from`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheSource {
    /// A directory, which is an image layout.
    Layout {
        /// The directory.
        path: PathBuf,
        /// The cache's name in it; its only one, or `latest`, without.
        tag: Option<String>,
        /// The digest of its manifest, in place of a name.
        digest: Option<String>,
    },
    /// An image of a registry.
    Registry {
        /// Its name.
        name: String,
    },
}

/// Where a cache goes: `--cache-to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheTarget {
    /// Where.
    pub to: CachePlace,
    /// Whether the layers of all steps are taken along, not only those of the result.
    pub all: bool,
    /// How its layers are compressed: by gzip for a registry, and for a directory not at all, unless it
    /// says otherwise.
    pub form: Option<LayerForm>,
    /// Whether a failure is a warning.
    pub ignore_error: bool,
}

/// Kinds of places for a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CachePlace {
    /// A directory, which is an image layout. Blobs in it that nothing there names any more go.
    Layout {
        /// The directory.
        path: PathBuf,
        /// The cache's name in it.
        tag: String,
    },
    /// An image of a registry.
    Registry {
        /// Its name.
        name: String,
    },
    /// The image that is built.
    Inline,
}

impl fmt::Display for CacheSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout { path, .. } => path.display().fmt(f),
            Self::Registry { name } => name.fmt(f),
        }
    }
}

impl fmt::Display for CachePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout { path, .. } => path.display().fmt(f),
            Self::Registry { name } => name.fmt(f),
            Self::Inline => f.write_str("the image"),
        }
    }
}

/// What [`FIELD`] holds.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Document {
    records: Vec<Entry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    shapes: Vec<Key>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    key: Key,
    layer: usize,
    created: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<Key>,
}

impl Document {
    /// The document of these records, as far as the layers have theirs.
    fn of(records: &[(Key, Record)], diff_ids: &[DiffId]) -> Self {
        let entry = |(key, record): &(Key, Record)| {
            let layer = diff_ids.iter().position(|id| *id == record.layer.diff_id)?;
            Some(Entry {
                key: *key,
                layer,
                created: record.created.clone(),
                content: record.content,
            })
        };
        Self { records: records.iter().filter_map(entry).collect(), shapes: Vec::new() }
    }

    /// What an image's configuration says. `None` where it has no cache, or one of another version.
    fn read(config: &ImageConfig) -> Option<Self> {
        serde_json::from_value(config.extra.get(FIELD)?.clone()).ok()
    }

    fn write(&self, config: &mut ImageConfig) {
        if let Ok(value) = serde_json::to_value(self) {
            config.extra.insert(FIELD.to_owned(), value);
        }
    }
}

impl Entry {
    /// The record, where the image has such a layer.
    fn record(&self, layers: &[LayerRef]) -> Option<Record> {
        let layer = layers.get(self.layer)?.clone();
        Some(Record { layer, created: self.created.clone(), content: self.content })
    }
}

#[cfg(test)]
mod tests {
    use image::{Digest, Platform};

    use super::*;
    use crate::key::scratch;

    #[test]
    fn through_a_configuration_and_back() {
        let diff_id = DiffId::from(Digest::of("x"));
        let descriptor = serde_json::from_value(serde_json::json!({
            "mediaType": image::media_type::LAYER, "digest": Digest::of("x"), "size": 1,
        }));
        let descriptor = descriptor.unwrap();
        let layer = LayerRef { descriptor, diff_id };
        let record = Record { layer: layer.clone(), created: "now".into(), content: None };
        let document = Document::of(&[(scratch(), record.clone())], &[diff_id]);
        let mut config = ImageConfig::empty(&Platform::host());
        assert_eq!(Document::read(&config), None);
        document.write(&mut config);
        let read = Document::read(&config).unwrap();
        assert_eq!(read, document);
        assert_eq!(read.records[0].record(&[layer]), Some(record));
        assert_eq!(read.records[0].record(&[]), None, "a layer that is not there");
    }
}
