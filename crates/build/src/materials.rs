//! What a build took from elsewhere, besides images: repositories and files of web servers, by content.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use attest::provenance::Material;
use dockerfile::{GitRef, HttpRef, redacted};
use image::Digest;

use crate::git::Commit;

/// Gathered on the way, by all threads.
#[derive(Default)]
pub(crate) struct Materials(Mutex<BTreeMap<String, Material>>);

impl Materials {
    /// A file that was fetched, or that is known by its checksum.
    pub(crate) fn http(&self, what: &HttpRef, digest: &Digest) {
        self.put(Material::new(http_uri(what), "sha256", digest.hex()));
    }

    /// The commit of a repository.
    pub(crate) fn git(&self, what: &GitRef, commit: &Commit) {
        let algorithm = if commit.name.len() == 64 { "sha256" } else { "sha1" };
        self.put(Material::new(git_uri(what), algorithm, commit.name.clone()));
    }

    /// All, in the order of their names.
    pub(crate) fn all(&self) -> Vec<Material> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn put(&self, material: Material) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(material.uri.clone(), material);
    }
}

/// What a file of a web server is called: its URL, without a password.
pub(crate) fn http_uri(what: &HttpRef) -> String {
    redacted(&what.url).into_owned()
}

/// What a tree of a repository is called: `https://host/repository.git#reference:directory`.
pub(crate) fn git_uri(what: &GitRef) -> String {
    let reference = what.reference.as_deref().unwrap_or_default();
    let directory = what.subdir.as_ref().map(|it| format!(":{it}")).unwrap_or_default();
    let shown = what.shown();
    match reference.is_empty() && directory.is_empty() {
        true => shown,
        false => format!("{shown}#{reference}{directory}"),
    }
}
