//! A cache in a directory, which is an image layout (image-spec, image-layout.md).
//!
//! A blob gets its name when it is complete, and index.json is replaced last: whoever is interrupted
//! leaves the cache that was there before. What no entry of the index names any more is removed, so
//! that the directory does not grow from build to build. Builds that write to one directory take turns.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use archive::{Format, RefName, Saved, Saving};
use image::manifest::{Descriptor, ImageIndex};
use rustix::fs::{FlockOperation, flock};
use serde_json::Value;
use store::{LayerForm, OutgoingEvent, Store, Watch};

use crate::{Error, Interrupt};

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
    let stop = AtomicBool::new(false);
    let hear = |_: OutgoingEvent<'_>| {
        if interrupt.is_set() {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let layout = Layout { path };
    let _turn = layout.take_turn().map_err(|error| Error::io("write the cache to", path, error))?;
    let saved = Saved { image: image.clone(), names: Vec::new(), ref_name: Some(tag.to_owned()) };
    let saving = Saving { format: Format::Oci, platform: None, form, ref_name: RefName::Tag };
    let watch = Watch { hear: &hear, stop: &stop };
    let written = archive::lay_out(store, &[saved], saving, path, watch);
    written.map_err(|error| match error {
        archive::Error::Interrupted => Error::Interrupted,
        error => Error::CacheLayout { path: path.to_owned(), source: Box::new(error) },
    })?;
    layout.sweep();
    Ok(())
}

struct Layout<'a> {
    path: &'a Path,
}

impl Layout<'_> {
    /// Makes the directory where there is none, and waits until no other build writes to it.
    fn take_turn(&self) -> io::Result<File> {
        fs::create_dir_all(self.path)?;
        let turn = File::open(self.path)?;
        flock(&turn, FlockOperation::LockExclusive)?;
        Ok(turn)
    }

    fn blob(&self, hex: &str) -> PathBuf {
        self.path.join("blobs/sha256").join(hex)
    }

    fn entries(&self) -> io::Result<Vec<Descriptor>> {
        let index: ImageIndex = serde_json::from_slice(&fs::read(self.path.join("index.json"))?)?;
        Ok(index.manifests().clone())
    }

    /// Removes the blobs that no entry names. Where it is not clear what one names, all stay.
    fn sweep(&self) {
        let mut kept = BTreeSet::new();
        let known = self.entries().and_then(|entries| {
            entries.iter().try_for_each(|entry| self.mark(entry.digest().digest(), &mut kept))
        });
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
