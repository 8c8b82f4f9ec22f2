//! References to a tree of a git repository, as BuildKit writes them:
//!
//! ```text
//! https://host/repo.git#REF:SUBDIR      http:, git:, ssh: alike; git@host:repo.git
//! https://host/repo.git?ref=REF&subdir=SUBDIR
//!     branch=  tag=  ref=               which commit
//!     commit=  checksum=                the commit that it must be (hexadecimal, perhaps shortened)
//!     keep-git-dir=  submodules=        true or false; true without a value
//! ```

use super::url::{self, Url};
use super::{RemoteError, redacted};

/// Which tree of which repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitRef {
    /// The repository, as git takes it. It may hold a password: see [`redacted`].
    pub remote: String,
    /// A branch, tag, full ref name or commit; the default branch without.
    pub reference: Option<String>,
    /// The directory in the repository.
    pub subdir: Option<String>,
    /// The commit that it must be, or the start of its name.
    pub checksum: Option<String>,
    /// Whether `.git` is part of the tree, where the reference says so.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are part of the tree, where the reference says so.
    pub submodules: Option<bool>,
}

/// The schemes of repositories. HTTP's need a path that ends in `.git`.
const SCHEMES: [&str; 4] = ["http", "https", "ssh", "git"];

impl GitRef {
    /// The repository that `source` names; `None` where it names none.
    pub(super) fn parse(source: &str) -> Result<Option<Self>, RemoteError> {
        if let Some(url) = Url::parse(source) {
            let scheme = url.scheme.to_ascii_lowercase();
            let web = scheme.starts_with("http");
            if !SCHEMES.contains(&&*scheme) || (web && !url.path().ends_with(".git")) {
                return Ok(None);
            }
            return Self::parse_repository(source);
        }
        match scp(source) {
            Some((remote, query, fragment)) => {
                let query = url::query(query);
                Self::new(source, remote, query, &url::decoded(fragment)).map(Some)
            }
            None => Ok(None),
        }
    }

    /// As [`GitRef::parse`], of a URL that is known to be a repository's.
    pub(super) fn parse_repository(source: &str) -> Result<Option<Self>, RemoteError> {
        let Some(url) = Url::parse(source) else { return Ok(None) };
        if url.authority.starts_with('-') || url.host().starts_with('-') {
            return Err(malformed(source, "its host begins with a dash"));
        }
        Self::new(source, url.base, url.query(), &url.fragment()).map(Some)
    }

    fn new(
        source: &str,
        remote: &str,
        query: Vec<(String, String)>,
        fragment: &str,
    ) -> Result<Self, RemoteError> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
        let mut git = Self {
            remote: remote.to_owned(),
            reference: some(reference),
            subdir: some(subdir),
            ..Self::default()
        };
        git.read_query(source, query)?;
        git.check(source)?;
        Ok(git)
    }

    fn read_query(
        &mut self,
        source: &str,
        query: Vec<(String, String)>,
    ) -> Result<(), RemoteError> {
        let (mut tag, mut branch) = (None, None);
        for (index, (key, value)) in query.iter().enumerate() {
            let wrong =
                |reason| RemoteError::Query { url: source.to_owned(), key: key.clone(), reason };
            if query[..index].iter().any(|(earlier, _)| earlier == key) {
                return Err(wrong("has several values"));
            }
            let switch = matches!(&**key, "keep-git-dir" | "submodules");
            if value.is_empty() && !switch {
                return Err(wrong("has no value"));
            }
            match &**key {
                "ref" => agree(source, "the ref", &mut self.reference, value)?,
                "subdir" => agree(source, "the directory", &mut self.subdir, value)?,
                "tag" => tag = Some(with_prefix("refs/tags/", value)),
                "branch" => branch = Some(with_prefix("refs/heads/", value)),
                "checksum" | "commit" => agree(source, "the commit", &mut self.checksum, value)?,
                "keep-git-dir" | "submodules" => {
                    let value = boolean(value).ok_or_else(|| wrong("is neither true nor false"))?;
                    let field = match &**key {
                        "submodules" => &mut self.submodules,
                        _ => &mut self.keep_git_dir,
                    };
                    *field = Some(value);
                }
                _ => return Err(wrong("means nothing for a git repository")),
            }
        }
        for name in [tag, branch].into_iter().flatten() {
            agree(source, "the ref", &mut self.reference, &name)?;
        }
        if self.reference.is_none() {
            self.reference.clone_from(&self.checksum);
        }
        Ok(())
    }

    /// What git would take for something else than a name.
    fn check(&self, source: &str) -> Result<(), RemoteError> {
        if source
            .chars()
            .chain(self.subdir.iter().flat_map(|dir| dir.chars()))
            .any(char::is_control)
        {
            return Err(malformed(source, "it holds a control character"));
        }
        if self.remote.starts_with('-') {
            return Err(malformed(source, "it begins with a dash"));
        }
        let reference = self.reference.as_deref().unwrap_or_default();
        let special = |c: char| c.is_whitespace() || "~^:?*[\\".contains(c);
        if reference.starts_with(['-', '+']) || reference.contains(special) {
            return Err(malformed(source, "its ref is not a name of git's"));
        }
        let checksum = self.checksum.as_deref().unwrap_or_default();
        if !checksum.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(malformed(source, "its commit is not a hexadecimal number"));
        }
        Ok(())
    }

    /// The repository for people: without passwords.
    pub fn shown(&self) -> String {
        redacted(&self.remote).into_owned()
    }
}

