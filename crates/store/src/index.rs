//! index.json: read, changed and replaced as a whole, without losing what others wrote in it.
//!
//! The document stays JSON: fields, annotations, doubles and descriptors that this program does not
//! understand survive every change.

use std::path::PathBuf;

use image::Digest;
use image::manifest::{Descriptor, REF_NAME};
use serde_json::{Map, Value};

use crate::temp::sync_directory;
use crate::{Error, Store, files};

/// The largest index.json, in bytes.
const MAX_INDEX: u64 = 256 << 20;

/// The document.
#[derive(Debug)]
pub(crate) struct Index {
    fields: Map<String, Value>,
    pub(crate) entries: Vec<Value>,
}

impl Store {
    pub(crate) fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }

    /// The index as it is now. A layout without one has no images.
    pub(crate) fn read_index(&self) -> Result<Index, Error> {
        let path = self.index_path();
        match files::read_optional(&path, MAX_INDEX)? {
            None => Ok(Index { fields: Map::new(), entries: Vec::new() }),
            Some(bytes) => Index::parse(&bytes).map_err(|source| Error::Json { path, source }),
        }
    }

    /// Changes the index under its lock: nobody else's change is lost, and the new index is on disk
    /// when this returns. Where `change` fails or changes nothing, nothing is written.
    pub(crate) fn change_index<T>(
        &self,
        change: impl FnOnce(&mut Vec<Value>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let _lock = self.lock_index()?;
        let mut index = self.read_index()?;
        let before = index.entries.clone();
        let result = change(&mut index.entries)?;
        match index.entries == before {
            true => self.sync_names()?,
            false => self.write_index(&index.to_bytes())?,
        }
        Ok(result)
    }

    /// Puts the index on disk, after the names of the blobs that it may name.
    fn write_index(&self, bytes: &[u8]) -> Result<(), Error> {
        let path = self.index_path();
        let _names = self.lock_names()?;
        let temp = self.small_file(&path, bytes)?;
        // One transaction of a journal for the file and for the names that were given before.
        temp.sync()?;
        self.sync_layout()?;
        self.sync_names()?;
        temp.publish(&path)?;
        sync_directory(&self.root)
    }
}

impl Index {
    fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut fields: Map<String, Value> = serde_json::from_slice(bytes)?;
        let entries = match fields.remove("manifests") {
            Some(Value::Array(entries)) => entries,
            None | Some(Value::Null) => Vec::new(),
            Some(_) => {
                return Err(serde::de::Error::custom("`manifests` is not an array"));
            }
        };
        Ok(Self { fields, entries })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut fields = self.fields.clone();
        fields.entry("schemaVersion").or_insert(2.into());
        fields.entry("mediaType").or_insert(image::media_type::INDEX.into());
        fields.insert("manifests".to_owned(), Value::Array(self.entries.clone()));
        serde_json::to_vec(&fields).expect("maps with text keys serialize")
    }
}

/// The name that an entry has, as it stands.
pub(crate) fn name(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(REF_NAME)?.as_str()
}

/// The digest of an entry, where it is one of ours.
pub(crate) fn digest(entry: &Value) -> Option<Digest> {
    entry.get("digest")?.as_str()?.parse().ok()
}

/// An entry as a descriptor; `None` for one that no descriptor is like.
pub(crate) fn descriptor(entry: &Value) -> Option<Descriptor> {
    serde_json::from_value(entry.clone()).ok()
}

/// A descriptor as an entry, named or not.
pub(crate) fn entry(descriptor: &Descriptor, name: Option<&str>) -> Value {
    let mut entry = serde_json::to_value(descriptor).expect("a descriptor is plain JSON");
    let object = entry.as_object_mut().expect("a descriptor is an object");
    let annotations = object.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
    if let Some(annotations) = annotations.as_object_mut() {
        match name {
            Some(name) => annotations.insert(REF_NAME.to_owned(), name.into()),
            None => annotations.remove(REF_NAME),
        };
    }
    if annotations.as_object().is_some_and(Map::is_empty) {
        object.remove("annotations");
    }
    entry
}
