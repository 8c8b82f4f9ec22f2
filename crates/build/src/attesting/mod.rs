//! Attestations: what is said of an image beside it, in an index.
//!
//! ```text
//! provenance   what the build knows of itself ──▶ attest::provenance
//! packages     the files of the image ──▶ attest::sbom
//! manifest     statements ──▶ an attestation manifest, as BuildKit lays it out
//! ```
//!
//! BuildKit's docs/attestations/attestation-storage.md: a manifest for the platform `unknown/unknown`,
//! whose layers are the statements, and whose descriptor in the index says of which image it speaks.
//! With `SOURCE_DATE_EPOCH` a build says the same each time: its times are that, and its name is made
//! from what went in.

mod manifest;
mod packages;
mod provenance;

use std::time::SystemTime;

use attest::{Subject, sbom};
use image::manifest::Descriptor;
use image::{DateTime, Digest, Platform};

use crate::Error;
use crate::options::{BuildOptions, ContextSource};
use crate::solve::Solver;

/// What is to be said of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attesting {
    /// How it was built.
    pub provenance: Option<ProvenanceOptions>,
    /// What it consists of: SPDX.
    pub packages: bool,
}

impl Attesting {
    pub(crate) fn is_asked(&self) -> bool {
        self.provenance.is_some() || self.packages
    }
}

/// How provenance is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProvenanceOptions {
    /// How much.
    pub mode: attest::provenance::Mode,
    /// In which form.
    pub version: attest::provenance::Version,
    /// A URI for who builds.
    pub builder_id: String,
    /// Whether the user says that the build gives the same bytes each time.
    pub reproducible: bool,
    /// Only beside images, not beside files.
    pub inline_only: bool,
    /// The file's name beside files; `provenance.json` without.
    pub file_name: Option<String>,
}

/// A statement about an image, as it is put beside files.
#[derive(Clone, Debug)]
pub struct Attestation {
    /// What platform the image is for.
    pub platform: Platform,
    /// What to call it there.
    pub file_name: String,
    /// Not to be put there.
    pub inline_only: bool,
    /// What the predicate is.
    pub predicate_type: &'static str,
    /// An in-toto statement (JSON).
    pub statement: Vec<u8>,
}

/// What is known of the build before its solvers are.
pub(crate) struct About {
    started: SystemTime,
    /// The context by its name among the materials, where it is not local.
    context: Option<String>,
    /// Whether the context, and the Dockerfile, come from this machine.
    local_context: bool,
    local_dockerfile: bool,
}

impl About {
    /// A build that begins now.
    pub(crate) fn beginning(context: &ContextSource, dockerfile_at_hand: bool) -> Self {
        let name = match context {
            ContextSource::Http(what) => Some(crate::materials::http_uri(what)),
            ContextSource::Git(what) => Some(crate::materials::git_uri(what)),
            ContextSource::Directory(_) | ContextSource::Stream(_) => None,
        };
        let local_context = name.is_none();
        let local_dockerfile = local_context || dockerfile_at_hand;
        Self { started: SystemTime::now(), context: name, local_context, local_dockerfile }
    }
}

/// Writes what is to be said of an image, and gives what names it in an index.
pub(crate) fn attach(
    solver: &Solver<'_>,
    (manifest, platform): (&Descriptor, &Platform),
    about: &About,
) -> Result<(Descriptor, Vec<Attestation>), Error> {
    let digest = crate::record::digest(manifest)?;
    // The same in whatever form the image leaves.
    let id = solver.store.image(manifest, platform)?.config_digest;
    let options = solver.options;
    let subjects = subjects(options, &digest, platform);
    let mut attestations = Vec::new();
    if options.attesting.packages {
        attestations.push(Attestation {
            platform: platform.clone(),
            file_name: "sbom.spdx.json".to_owned(),
            inline_only: false,
            predicate_type: sbom::PREDICATE_TYPE,
            statement: packages::statement(solver, &id, &subjects)?,
        });
    }
    if let Some(how) = &options.attesting.provenance {
        let file_name = how.file_name.clone().unwrap_or_else(|| "provenance.json".to_owned());
        attestations.push(Attestation {
            platform: platform.clone(),
            file_name,
            inline_only: how.inline_only,
            predicate_type: how.version.predicate_type(),
            statement: provenance::of(solver, how, about).statement(how.version, &subjects),
        });
    }
    Ok((manifest::write(solver.store, manifest, &attestations)?, attestations))
}

/// The image by each of its names.
fn subjects(options: &BuildOptions, digest: &Digest, platform: &Platform) -> Vec<Subject> {
    let named = |name: &image::Reference| {
        Subject::new(&attest::image_purl(&name.to_string(), platform), digest)
    };
    match options.tags.is_empty() {
        true => vec![Subject::new("", digest)],
        false => options.tags.iter().map(named).collect(),
    }
}

/// A time of the build as it is told.
fn told(time: SystemTime, options: &BuildOptions) -> DateTime {
    options.source_date_epoch.map_or_else(|| time.into(), |seconds| DateTime::new(seconds, 0))
}

/// Who builds, as documents have it.
const TOOL: (&str, &str) = ("tare-build", env!("CARGO_PKG_VERSION"));
