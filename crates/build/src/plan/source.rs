//! What `COPY` and `ADD` name as sources.

use std::fmt;

use dockerfile::{GitRef, HttpRef, redacted};
use image::Digest;

/// One source, variables expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopySource {
    /// A path or pattern in what is copied from.
    Path(String),
    /// A resource of a web server.
    Http(HttpSource),
    /// A tree of a git repository.
    Git(GitSource),
}

/// A resource of a web server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSource {
    /// Where it is.
    pub what: HttpRef,
    /// `--checksum`
    pub checksum: Option<Digest>,
    /// `--unpack`: whether an archive is unpacked.
    pub unpack: bool,
}

/// A tree of a git repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSource {
    /// Which; `--checksum` is its commit.
    pub what: GitRef,
    /// `--keep-git-dir`
    pub keep_git_dir: bool,
    /// As the instruction has it.
    pub written: String,
}

/// As the history shows it: as written, without passwords.
impl fmt::Display for CopySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Http(http) => f.write_str(&redacted(&http.what.url)),
            Self::Git(git) => f.write_str(&redacted(&git.written)),
        }
    }
}
