//! Sources of an `ADD` that are fetched: resolved to what names their content, and obtained.

use crate::copy::{Obtained, Sources};
use crate::fetch::fetch;
use crate::git::{Commit, Fetcher};
use crate::key::{Definition, Key};
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
                CopySource::Http(http) => remotes.push(RemoteSource::Http(http)),
                CopySource::Git(git) => {
                    let commit = self.fetcher().resolve(&git.what, hear)?;
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
        fetch(solver.store, program, &http.what, checksum, hear, &solver.interrupt)
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
    pub(super) fn key(&self, copy: &Copy, mut definition: Definition) -> Option<Key> {
        if self.0.len() != copy.sources.len() || !copy.inline.is_empty() {
            return None;
        }
        for remote in &self.0 {
            match remote {
                RemoteSource::Http(HttpSource { what, checksum, unpack }) => {
                    definition.add("http", what.name.as_bytes());
                    definition.add("checksum", checksum.as_ref()?.to_string().as_bytes());
                    definition.add("unpack", &[u8::from(*unpack)]);
                }
                RemoteSource::Git(git, commit) => {
                    definition.add("git", commit.name.as_bytes());
                    let subdir = git.what.subdir.as_deref().unwrap_or_default();
                    definition.add("subdir", subdir.as_bytes());
                    let submodules = git.what.submodules.unwrap_or(true);
                    definition.add("with", &[u8::from(git.keep_git_dir), u8::from(submodules)]);
                    if git.keep_git_dir {
                        // `.git` knows where it is from.
                        let remote = dockerfile::redacted(&git.what.remote);
                        definition.add("remote", remote.as_bytes());
                        let reference = git.what.reference.as_deref().unwrap_or_default();
                        definition.add("ref", reference.as_bytes());
                    }
                }
            }
        }
        Some(definition.key())
    }
}
