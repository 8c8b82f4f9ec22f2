//! A cache in a directory, which is an image layout (image-spec, image-layout.md).
//!
//! A blob gets its name when it is complete, and index.json is replaced last: whoever is interrupted
//! leaves the cache that was there before. What no entry of the index names any more is removed, so
//! that the directory does not grow from build to build. Builds that write to one directory take turns.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use image::manifest::{Descriptor, ImageIndex};
use image::media_type;
use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use store::{Content, Document, LayerForm, Store, Watch};

use crate::{Error, Interrupt};

/// The annotation by which an index names an image.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Writes an image of the store into a layout, where it is called `tag`.
pub(super) fn write(
    store: &Store,
    image: &Descriptor,
    form: LayerForm,
    path: &Path,
    tag: &str,
    interrupt: &Interrupt,
) -> Result<(), Error> {
    interrupt.check()?;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let hear = |_: store::OutgoingEvent<'_>| {
        if interrupt.is_set() {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    };
    let outgoing = store.outgoing(image, None, form, Watch { hear: &hear, stop: &stop })?;
    let layout = Layout { path };
    let fail = |error| Error::io("write the cache to", path, error);
    let _turn = layout.open().map_err(fail)?;
    for content in &outgoing.contents {
        interrupt.check()?;
        layout.content(content)?;
    }
    outgoing.documents.iter().try_for_each(|document| layout.document(document)).map_err(fail)?;
    let kept = layout.name(&outgoing.image().descriptor, tag).map_err(fail)?;
    layout.sweep(&kept);
    Ok(())
}

struct Layout<'a> {
    path: &'a Path,
}

impl Layout<'_> {
    /// Makes the layout where there is none, and waits for its turn.
    fn open(&self) -> io::Result<File> {
        fs::create_dir_all(self.path.join("blobs/sha256"))?;
        let turn = File::open(self.path)?;
        flock(&turn, FlockOperation::LockExclusive)?;
        self.put(&self.path.join("oci-layout"), |file| {
            file.write_all(br#"{"imageLayoutVersion":"1.0.0"}"#)
        })?;
        Ok(turn)
    }

    fn blob(&self, hex: &str) -> PathBuf {
        self.path.join("blobs/sha256").join(hex)
    }

    /// Copies a blob, unless it is there.
    fn content(&self, content: &Content) -> Result<(), Error> {
        let path = self.blob(&content.digest.hex());
        if fs::metadata(&path).is_ok_and(|there| there.len() == content.size) {
            return Ok(());
        }
        let mut reader = content.open()?;
        self.put(&path, |file| io::copy(&mut reader, file).map(drop))
            .map_err(|error| Error::io("write", &path, error))
    }

    fn document(&self, document: &Document) -> io::Result<()> {
        let path = self.blob(&document.digest.hex());
        self.put(&path, |file| file.write_all(&document.bytes))
    }

    /// A file under its name: complete, or not at all.
    fn put(&self, path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        let temporary = self.path.join(format!(".{}.new", crate::names::unique()));
        let written = File::create(&temporary).and_then(|mut file| write(&mut file));
        let named = written.and_then(|()| fs::rename(&temporary, path));
        if named.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        named
    }

    /// Names the image in the index, in place of what had the name. The entries of the index.
    fn name(&self, image: &Descriptor, tag: &str) -> io::Result<Vec<Descriptor>> {
        let path = self.path.join("index.json");
        let mut entries: Vec<Value> = match fs::read(&path) {
            Ok(bytes) => entries(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        entries.retain(|entry| entry["annotations"][REF_NAME] != tag);
        let mut entry = serde_json::to_value(image)?;
        entry["annotations"] = json!({ REF_NAME: tag });
        entries.push(entry);
        let index = json!({
            "schemaVersion": 2,
            "mediaType": media_type::INDEX,
            "manifests": entries,
        });
        let bytes = serde_json::to_vec(&index)?;
        self.put(&path, |file| file.write_all(&bytes))?;
        let index: ImageIndex = serde_json::from_slice(&bytes)?;
        Ok(index.manifests().clone())
    }

    /// Removes the blobs that no entry names. Where it is not clear what one names, all stay.
    fn sweep(&self, entries: &[Descriptor]) {
        let mut kept = BTreeSet::new();
        let known =
            entries.iter().try_for_each(|entry| self.mark(entry.digest().digest(), &mut kept));
        let blobs = fs::read_dir(self.path.join("blobs/sha256")).into_iter().flatten().flatten();
        for blob in blobs.filter(|_| known.is_ok()) {
            if !kept.contains(&*blob.file_name().to_string_lossy()) {
                let _ = fs::remove_file(blob.path());
            }
        }
    }

    /// A manifest or an index, and what it names.
    fn mark(&self, hex: &str, kept: &mut BTreeSet<String>) -> io::Result<()> {
        if !kept.insert(hex.to_owned()) {
            return Ok(());
        }
        let value: Value = serde_json::from_slice(&fs::read(self.blob(hex))?)?;
        let list = |name: &str| value[name].as_array().cloned().unwrap_or_default();
        let hex =
            |entry: &Value| Some(entry["digest"].as_str()?.strip_prefix("sha256:")?.to_owned());
        let blobs = list("layers").into_iter().chain([value["config"].clone()]);
        kept.extend(blobs.filter_map(|entry| hex(&entry)));
        list("manifests").iter().filter_map(hex).try_for_each(|child| self.mark(&child, kept))
    }
}

fn entries(bytes: &[u8]) -> io::Result<Vec<Value>> {
    let index: Value = serde_json::from_slice(bytes)?;
    Ok(index["manifests"].as_array().cloned().unwrap_or_default())
}
