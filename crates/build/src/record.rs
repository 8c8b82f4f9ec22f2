//! What the build cache remembers of a step: its layer, and when it was made.

use std::sync::LazyLock;

use image::manifest::Descriptor;
use image::{DiffId, Digest};
use serde::{Deserialize, Serialize};
use store::Store;

use crate::Error;
use crate::key::Key;

/// The result of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The layer; an empty one where the step changed no file.
    pub(crate) layer: LayerRef,
    /// When it was made, as RFC 3339: the same forever, so that a rebuild has the same digest.
    pub(crate) created: String,
    /// The key by content, where the record is found by another one: later steps are keyed by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<Key>,
}

/// A layer in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerRef {
    /// The blob.
    pub(crate) descriptor: Descriptor,
    /// Its digest uncompressed.
    pub(crate) diff_id: DiffId,
}

/// A tar of nothing: two blocks of zeros.
static EMPTY: LazyLock<Digest> = LazyLock::new(|| Digest::of([0; 1024]));

impl LayerRef {
    /// Whether nothing is in it, as after a command that changed no file.
    pub(crate) fn is_empty(&self) -> bool {
        *self.diff_id.digest() == *EMPTY
    }
}

/// The name of a step's record.
fn name(key: &Key) -> String {
    format!("step/{key}")
}

/// The record of the step with this key. One whose layer is gone counts as absent.
pub(crate) fn get(store: &Store, key: &Key) -> Result<Option<Record>, Error> {
    let Some(bytes) = store.cache_get(&name(key))? else { return Ok(None) };
    let Ok(record) = serde_json::from_slice::<Record>(&bytes) else { return Ok(None) };
    Ok(store.has_blob(&record.layer.descriptor)?.then_some(record))
}

/// Remembers a step.
pub(crate) fn put(store: &Store, key: &Key, record: &Record) -> Result<(), Error> {
    let value = serde_json::to_vec(record).map_err(|_| Error::internal("a record is no JSON"))?;
    let blobs = [digest(&record.layer.descriptor)?, *record.layer.diff_id.digest()];
    Ok(store.cache_put(&name(key), &value, &blobs)?)
}

/// Whether a step was ever done on contents of this shape: if not, no record can match.
pub(crate) fn shape_is_known(store: &Store, key: &Key) -> Result<bool, Error> {
    Ok(store.cache_get(&format!("shape/{key}"))?.is_some())
}

/// Remembers that a step was done on contents of this shape.
pub(crate) fn put_shape(store: &Store, key: &Key) -> Result<(), Error> {
    Ok(store.cache_put(&format!("shape/{key}"), b"", &[])?)
}

/// A descriptor's digest as ours.
pub(crate) fn digest(descriptor: &Descriptor) -> Result<Digest, Error> {
    image::manifest::digest(descriptor)
        .map_err(|_| Error::internal("a layer has a digest that is not SHA-256"))
}
