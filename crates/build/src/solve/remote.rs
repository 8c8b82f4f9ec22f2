//! Sources of an `ADD` that are fetched: resolved to what names their content, and obtained.

use crate::copy::{Obtained, Sources};
use crate::fetch::fetch;
use crate::git::{Commit, Fetcher};
use crate::key::{self, Definition, Key};
use crate::plan::{Copy, CopySource, GitSource, HttpSource};
use crate::solve::stage::Work;
use crate::{Error, Interrupt};

/// The sources of a copy that are fetched, in order.
pub(super) struct Remotes<'c>(Vec<RemoteSource<'c>>);

enum RemoteSource<'c> {
    Http(&'c HttpSource),
    Git(&'c GitSource, Commit),
}

impl Work<'_> {
    /// Asks which commits refs are; nothing else is looked at.
    pub(super) fn resolve<'c>(
        &self,
        copy: &'c Copy,
        hear: &mut dyn FnMut(&[u8]),
    ) -> Result<Remotes<'c>, Error> {
        let mut remotes = Vec::new();
        for source in &copy.sources {
            match source {
                CopySource::Path(_) => {}
                CopySource::Http(http) => {
                    if let Some(checksum) = &http.checksum {
                        self.solver.materials.http(&http.what, checksum);
                    }
                    remotes.push(RemoteSource::Http(http));
                }
                CopySource::Git(git) => {
                    let commit = self.fetcher().resolve(&git.what, hear)?;
                    self.solver.materials.git(&git.what, &commit);
                    remotes.push(RemoteSource::Git(git, commit));
                }
            }
        }
        Ok(Remotes(remotes))
    }

    /// Fetches what is to be copied.
    pub(super) fn obtain(
        &self,
        remotes: &Remotes<'_>,
        sources: &mut Sources<'_>,
        hear: &mut dyn FnMut(&[u8]),
    ) -> Result<Vec<Obtained>, Error> {
        let mut obtained = Vec::with_capacity(remotes.0.len());
        for remote in &remotes.0 {
            obtained.push(match remote {
                RemoteSource::Http(http) => Obtained::File(self.download(http, hear)?),
                RemoteSource::Git(git, commit) => {
                    let keep = git.keep_git_dir;
                    let checkout = self.fetcher().checkout(&git.what, keep, commit, hear)?;
                    Obtained::Tree(sources.add_checkout(checkout))
                }
            });
        }
        Ok(obtained)
    }

    fn download(
        &self,
        http: &HttpSource,
        hear: &mut dyn FnMut(&[u8]),
    ) -> Result<crate::fetch::Fetched, Error> {
        let solver = self.solver;
        let program = &solver.options.puller;
        let checksum = http.checksum.as_ref();
        let fetched = fetch(solver.store, program, &http.what, checksum, hear, &solver.interrupt)?;
        solver.materials.http(&http.what, &fetched.digest);
        Ok(fetched)
    }

    fn fetcher(&self) -> Fetcher<'_> {
        let program = &self.solver.options.git;
        let interrupt: &Interrupt = &self.solver.interrupt;
        let with_agent = program.forward_agent;
        Fetcher { program, store: self.solver.store, interrupt, with_agent }
    }
}

impl Remotes<'_> {
    /// The copy's key by what names its content, where everything in it has such a name: a commit, a
    /// checksum. Then nothing needs to be fetched to find that it was done before.
    pub(super) fn key(&self, copy: &Copy, definition: Definition) -> Option<Key> {
        if self.0.len() != copy.sources.len() || !copy.inline.is_empty() {
            return None;
        }
        let named: Vec<key::Remote<'_>> = self.0.iter().map(RemoteSource::name).collect();
        key::of_remotes(definition, &named)
    }
}

impl RemoteSource<'_> {
    fn name(&self) -> key::Remote<'_> {
        match self {
            Self::Http(http) => key::Remote::Http(http),
            Self::Git(git, commit) => key::Remote::Git(git, &commit.name),
        }
    }
}
