//! The definitions of file systems to start from, of `COPY`, `ADD` and `WORKDIR`.

use image::ChainId;

use super::{Definition, Key};
use crate::plan::{Copy, GitSource, HttpSource};

pub(crate) use super::files::{content, shape};

/// No file at all.
pub(crate) fn scratch() -> Key {
    Definition::new("scratch/1").key()
}

/// The files of these layers, whatever made them.
pub(crate) fn image(chain: &ChainId) -> Key {
    Definition::new("image/1").field("chain", chain.to_string()).key()
}

/// What a copy depends on besides the content that it copies. Without a parent it is the same on any.
pub(crate) fn copy(copy: &Copy, parent: Option<Key>, epoch: Option<i64>) -> Definition {
    let mut definition = Definition::new("copy/3")
        .field("destination", &copy.destination)
        .list("owner", copy.chown.iter())
        .list("exclude", &copy.exclude)
        .field("flags", [copy.unpack, copy.parents, copy.link].map(u8::from));
    if let Some(mode) = &copy.chmod {
        definition.add("mode", mode.to_string().as_bytes());
    }
    add_epoch(epoch, &mut definition);
    match parent {
        None => definition.field("parent", "any"),
        Some(parent) => definition.field("parent", parent.as_bytes()),
    }
}

/// A copy of contents, which [`content`] or [`shape`] name.
pub(crate) fn of_content(definition: Definition, pieces: Key) -> Definition {
    definition.field("content", pieces.as_bytes())
}

/// A copy of contents of a shape.
pub(crate) fn of_shape(definition: Definition, pieces: Key) -> Key {
    definition.field("shape", pieces.as_bytes()).key()
}

/// A copy out of files that have a key.
pub(crate) fn of_files(definition: Definition, copy: &Copy, files: Key) -> Key {
    let inline = copy.inline.iter().flat_map(|(name, text)| [name, text]);
    let sources = copy.sources.iter().map(ToString::to_string);
    definition
        .list("sources", sources)
        .list("inline", inline)
        .field("files", files.as_bytes())
        .key()
}

/// A source of an `ADD` that is fetched.
#[derive(Clone, Copy)]
pub(crate) enum Remote<'a> {
    Http(&'a HttpSource),
    /// With the name of the commit.
    Git(&'a GitSource, &'a str),
}

/// A copy by what names its content, where everything in it has such a name: a commit, a checksum.
pub(crate) fn of_remotes(mut definition: Definition, remotes: &[Remote<'_>]) -> Option<Key> {
    for remote in remotes {
        match remote {
            Remote::Http(HttpSource { what, checksum, unpack }) => {
                definition.add("http", what.name.as_bytes());
                definition.add("checksum", checksum.as_ref()?.to_string().as_bytes());
                definition.add("unpack", &[u8::from(*unpack)]);
            }
            Remote::Git(git, commit) => add_commit(git, commit, &mut definition),
        }
    }
    Some(definition.key())
}

fn add_commit(git: &GitSource, commit: &str, definition: &mut Definition) {
    definition.add("git", commit.as_bytes());
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

/// What follows a copy whose own key knows nothing of what it is put on.
pub(crate) fn link(parent: Key, layer: Key) -> Key {
    let definition = Definition::new("link/1").field("parent", parent.as_bytes());
    definition.field("layer", layer.as_bytes()).key()
}

/// A `WORKDIR`.
pub(crate) fn workdir(path: &str, owner: &str, parent: Key, epoch: Option<i64>) -> Definition {
    let mut definition = Definition::new("workdir/2").field("path", path).field("owner", owner);
    add_epoch(epoch, &mut definition);
    definition.field("parent", parent.as_bytes())
}

/// `SOURCE_DATE_EPOCH` is in the times of files.
pub(super) fn add_epoch(epoch: Option<i64>, definition: &mut Definition) {
    if let Some(epoch) = epoch {
        definition.add("epoch", &epoch.to_le_bytes());
    }
}