fn malformed(source: &str, reason: &'static str) -> RemoteError {
    RemoteError::Malformed { url: source.to_owned(), reason }
}

/// Sets what is not set, or set to the same.
fn agree(
    source: &str,
    what: &'static str,
    known: &mut Option<String>,
    value: &str,
) -> Result<(), RemoteError> {
    match known {
        Some(one) if one != value => Err(RemoteError::Conflict {
            url: source.to_owned(),
            what,
            one: one.clone(),
            other: value.to_owned(),
        }),
        _ => {
            *known = Some(value.to_owned());
            Ok(())
        }
    }
}

fn with_prefix(prefix: &str, name: &str) -> String {
    if name.starts_with(prefix) { name.to_owned() } else { format!("{prefix}{name}") }
}

/// Nothing is true.
fn boolean(text: &str) -> Option<bool> {
    if text.is_empty() { Some(true) } else { crate::truth(text) }
}

/// `user@host:path?query#fragment`, as scp takes it, in three parts.
fn scp(source: &str) -> Option<(&str, &str, &str)> {
    let word = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let (user, rest) = source.split_once('@')?;
    let (host, _) = rest.split_once(':')?;
    if !word(user, "-_") || !word(host, "-.") || host.starts_with('-') || user.starts_with('-') {
        return None;
    }
    let (rest, fragment) = source.split_once('#').unwrap_or((source, ""));
    let (remote, query) = rest.split_once('?').unwrap_or((rest, ""));
    Some((remote, query, fragment))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remote, ref, directory, commit, `.git`, submodules.
    type Want<'a> =
        (&'a str, Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<bool>, Option<bool>);

    fn parts(git: &GitRef) -> Want<'_> {
        let GitRef { remote, reference, subdir, checksum, keep_git_dir, submodules } = git;
        (
            remote,
            reference.as_deref(),
            subdir.as_deref(),
            checksum.as_deref(),
            *keep_git_dir,
            *submodules,
        )
    }

    #[test]
    fn repositories() {
        let plain = |remote, reference, subdir| (remote, reference, subdir, None, None, None);
        for (source, want) in [
            ("https://example.com/foo.git", plain("https://example.com/foo.git", None, None)),
            (
                "https://example.com/foo.git#v1",
                plain("https://example.com/foo.git", Some("v1"), None),
            ),
            (
                "https://example.com/foo.git#release/1.2:a/b",
                plain("https://example.com/foo.git", Some("release/1.2"), Some("a/b")),
            ),
            (
                "https://example.com/foo.git#:dir",
                plain("https://example.com/foo.git", None, Some("dir")),
            ),
            ("git://example.com/foo", plain("git://example.com/foo", None, None)),
            (
                "ssh://git@example.com/foo#main",
                plain("ssh://git@example.com/foo", Some("main"), None),
            ),
            (
                "git@example.com:moby/buildkit.git#pull/42/head",
                plain("git@example.com:moby/buildkit.git", Some("pull/42/head"), None),
            ),
            (
                "https://u:p@example.com/b.git?ref=v1&subdir=/d",
                plain("https://u:p@example.com/b.git", Some("v1"), Some("/d")),
            ),
            (
                "git@example.com:b?branch=x#:d",
                plain("git@example.com:b", Some("refs/heads/x"), Some("d")),
            ),
            (
                "https://example.com/b.git?tag=v1&commit=abc123",
                (
                    "https://example.com/b.git",
                    Some("refs/tags/v1"),
                    None,
                    Some("abc123"),
                    None,
                    None,
                ),
            ),
            (
                "https://example.com/b.git?checksum=abc&keep-git-dir&submodules=false",
                (
                    "https://example.com/b.git",
                    Some("abc"),
                    None,
                    Some("abc"),
                    Some(true),
                    Some(false),
                ),
            ),
        ] {
            let git = GitRef::parse(source).unwrap().unwrap();
            assert_eq!(parts(&git), want, "{source}");
        }
    }

    #[test]
    fn what_is_no_repository() {
        for source in [
            "https://example.com/",
            "https://example.com/foo",
            "https://example.com/foo.git/",
            "https://example.com/foo.git.bar",
            "http://example.com/docker.git:#branch",
            "custom.xyz/moby/buildkit.git",
            "./.git",
            ".git",
            "file:///srv/repo.git",
            "ext::sh -c x",
            "-x@host:path",
            "a@-oProxyCommand=x:path",
        ] {
            assert_eq!(GitRef::parse(source).unwrap(), None, "{source}");
        }
    }

    #[test]
    fn what_is_refused() {
        let at = "https://example.com/b.git";
        for rest in [
            "?ref=a#b",
            "?subdir=a#x:b",
            "?ref=a&ref=a",
            "?ref=",
            "?what=1",
            "?tag=a&branch=a",
            "?submodules=maybe",
            "?commit=xyz",
            "#--upload-pack=x",
            "#a b",
            "#a:b%0ac",
            "#+refs/heads/*",
            "?ref=a..b^{}",
        ] {
            GitRef::parse(&format!("{at}{rest}")).expect_err(rest);
        }
        GitRef::parse("ssh://-oProxyCommand=x/y").expect_err("an option as host");
        GitRef::parse("git://u@-x/y").expect_err("an option as host");
    }

    #[test]
    fn people_see_no_passwords() {
        let git = GitRef::parse("https://u:p@example.com/b.git").unwrap().unwrap();
        assert_eq!(git.shown(), "https://xxxxx:xxxxx@example.com/b.git");
    }
}
