//! Sources of files that are not local: what `ADD` and a build context fetch.
//!
//! [`Remote::of`] tells a URL from a path by BuildKit's rules: a git repository where the scheme is
//! git's or SSH's, where the path of an HTTP URL ends in `.git`, and for `user@host:path`; otherwise
//! what HTTP gives. Everything else is a local path. Nothing is resolved or fetched here.

mod git;
mod redact;
mod url;

pub use git::GitRef;
pub use redact::redacted;

use url::Url;

/// A source that is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// A resource.
    Http(HttpRef),
    /// A tree of a git repository.
    Git(GitRef),
}

/// A resource that HTTP gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRef {
    /// Its URL, as written. It may hold a password: see [`redacted`].
    pub url: String,
    /// The name of the file in a destination that is a directory: the last component of the URL's
    /// path, `__unnamed__` where it has none.
    pub name: String,
}

/// A URL that is meant as a remote source, and is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// Control characters, or a host or ref that programs would take for a flag.
    #[error("{} is not a URL that can be fetched: {reason}", redacted(.url))]
    Malformed {
        /// What was written.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A key of a git URL's query that means nothing, or is given without value or twice.
    #[error("{}: the query {key:?} {reason}", redacted(.url))]
    Query {
        /// What was written.
        url: String,
        /// The key.
        key: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Two parts of a git URL contradict each other.
    #[error("{}: {what} is given as {one:?} and as {other:?}", redacted(.url))]
    Conflict {
        /// What was written.
        url: String,
        /// What is given twice.
        what: &'static str,
        /// One of the values.
        one: String,
        /// The other.
        other: String,
    },
}

/// What a resource is called that has no name (BuildKit's word).
const UNNAMED: &str = "__unnamed__";

impl Remote {
    /// The remote source that `source` names; `None` for a local path.
    ///
    /// # Errors
    /// A URL of a git repository that cannot be one.
    pub fn of(source: &str) -> Result<Option<Self>, RemoteError> {
        if let Some(git) = GitRef::parse(source)? {
            return Ok(Some(Self::Git(git)));
        }
        if !["http://", "https://"].iter().any(|scheme| source.starts_with(scheme)) {
            return Ok(None);
        }
        let malformed = |reason| RemoteError::Malformed { url: source.to_owned(), reason };
        if source.chars().any(char::is_control) {
            return Err(malformed("it holds a control character"));
        }
        let url = Url::parse(source).ok_or_else(|| malformed("it has no host"))?;
        let name = url.file_name().unwrap_or_else(|| UNNAMED.to_owned());
        Ok(Some(Self::Http(HttpRef { url: source.to_owned(), name })))
    }

    /// As [`Remote::of`], for a build context, where `github.com/NAME/REPOSITORY` is a repository, too.
    ///
    /// # Errors
    /// As [`Remote::of`].
    pub fn of_context(source: &str) -> Result<Option<Self>, RemoteError> {
        match source.starts_with("github.com/") {
            true => Ok(GitRef::parse_repository(&format!("https://{source}"))?.map(Self::Git)),
            false => Self::of(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fetched_and_under_which_name() {
        for (source, want) in [
            ("file.txt", None),
            ("./x.git", None),
            ("ftp://example.com/a", None),
            ("github.com/a/b", None),
            ("http://example.com/a/b.txt", Some("b.txt")),
            ("https://example.com/a/b%20c.txt?x=y/z#f", Some("b c.txt")),
            ("https://u:p@example.com:8/dir/", Some("dir")),
            ("https://example.com/", Some("__unnamed__")),
            ("https://example.com", Some("__unnamed__")),
            ("https://example.com?file=x", Some("__unnamed__")),
            ("https://example.com/..", Some("__unnamed__")),
            ("https://example.com/a%2Fb", Some("b")),
            ("https://example.com/foo.git/", Some("foo.git")),
        ] {
            let got = Remote::of(source).unwrap().map(|remote| match remote {
                Remote::Http(http) => http.name,
                Remote::Git(git) => panic!("{git:?}"),
            });
            assert_eq!(got.as_deref(), want, "{source}");
        }
    }

    #[test]
    fn what_is_refused() {
        for source in ["http://", "https:///x", "http://a/\nb", "http://a\u{7}/"] {
            Remote::of(source).expect_err(source);
        }
    }

    #[test]
    fn a_context_may_be_on_github() {
        let git = |remote| match remote {
            Ok(Some(Remote::Git(git))) => git,
            other => panic!("{other:?}"),
        };
        let short = git(Remote::of_context("github.com/moby/buildkit#v1:sub"));
        assert_eq!(short.remote, "https://github.com/moby/buildkit");
        assert_eq!(
            (short.reference.as_deref(), short.subdir.as_deref()),
            (Some("v1"), Some("sub"))
        );
        assert_eq!(Remote::of_context("dir").unwrap(), None);
    }
}
