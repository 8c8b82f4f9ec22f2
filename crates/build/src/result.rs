//! From the target's files and history to an image in the store.

use std::sync::PoisonError;

use image::manifest::{self, Descriptor, oci_layer};
use image::{DateTime, Digest, History, ImageConfig, Platform, media_type};
use store::Store;

use crate::AnnotationTarget as Target;
use crate::attesting::{self, About, Attestation};
use crate::plan::Stage;
use crate::solve::{Session, Snapshot, Solver};
use crate::{Error, annotations};

/// An image that was built, or an index of several.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BuiltImage {
    /// Its manifest, or the index.
    pub manifest: Descriptor,
    /// The digest of that.
    pub digest: Digest,
    /// What the user should know, and what is no error.
    pub warnings: Vec<String>,
    /// What is said of it, for those who do not take the index.
    pub attestations: Vec<Attestation>,
}

impl BuiltImage {
    fn new(manifest: Descriptor) -> Result<Self, Error> {
        let digest = crate::record::digest(&manifest)?;
        Ok(Self { manifest, digest, warnings: Vec::new(), attestations: Vec::new() })
    }
}

/// Writes configuration and manifest of the image.
pub(crate) fn image(solver: &Solver<'_>) -> Result<BuiltImage, Error> {
    let (mut manifest, platform) = put(solver)?;
    let annotations = annotations::of(solver, Target::ManifestDescriptor, Some(&platform));
    manifest.set_annotations(annotations);
    BuiltImage::new(manifest)
}

/// Writes the images, and an index of them by their platforms, followed by what is said of them.
pub(crate) fn index(
    store: &Store,
    solvers: &[Solver<'_>],
    about: &About,
) -> Result<BuiltImage, Error> {
    let (mut images, mut beside, mut attestations) = (Vec::new(), Vec::new(), Vec::new());
    for solver in solvers {
        let (mut manifest, platform) = put(solver)?;
        if solver.options.attesting.is_asked() {
            let (attached, said) = attesting::attach(solver, (&manifest, &platform), about)?;
            beside.push((attached, Platform::new("unknown", "unknown", None)));
            attestations.extend(said);
        }
        let annotations = annotations::of(solver, Target::ManifestDescriptor, Some(&platform));
        manifest.set_annotations(annotations);
        images.push((manifest, platform));
    }
    let mut index = manifest::index(images.into_iter().chain(beside));
    let session: &Session<'_> = &solvers[0];
    index.set_annotations(annotations::of(session, Target::Index, None));
    let mut index = store.put_blob(media_type::INDEX, &manifest::index_to_json(&index))?;
    index.set_annotations(annotations::of(session, Target::IndexDescriptor, None));
    Ok(BuiltImage { attestations, ..BuiltImage::new(index)? })
}

fn put(solver: &Solver<'_>) -> Result<(Descriptor, Platform), Error> {
    let target = solver.plan.stages.len() - 1;
    let built = solver.built(target)?;
    let files = built.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
    let mut config = configuration(&solver.plan.stages[target], built.history.clone(), &files);
    clamp(&mut config, solver.options.source_date_epoch);
    if solver.wants_inline_cache() {
        crate::cache::inline(&mut config, &solver.collected);
    }
    let platform = config.platform();
    let config = solver.store.put_json(media_type::CONFIG, &config)?;
    let layers = files.layers.iter().map(|layer| oci_layer(&layer.descriptor)).collect();
    let mut manifest = manifest::manifest(config, layers);
    manifest.set_annotations(annotations::of(solver, Target::Manifest, Some(&platform)));
    Ok((solver.store.put_manifest(&manifest)?, platform))
}

fn configuration(stage: &Stage, mut history: Vec<History>, files: &Snapshot) -> ImageConfig {
    fill_times(&mut history);
    let mut config = stage.config.clone();
    config.created = history.last().and_then(|last| last.created.clone()).or(config.created);
    config.rootfs.diff_ids = files.diff_ids();
    config.history = history;
    config
}

/// No image is younger than `SOURCE_DATE_EPOCH`. What its base says of its own history stays.
fn clamp(config: &mut ImageConfig, epoch: Option<i64>) {
    let created = config.created.as_ref().and_then(|it| it.parse::<DateTime>().ok());
    if let (Some(created), Some(seconds)) = (created, epoch)
        && created > DateTime::new(seconds, 0)
    {
        config.created = Some(DateTime::new(seconds, 0).to_string());
    }
}

/// Instructions before the first layer have no time of their own: they get that of the first one, so
/// that a rebuild from the cache has the same times.
fn fill_times(history: &mut [History]) {
    let epoch = || DateTime::new(0, 0).to_string();
    let first = history.iter().find_map(|entry| entry.created.clone());
    let mut last = first.unwrap_or_else(epoch);
    for entry in history {
        match &entry.created {
            Some(created) => last.clone_from(created),
            None => entry.created = Some(last.clone()),
        }
    }
}
