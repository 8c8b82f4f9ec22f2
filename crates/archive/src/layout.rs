//! Images into an image layout that is a directory, beside those that it has.
//!
//! Blobs come first and `index.json` last, each under a temporary name until it is whole. The index is
//! another tool's as well: two that write it at the same moment may lose an entry, as with all tools.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::Ordering;

use image::manifest::REF_NAME;
use image::{Descriptor, media_type};
use serde_json::{Value, json};
use store::{Content, Outgoing, Store, Watch};

use crate::Error;
use crate::files::{failed, whole};
use crate::save::{self, Format, LAYOUT, Saved, Saving};

/// Writes images into the layout in `directory`, which is made where missing, and gives what names
/// them there. An image that has one of the names there loses it.
///
/// # Errors
/// An image is not whole, or the directory cannot be written.
pub fn lay_out(
    store: &Store,
    images: &[Saved],
    saving: Saving<'_>,
    directory: &Path,
    watch: Watch<'_>,
) -> Result<Vec<Descriptor>, Error> {
    let packed = save::pack(store, images, saving, watch)?;
    let layout = Layout { directory };
    layout.make()?;
    for (outgoing, _) in &packed {
        for content in &outgoing.contents {
            if watch.stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            layout.content(content)?;
        }
        for document in &outgoing.documents {
            layout.file(&save::blob_path(&document.digest), &document.bytes)?;
        }
    }
    layout.index(&packed, saving)?;
    if saving.format == Format::Docker {
        layout.file("manifest.json", &save::bytes(&save::docker_list(&packed)?))?;
    }
    Ok(packed.iter().map(|(outgoing, _)| outgoing.image().descriptor.clone()).collect())
}

struct Layout<'a> {
    directory: &'a Path,
}

impl Layout<'_> {
    fn make(&self) -> Result<(), Error> {
        let blobs = self.directory.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(failed(&blobs))?;
        self.file("oci-layout", LAYOUT)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        whole(self.directory, name, |file| file.write_all(bytes))
    }

    fn content(&self, content: &Content) -> Result<(), Error> {
        let name = save::blob_path(&content.digest);
        if self.directory.join(&name).metadata().is_ok_and(|it| it.len() == content.size) {
            return Ok(());
        }
        let mut reader = content.open()?;
        whole(self.directory, &name, |file| io::copy(&mut reader, file).map(drop))
    }

    /// Adds the images to the index; what others wrote in it stays.
    fn index(&self, packed: &[(Outgoing, &Saved)], saving: Saving<'_>) -> Result<(), Error> {
        let path = self.directory.join("index.json");
        let mut index: Value = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(Error::json("index.json"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                json!({ "schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": [] })
            }
            Err(error) => return Err(failed(&path)(error)),
        };
        let new = packed.iter();
        let new: Vec<Value> = new
            .flat_map(|(outgoing, saved)| save::entries(outgoing, saved, saving.ref_name))
            .collect();
        if index.is_object() && !index["manifests"].is_array() {
            index["manifests"] = json!([]);
        }
        if let Some(entries) = index["manifests"].as_array_mut() {
            entries.retain(|old| !new.iter().any(|new| replaces(new, old)));
            entries.extend(new);
        }
        self.file("index.json", &save::bytes(&index))
    }
}

/// Whether a new entry has the old one's name, or neither has one and they are of the same image.
fn replaces(new: &Value, old: &Value) -> bool {
    let name = |entry: &Value| entry["annotations"][REF_NAME].as_str().map(str::to_owned);
    name(new) == name(old) && (name(new).is_some() || new["digest"] == old["digest"])
}
