//! Submodules, checked out into the tree that names them.
//!
//! Not by `git submodule`, a program with a long history of being talked into things: which commits
//! belong where is in the tree itself, and only their URLs are taken from `.gitmodules`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use tree::LayerPath;

use super::checkout;
use super::command::Git;
use super::refs::Commit;
use super::repository::Repository;
use crate::Error;

/// How deep submodules may lie in each other.
const MAX_DEPTH: usize = 16;

/// How many submodules a tree may have in all.
const MAX_MODULES: usize = 4096;

/// A commit that was checked out.
pub(super) struct Tree<'a> {
    pub(super) repository: &'a Repository<'a>,
    pub(super) commit: &'a str,
    /// Where.
    pub(super) path: &'a Path,
}

/// A submodule, and where it goes.
struct Module {
    remote: String,
    commit: String,
    path: PathBuf,
    depth: usize,
}

/// Checks out the submodules of a tree, and theirs.
pub(super) fn checkout(
    git: &Git<'_>,
    work: &Path,
    top: &Tree<'_>,
    hear: &mut dyn FnMut(&[u8]),
) -> Result<(), Error> {
    let mut open = modules(top, 1)?;
    let mut count = 0;
    while let Some(module) = open.pop() {
        count += 1;
        if module.depth > MAX_DEPTH || count > MAX_MODULES {
            return Err(fail(top, "it has too many submodules".to_owned()));
        }
        let long_names = module.commit.len() == 64;
        // The remote of a module may be that of a tree around it, whose lock is held meanwhile.
        let repository = match module.remote == top.repository.remote() {
            true => None,
            false => Some(Repository::open(*git, work, &module.remote, long_names)?),
        };
        let repository = repository.as_ref().unwrap_or(top.repository);
        let name = module.commit.clone();
        let commit = Commit { object: name.clone(), name, reference: None };
        repository.fetch(&commit, hear)?;
        make_empty(top.path, &module.path)?;
        checkout::write(repository, &module.commit, &module.path)?;
        let tree = Tree { repository, commit: &module.commit, path: &module.path };
        open.extend(modules(&tree, module.depth + 1)?);
    }
    Ok(())
}

/// git makes a directory for each submodule. Anything else there, or on the way from the top, is
/// refused: a link would lead elsewhere.
fn make_empty(top: &Path, path: &Path) -> Result<(), Error> {
    let refused = || Error::io("check out into", path, std::io::ErrorKind::NotADirectory);
    let inside = path.strip_prefix(top).map_err(|_| refused())?;
    let mut at = top.to_owned();
    for part in inside.components() {
        at.push(part);
        match fs::symlink_metadata(&at) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(refused()),
            Err(_) => fs::create_dir(&at).map_err(|error| Error::io("create", &at, error))?,
        }
    }
    Ok(())
}

fn modules(tree: &Tree<'_>, depth: usize) -> Result<Vec<Module>, Error> {
    let links = links(tree)?;
    if links.is_empty() {
        return Ok(Vec::new());
    }
    let known = settings(tree)?;
    let mut modules = Vec::new();
    for (path, commit) in links {
        let settings = known.get(&path);
        if settings.is_some_and(|settings| settings.skipped) {
            continue;
        }
        let url = settings.and_then(|settings| settings.url.as_deref());
        let none = || fail(tree, format!(".gitmodules has no URL for the submodule {path:?}"));
        let url = url.ok_or_else(none)?;
        let remote = absolute(tree.repository.remote(), url)
            .ok_or_else(|| fail(tree, format!("the submodule {path:?} has no usable URL")))?;
        let inside = LayerPath::new(&path)
            .map_err(|_| fail(tree, format!("{path:?} is no place for a submodule")))?;
        modules.push(Module {
            remote,
            commit,
            path: tree.path.join(OsStr::from_bytes(inside.as_bytes())),
            depth,
        });
    }
    Ok(modules)
}

fn fail(tree: &Tree<'_>, said: String) -> Error {
    let remote = dockerfile::redacted(tree.repository.remote()).into_owned();
    Error::Git { action: "check out the submodules of".to_owned(), remote, said }
}

