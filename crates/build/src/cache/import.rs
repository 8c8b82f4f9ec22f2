//! From a cache elsewhere to records in the store.

use std::path::Path;
use std::process::Command;

use image::Platform;
use image::manifest::Descriptor;
use store::{Holder, Lease, Store};

use super::{CacheSource, Document};
use crate::record::{self, LayerRef};
use crate::{Error, Interrupt, program};

/// Who brings a cache in.
pub(crate) struct Importer<'a> {
    pub(crate) store: &'a Store,
    /// The program that pulls images.
    pub(crate) puller: &'a Path,
    pub(crate) platform: Platform,
    pub(crate) interrupt: &'a Interrupt,
}

/// Makes records of what a cache has, as far as the store has none. All of its layers are verified
/// before.
pub(crate) fn import(importer: &Importer<'_>, from: &CacheSource) -> Result<(), Error> {
    let store = importer.store;
    let (descriptor, _held) = importer.obtain(from)?;
    let image = store.image(&descriptor, &importer.platform)?;
    let missing = || Error::CacheImport {
        from: from.to_string(),
        said: "it is an image without a build cache".to_owned(),
    };
    let document = Document::read(&image.config).ok_or_else(missing)?;
    let layers = image.layers().into_iter();
    let layers: Vec<LayerRef> =
        layers.map(|(descriptor, diff_id)| LayerRef { descriptor, diff_id }).collect();
    let records = document.records.iter().filter_map(|it| Some((it.key, it.record(&layers)?)));
    for (key, record) in records {
        importer.interrupt.check()?;
        // What the image says of its layers is not taken on trust.
        store.layer(&record.layer.descriptor, &record.layer.diff_id)?;
        if record::get(store, &key)?.is_none() {
            record::put(store, &key, &record)?;
        }
    }
    document.shapes.iter().try_for_each(|shape| record::put_shape(store, shape))
}

impl Importer<'_> {
    /// Brings the image into the store, where it stays as long as it is held.
    fn obtain(&self, from: &CacheSource) -> Result<(Descriptor, Lease), Error> {
        let nothing = || Error::CacheImport {
            from: from.to_string(),
            said: "there is no cache of that name".to_owned(),
        };
        match from {
            CacheSource::Layout { path, tag, digest } => {
                let (tag, digest) = (tag.as_deref(), digest.as_deref());
                let found = self.store.copy_from_layout(path, tag, digest, Some(&self.platform))?;
                self.held(found.ok_or_else(nothing)?)
            }
            CacheSource::Registry { name } => {
                let before = self.store.resolve(name)?;
                self.pull(name)?;
                let (_, found) = self.store.resolve(name)?.ok_or_else(nothing)?;
                let held = self.held(found)?;
                if before.is_none() {
                    // Its records hold what there is of it to be kept.
                    self.store.untag(name)?;
                }
                Ok(held)
            }
        }
    }

    fn held(&self, image: Descriptor) -> Result<(Descriptor, Lease), Error> {
        let lease = self.store.lease(&[record::digest(&image)?], Holder::Process)?;
        Ok((image, lease))
    }

    fn pull(&self, name: &str) -> Result<(), Error> {
        let mut command = Command::new(self.puller);
        command.arg("--store").arg(self.store.root());
        command.args(["pull", "--platform", &self.platform.to_string(), name]);
        let failed = |said: String| Error::CacheImport { from: name.to_owned(), said };
        program::output(&mut command, b"", &mut |_| {}, self.interrupt, failed).map(drop)
    }
}
