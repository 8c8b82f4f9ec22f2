//! Contexts that are fetched.

use std::io::BufWriter;

use dockerfile::{GitRef, HttpRef, redacted};
use tree::{LayerPath, LayerWriter, Metadata, Timestamp};

use super::Opener;
use crate::Error;
use crate::fetch::{Fetched, fetch};
use crate::git::{Checkout, Fetcher};
use crate::source::Archive;

/// What a resource is called in a context of its own (BuildKit's word).
const NAME: &str = "context";

impl Opener<'_> {
    pub(super) fn download(&self, what: &HttpRef) -> Result<Fetched, Error> {
        let name = format!("load build context {}", redacted(&what.url));
        let fetched = self.show(&name, |hear| {
            fetch(self.store, self.fetcher, what, None, hear, self.interrupt)
        })?;
        self.materials.http(what, &fetched.digest);
        Ok(fetched)
    }

    pub(super) fn checkout(&self, what: &GitRef, keep_git_dir: bool) -> Result<Checkout, Error> {
        let program = self.git;
        let (store, interrupt) = (self.store, self.interrupt);
        // Whoever starts the build has named the repository.
        let fetcher = Fetcher { program, store, interrupt, with_agent: true };
        let reference = what.reference.as_deref().map(|name| format!("#{name}"));
        let name = format!("load git source {}{}", what.shown(), reference.unwrap_or_default());
        self.show(&name, |hear| {
            let commit = fetcher.resolve(what, hear)?;
            self.materials.git(what, &commit);
            fetcher.checkout(what, keep_git_dir, &commit, hear)
        })
    }

    /// A context with one file.
    pub(super) fn as_a_file(&self, what: &HttpRef) -> Result<Archive, Error> {
        let fetched = self.download(what)?;
        let path = &fetched.path;
        let file = std::fs::File::open(path).map_err(|error| Error::io("open", path, error))?;
        let mtime = Timestamp { seconds: fetched.last_modified.unwrap_or(0), nanoseconds: 0 };
        let metadata = Metadata { mode: 0o600, mtime, ..Metadata::default() };
        let name = LayerPath::new(NAME).map_err(|error| Error::path(&LayerPath::root(), error))?;
        Archive::written(&redacted(&what.url), &self.spool(), self.interrupt, |tar| {
            let mut tar = LayerWriter::new(BufWriter::new(tar));
            tar.append_file(&name, &metadata, fetched.size, file)?;
            tar.finish()?;
            Ok(())
        })
    }
}
