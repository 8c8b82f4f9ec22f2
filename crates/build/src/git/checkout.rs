//! A commit's files in a directory, as long as somebody reads them.

use std::fs;
use std::path::Path;

use dockerfile::{GitRef, IgnorePatterns};
use tree::{LayerPath, Timestamp};

use super::command::Git;
use super::refs::Commit;
use super::repository::{Repository, kept};
use super::submodules::{self, Tree};
use crate::Error;
use crate::scratch::Scratch;
use crate::source::Directory;

/// The files of a commit, or of a directory in it. Gone when dropped.
pub(crate) struct Checkout {
    /// To copy from.
    pub(crate) directory: Directory,
    _scratch: Scratch,
}

pub(super) fn checkout(
    git: &Git<'_>,
    work: &Path,
    what: &GitRef,
    keep_git_dir: bool,
    commit: &Commit,
    hear: &mut dyn FnMut(&[u8]),
) -> Result<Checkout, Error> {
    let scratch = Scratch::new(&work.join("tmp"))?;
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree).map_err(|error| Error::io("create", &tree, error))?;
    let repository = Repository::open(*git, work, &what.remote, commit.name.len() == 64)?;
    repository.fetch(commit, hear)?;
    let subdir = subdir(what)?;
    match keep_git_dir && subdir.is_root() {
        true => clone(git, &repository, commit, &tree)?,
        false => write(&repository, &commit.name, &tree)?,
    }
    let time = time(&repository, commit)?;
    if what.submodules.unwrap_or(true) {
        let top = Tree { repository: &repository, commit: &commit.name, path: &tree };
        submodules::checkout(git, work, &top, hear)?;
    }
    drop(repository);
    let caches = scratch.path().join("hashes");
    let whole = Directory::open_at(&tree, IgnorePatterns::default(), &caches)?;
    let found = whole.find(&subdir)?.filter(|found| found.directory);
    let found = found.ok_or_else(|| no_directory(what))?;
    let folder = whole.host_path(&found.path);
    let directory = Directory::open_at(&folder, IgnorePatterns::default(), &caches)?;
    let directory = directory.of_commit(what.shown(), time);
    Ok(Checkout { directory, _scratch: scratch })
}

/// The directory that is asked for. It names something in the repository: no `..`.
fn subdir(what: &GitRef) -> Result<LayerPath, Error> {
    let text = what.subdir.as_deref().unwrap_or_default();
    let up = text.split('/').any(|part| part == "..");
    let path = LayerPath::new(text).ok().filter(|_| !up);
    path.ok_or_else(|| no_directory(what))
}

fn no_directory(what: &GitRef) -> Error {
    Error::Git {
        action: format!("take the directory {:?} of", what.subdir.as_deref().unwrap_or("/")),
        remote: what.shown(),
        said: "there is no such directory in it".to_owned(),
    }
}

/// Writes the files of a commit into an empty directory.
pub(super) fn write(repository: &Repository<'_>, commit: &str, tree: &Path) -> Result<(), Error> {
    let action = || format!("check out {commit} of");
    let first = repository.call(action()).quietly(&["ls-tree", "--name-only", commit])?;
    if first.is_empty() {
        return Ok(());
    }
    // Nobody else is at work in the repository; a new index knows no other tree.
    let index = repository.path().join("index-of-checkout");
    let _ = fs::remove_file(&index);
    let arguments = ["checkout", "--quiet", "--force", commit, "--", "."];
    repository.call(action()).in_tree(tree, &index).quietly(&arguments).map(drop)
}

/// The same with `.git`: a clone without the history before the commit, that knows where it is from.
fn clone(
    git: &Git<'_>,
    repository: &Repository<'_>,
    commit: &Commit,
    tree: &Path,
) -> Result<(), Error> {
    let remote = repository.remote();
    let call = || git.call(format!("clone {} of", commit.name), remote).on_this_machine();
    let format = if commit.name.len() == 64 { "sha256" } else { "sha1" };
    let format = format!("--object-format={format}");
    call().in_clone(tree).quietly(&["init", "--quiet", &format])?;
    // As files are fetched from elsewhere: a local clone trusts the other repository's paths.
    let from = format!("file://{}", repository.path().display());
    let mut refspec = format!("+{}", kept(&commit.object));
    if let Some(reference) = &commit.reference {
        refspec += &format!(":{reference}");
    }
    let fetch = ["fetch", "--quiet", "--no-tags", "--update-head-ok", "--depth=1", &from, &refspec];
    call().in_clone(tree).quietly(&fetch)?;
    call().in_clone(tree).quietly(&["checkout", "--quiet", "--force", "FETCH_HEAD"])?;
    let shown = dockerfile::redacted(remote);
    call().in_clone(tree).quietly(&["remote", "add", "origin", &shown])?;
    call().in_clone(tree).quietly(&["reflog", "expire", "--all", "--expire=now"])?;
    let head = tree.join(".git/FETCH_HEAD");
    fs::remove_file(&head).map_err(|error| Error::io("remove", head, error))
}

/// When it was committed.
fn time(repository: &Repository<'_>, commit: &Commit) -> Result<Timestamp, Error> {
    let arguments = ["log", "-1", "--no-show-signature", "--format=%ct", &commit.name, "--"];
    let out = repository.call("date a commit of").quietly(&arguments)?;
    let seconds = String::from_utf8_lossy(&out).trim().parse().unwrap_or(0);
    Ok(Timestamp { seconds, nanoseconds: 0 })
}
