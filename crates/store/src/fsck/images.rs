//! What the index names, and all that this refers to.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use image::{Digest, ImageConfig, manifest, media_type};
use serde_json::Value;

use super::Check;
use super::blobs::Damaged;
use crate::blob::MAX_JSON;
use crate::{Error, files, index};

/// The most documents on the way from an index to a layer: cyclic ones are not possible among checked
/// digests, deep ones are nobody's.
const MAX_DEPTH: usize = 16;

/// What is missing or wrong, with the images that want it.
type Faults = BTreeMap<(PathBuf, String), Vec<String>>;

impl Check<'_> {
    /// Checks that each image is whole.
    pub(super) fn images(&mut self, damaged: &Damaged) -> Result<(), Error> {
        let entries = self.store.read_index()?.entries;
        let mut faults = Faults::new();
        for entry in &entries {
            let name = match (index::name(entry), index::digest(entry)) {
                (Some(name), _) => name.to_owned(),
                (None, Some(digest)) => digest.to_string(),
                (None, None) => "an entry without a name".to_owned(),
            };
            let mut image =
                Walk { check: self, damaged, name, faults: &mut faults, seen: HashSet::new() };
            image.entry(entry, 0)?;
        }
        for ((path, what), images) in faults {
            // A blob that was dropped is told once, with the images that it was of.
            let told = self.report.problems.iter_mut().find(|problem| problem.path == path);
            match told {
                Some(problem) => problem.images = images,
                None => self.problem(path, what).images = images,
            }
        }
        Ok(())
    }
}

/// One image on the way from its entry in the index down.
struct Walk<'a, 'c> {
    check: &'a Check<'c>,
    damaged: &'a Damaged,
    name: String,
    faults: &'a mut Faults,
    seen: HashSet<Digest>,
}

impl Walk<'_, '_> {
    fn fault(&mut self, path: PathBuf, what: impl Into<String>) {
        let images = self.faults.entry((path, what.into())).or_default();
        if images.last() != Some(&self.name) {
            images.push(self.name.clone());
        }
    }

    /// A descriptor: of the index, of another index, or of a manifest.
    fn entry(&mut self, entry: &Value, depth: usize) -> Result<(), Error> {
        let Some(digest) = index::digest(entry) else {
            let shown = entry.get("digest").map_or_else(|| "none".to_owned(), Value::to_string);
            self.fault(
                self.check.store.index_path(),
                format!("the digest of {} is {shown}", self.name),
            );
            return Ok(());
        };
        if !self.seen.insert(digest) || depth > MAX_DEPTH {
            return Ok(());
        }
        let path = self.check.store.blob_path(&digest);
        if let Some(what) = self.damaged.get(&digest) {
            self.fault(path, what.clone());
            return Ok(());
        }
        let size = match fs::metadata(&path) {
            Ok(found) => found.len(),
            Err(error) if files::is_absent(&error) => {
                if !is_foreign(entry) {
                    self.fault(path, "it is missing");
                }
                return Ok(());
            }
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        if let Some(want) = entry.get("size").and_then(Value::as_u64)
            && want != size
        {
            self.fault(path.clone(), format!("it has {size} bytes where {want} are named"));
        }
        let kind = entry.get("mediaType").and_then(Value::as_str).unwrap_or_default();
        if media_type::is_index(kind) || media_type::is_manifest(kind) {
            self.document(&path, depth)?;
        }
        Ok(())
    }

    fn document(&mut self, path: &Path, depth: usize) -> Result<(), Error> {
        let bytes = files::read_optional(path, MAX_JSON)?.unwrap_or_default();
        let value: Value = match serde_json::from_slice(&bytes) {
            Ok(value) => value,
            Err(error) => {
                self.fault(path.to_owned(), format!("it is no JSON: {error}"));
                return Ok(());
            }
        };
        if let Err(error) = manifest::check_kind(&bytes) {
            self.fault(path.to_owned(), error.to_string());
        }
        let list =
            |name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let (children, layers) = (list("manifests"), list("layers"));
        for child in children.iter().chain(&layers).chain(value.get("config")) {
            self.entry(child, depth + 1)?;
        }
        if let Some(config) = value.get("config") {
            self.config(config, layers.len())?;
        }
        Ok(())
    }

    /// An image's configuration names as many layers as its manifest has.
    fn config(&mut self, config: &Value, layers: usize) -> Result<(), Error> {
        let kind = config.get("mediaType").and_then(Value::as_str).unwrap_or_default();
        let Some(digest) = index::digest(config).filter(|_| media_type::is_config(kind)) else {
            return Ok(());
        };
        let path = self.check.store.blob_path(&digest);
        let Ok(Some(bytes)) = files::read_optional(&path, MAX_JSON) else { return Ok(()) };
        if self.damaged.contains_key(&digest) {
            return Ok(());
        }
        match serde_json::from_slice::<ImageConfig>(&bytes) {
            Err(error) => self.fault(path, format!("it is no image configuration: {error}")),
            Ok(config) if config.rootfs.diff_ids.len() != layers => {
                let named = config.rootfs.diff_ids.len();
                self.fault(path, format!("it names {named} layers, and the manifest {layers}"));
            }
            Ok(_) => {}
        }
        Ok(())
    }
}

/// Whether a layer may be elsewhere (image-spec, layer.md, "Non-Distributable Layers").
fn is_foreign(entry: &Value) -> bool {
    let kind = entry.get("mediaType").and_then(Value::as_str).unwrap_or_default();
    kind.contains("nondistributable") || kind.contains("foreign")
}
