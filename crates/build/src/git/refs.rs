//! Which commit a reference means: what `git ls-remote` says, read as BuildKit reads it.

use dockerfile::GitRef;

use super::command::{Git, address};
use crate::Error;

/// What a reference means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    /// The commit's full name.
    pub(crate) name: String,
    /// What is fetched: the commit, or the annotated tag that names it.
    pub(super) object: String,
    /// The full name of the ref, where it is one and not a commit.
    pub(super) reference: Option<String>,
}

/// Asks the remote, unless the reference is a commit.
pub(super) fn resolve(
    git: &Git<'_>,
    what: &GitRef,
    hear: &mut dyn FnMut(&[u8]),
) -> Result<Commit, Error> {
    let remote = &what.remote;
    let commit = match what.reference.as_deref() {
        Some(name) if is_commit(name) => {
            Commit { name: name.to_owned(), object: name.to_owned(), reference: None }
        }
        Some(name) => named(git, remote, name, hear)?,
        None => {
            let branch = default_branch(git, remote, hear)?;
            named(git, remote, &branch, hear)?
        }
    };
    match what.checksum.as_deref().map(str::to_ascii_lowercase) {
        Some(wanted) if !commit.is_called(&wanted) => Err(Error::Git {
            action: format!("take {} of", what.reference.as_deref().unwrap_or("HEAD")),
            remote: what.shown(),
            said: format!("the checksum does not match: it is {}, not {wanted}", commit.name),
        }),
        _ => Ok(commit),
    }
}

impl Commit {
    /// Whether its name, or its tag's, begins so.
    fn is_called(&self, start: &str) -> bool {
        self.name.starts_with(start) || self.object.starts_with(start)
    }
}

/// SHA-1 or SHA-256, in full.
pub(super) fn is_commit(name: &str) -> bool {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    matches!(name.len(), 40 | 64) && name.bytes().all(hexadecimal)
}

fn default_branch(
    git: &Git<'_>,
    remote: &str,
    hear: &mut dyn FnMut(&[u8]),
) -> Result<String, Error> {
    let call = git.call("find the default branch of", remote);
    let out = call.run(&["ls-remote", "--symref", "--", &address(remote), "HEAD"], hear)?;
    let text = String::from_utf8_lossy(&out);
    let branch = text.lines().find_map(|line| line.strip_prefix("ref: ")?.strip_suffix("\tHEAD"));
    branch.map(str::to_owned).ok_or_else(|| Error::Git {
        action: "find the default branch of".to_owned(),
        remote: dockerfile::redacted(remote).into_owned(),
        said: "it has no HEAD: name a ref, as in #main".to_owned(),
    })
}

fn named(
    git: &Git<'_>,
    remote: &str,
    name: &str,
    hear: &mut dyn FnMut(&[u8]),
) -> Result<Commit, Error> {
    let action = format!("find {name} in");
    let peeled = format!("{name}^{{}}");
    let arguments = ["ls-remote", "--", &address(remote), name, &peeled];
    let out = git.call(&*action, remote).run(&arguments, hear)?;
    let text = String::from_utf8_lossy(&out);
    choose(name, &text).filter(|commit| is_commit(&commit.name)).ok_or_else(|| Error::Git {
        action,
        remote: dockerfile::redacted(remote).into_owned(),
        said: "there is no such ref (a commit is named by all its digits)".to_owned(),
    })
}

/// The ref called `name` among those listed: `refs/NAME`, else a branch, else a tag.
fn choose(name: &str, listed: &str) -> Option<Commit> {
    let found = |wanted: &str| {
        listed.lines().find_map(|line| {
            line.split_once('\t').filter(|(_, name)| *name == wanted).map(|(object, _)| object)
        })
    };
    let with = |prefix: &str| format!("{prefix}{}", name.strip_prefix(prefix).unwrap_or(name));
    let reference = [with("refs/"), with("refs/heads/"), with("refs/tags/")]
        .into_iter()
        .find(|reference| found(reference).is_some())?;
    let object = found(&reference)?.to_owned();
    let commit = found(&format!("{reference}^{{}}")).map_or_else(|| object.clone(), str::to_owned);
    Some(Commit { name: commit, object, reference: Some(reference) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_comes_before_a_tag() {
        let list = "1\trefs/heads/both\n2\trefs/tags/both\n3\trefs/tags/v1\n4\trefs/tags/v1^{}\n\
                    5\trefs/pull/7/head\n6\trefs/heads/other/both\n";
        for (name, object, commit, reference) in [
            ("both", "1", "1", "refs/heads/both"),
            ("tags/both", "2", "2", "refs/tags/both"),
            ("refs/tags/both", "2", "2", "refs/tags/both"),
            ("v1", "3", "4", "refs/tags/v1"),
            ("pull/7/head", "5", "5", "refs/pull/7/head"),
            ("refs/pull/7/head", "5", "5", "refs/pull/7/head"),
        ] {
            let want = Commit {
                name: commit.to_owned(),
                object: object.to_owned(),
                reference: Some(reference.to_owned()),
            };
            assert_eq!(choose(name, list), Some(want), "{name}");
        }
        assert_eq!(choose("head", list), None);
    }
}
