//! Trees of git repositories, by the `git` program: for `ADD` and for build contexts.
//!
//! ```text
//! GitRef ──resolve──▶ Commit        ls-remote: which commit a ref is now; its name is the cache key
//!        ──checkout─▶ Checkout      fetched into a bare repository that stays, then checked out
//!
//! <store>/tare/build/git/SHA256(remote)/
//!     lock       flocked by whoever fetches or checks out
//!     repo/      bare; refs/tare/OBJECT keeps what was fetched; no remote, no password is written
//! ```
//!
//! A repository is a stranger's. git runs without the user's and the system's configuration, without
//! hooks, prompts and helpers, and speaks HTTP, SSH and git's protocol alone ([`command`]); what it
//! could take for a flag was refused when the reference was parsed. Submodules are fetched here, not by
//! `git submodule`: their paths and URLs are the repository's own words. What is checked out is read as
//! every build context is, so that no link leads out of it.
//!
//! Files are as old as their commit, and have the modes that git knows: the same commit gives the same
//! layer.

mod checkout;
mod command;
mod refs;
mod repository;
mod submodules;

use std::path::PathBuf;

use store::Store;

pub(crate) use checkout::Checkout;
use command::Git;
pub(crate) use refs::Commit;

use crate::options::GitProgram;
use crate::{Error, Interrupt};
use dockerfile::GitRef;

/// What git trees are fetched with.
pub(crate) struct Fetcher<'a> {
    pub(crate) program: &'a GitProgram,
    pub(crate) store: &'a Store,
    pub(crate) interrupt: &'a Interrupt,
    /// Whether the user's SSH agent may be asked.
    pub(crate) with_agent: bool,
}

impl Fetcher<'_> {
    /// Which commit the reference means now.
    pub(crate) fn resolve(
        &self,
        what: &GitRef,
        hear: &mut dyn FnMut(&[u8]),
    ) -> Result<Commit, Error> {
        refs::resolve(&self.git(), what, hear)
    }

    /// Checks a commit out into a directory of its own.
    pub(crate) fn checkout(
        &self,
        what: &GitRef,
        keep_git_dir: bool,
        commit: &Commit,
        hear: &mut dyn FnMut(&[u8]),
    ) -> Result<Checkout, Error> {
        checkout::checkout(&self.git(), &self.work(), what, keep_git_dir, commit, hear)
    }

    fn git(&self) -> Git<'_> {
        Git::new(self.program, self.interrupt, self.with_agent)
    }

    fn work(&self) -> PathBuf {
        self.store.build_dir()
    }
}