/// Paths of the tree that are commits of other repositories.
fn links(tree: &Tree<'_>) -> Result<Vec<(String, String)>, Error> {
    let arguments = ["ls-tree", "-r", "-z", "--full-tree", tree.commit];
    let out = tree.repository.call("list the files of").quietly(&arguments)?;
    let entry = |line: &[u8]| {
        let line = std::str::from_utf8(line).ok()?;
        let (head, path) = line.split_once('\t')?;
        let commit = head.strip_prefix("160000 commit ")?;
        Some((path.to_owned(), commit.trim().to_owned()))
    };
    Ok(out.split(|&byte| byte == 0).filter_map(entry).collect())
}

#[derive(Default)]
struct Settings {
    path: Option<String>,
    url: Option<String>,
    /// `update = none`
    skipped: bool,
}

/// What `.gitmodules` says, by path.
fn settings(tree: &Tree<'_>) -> Result<HashMap<String, Settings>, Error> {
    let blob = format!("{}:.gitmodules", tree.commit);
    let arguments = ["config", "--blob", &blob, "-z", "--get-regexp", "^submodule\\."];
    // Without the file there are no URLs, which is said where one is needed.
    let out = tree.repository.call("read .gitmodules of").quietly(&arguments).unwrap_or_default();
    let mut by_name: HashMap<String, Settings> = HashMap::new();
    for entry in out.split(|&byte| byte == 0) {
        let text = String::from_utf8_lossy(entry);
        let Some((key, value)) = text.split_once('\n') else { continue };
        let Some((name, field)) = key["submodule.".len()..].rsplit_once('.') else { continue };
        let settings = by_name.entry(name.to_owned()).or_default();
        match field {
            "path" => settings.path = Some(value.trim_end_matches('/').to_owned()),
            "url" => settings.url = Some(value.to_owned()),
            "update" => settings.skipped = value == "none",
            _ => {}
        }
    }
    let by_path = |settings: Settings| Some((settings.path.clone()?, settings));
    Ok(by_name.into_values().filter_map(by_path).collect())
}

/// A submodule's URL, perhaps relative to that of the repository around it; `None` for what git could
/// take for something else than an address.
fn absolute(remote: &str, url: &str) -> Option<String> {
    if url.starts_with('-') || url.chars().any(char::is_control) {
        return None;
    }
    if !url.starts_with("./") && !url.starts_with("../") {
        let far = url.contains("://") || (url.contains('@') && url.contains(':'));
        return far.then(|| url.to_owned());
    }
    let (mut base, mut rest) = (remote.trim_end_matches('/'), url);
    loop {
        if let Some(after) = rest.strip_prefix("./") {
            rest = after;
        } else if let Some(after) = rest.strip_prefix("../") {
            let host = base.find("://").map_or(0, |at| at + 3);
            let cut = base[host..].rfind(['/', ':'])? + host;
            // The separator of scp's form stays.
            base = if base[cut..].starts_with(':') { &base[..=cut] } else { &base[..cut] };
            rest = after;
        } else {
            let separator = if base.ends_with(':') { "" } else { "/" };
            return Some(format!("{base}{separator}{rest}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_submodules() {
        let remote = "https://u:p@example.com/a/b.git";
        for (url, want) in [
            ("https://other.example/x.git", Some("https://other.example/x.git")),
            ("git@example.com:x", Some("git@example.com:x")),
            ("../c.git", Some("https://u:p@example.com/a/c.git")),
            ("../../c", Some("https://u:p@example.com/c")),
            ("./c", Some("https://u:p@example.com/a/b.git/c")),
            ("/etc", None),
            ("c", None),
            ("--upload-pack=x", None),
            ("https://a/\nb", None),
        ] {
            assert_eq!(absolute(remote, url).as_deref(), want, "{url}");
        }
        assert_eq!(absolute("git@h:a/b", "../c").as_deref(), Some("git@h:a/c"));
        assert_eq!(absolute("git@h:b", "../c").as_deref(), Some("git@h:c"));
    }
}
