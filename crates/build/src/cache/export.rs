//! From the records of a build to a cache elsewhere.

use std::collections::BTreeSet;
use std::process::Command;

use image::manifest::{self, Descriptor};
use image::media_type::{self, Compression};
use image::{DiffId, ImageConfig, Platform};
use store::{LayerForm, Store};

use super::{CachePlace, CacheTarget, Collected, Document, layout};
use crate::record::LayerRef;
use crate::{Error, Interrupt, program};

/// Who takes a cache along, and how.
pub(crate) struct Exporter<'a> {
    pub(crate) store: &'a Store,
    /// The program that pushes images.
    pub(crate) pusher: &'a std::path::Path,
    pub(crate) interrupt: &'a Interrupt,
}

/// Takes the cache of a build along. `result` has the layers of what was built.
pub(crate) fn export(
    exporter: &Exporter<'_>,
    target: &CacheTarget,
    collected: &Collected,
    result: &BTreeSet<DiffId>,
) -> Result<(), Error> {
    let store = exporter.store;
    match &target.to {
        CachePlace::Inline => Ok(()),
        CachePlace::Layout { path, tag } => {
            let image = image(store, target, collected, result)?;
            let form = target.form.unwrap_or(LayerForm::AsStored);
            layout::write(store, &image, form, path, tag, exporter.interrupt)
        }
        CachePlace::Registry { name } => {
            let image = image(store, target, collected, result)?;
            exporter.push(&image, target.form, name)
        }
    }
}

/// The cache of an image in its own configuration.
pub(crate) fn inline(config: &mut ImageConfig, collected: &Collected) {
    Document::of(&collected.records(), &config.rootfs.diff_ids).write(config);
}

/// The image that is the cache.
fn image(
    store: &Store,
    target: &CacheTarget,
    collected: &Collected,
    result: &BTreeSet<DiffId>,
) -> Result<Descriptor, Error> {
    let records = collected.records();
    let mut layers: Vec<LayerRef> = Vec::new();
    let mut seen = BTreeSet::new();
    for (_, record) in &records {
        let diff_id = record.layer.diff_id;
        if (target.all || result.contains(&diff_id)) && seen.insert(diff_id) {
            layers.push(record.layer.clone());
        }
    }
    let mut config = ImageConfig::empty(&Platform::host());
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    let mut document = Document::of(&records, &config.rootfs.diff_ids);
    document.shapes = collected.shapes();
    document.write(&mut config);
    let config = store.put_json(media_type::CONFIG, &config)?;
    let layers = layers.iter().map(|layer| image::manifest::oci_layer(&layer.descriptor)).collect();
    Ok(store.put_manifest(&manifest::manifest(config, layers))?)
}

impl Exporter<'_> {
    /// Has the program push the image, which has no name in the store.
    fn push(&self, image: &Descriptor, form: Option<LayerForm>, name: &str) -> Result<(), Error> {
        let known = self.store.references()?.iter().any(|(_, it)| it.digest() == image.digest());
        if !known {
            self.store.keep(image)?;
        }
        let said = self.call(image, form, name);
        if !known {
            self.store.forget(image)?;
        }
        said
    }

    fn call(&self, image: &Descriptor, form: Option<LayerForm>, name: &str) -> Result<(), Error> {
        let mut command = Command::new(self.pusher);
        command.arg("--store").arg(self.store.root()).arg("push").args(flags(form));
        command.arg(image.digest().to_string()).arg(name);
        let failed = |said: String| Error::CacheExport { to: name.to_owned(), said };
        program::output(&mut command, b"", &mut |_| {}, self.interrupt, failed).map(drop)
    }
}

/// A form as the program that pushes is told it.
fn flags(form: Option<LayerForm>) -> Vec<String> {
    let recipe = match form {
        None => return Vec::new(),
        Some(LayerForm::AsStored) => return vec!["--compression=keep".to_owned()],
        Some(LayerForm::All(recipe) | LayerForm::Compressed(recipe)) => recipe,
    };
    let name = match recipe.compression() {
        Compression::None => return vec!["--compression=uncompressed".to_owned()],
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
    };
    vec![format!("--compression={name}"), format!("--compression-level={}", recipe.level())]
}
