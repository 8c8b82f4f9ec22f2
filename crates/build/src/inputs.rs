//! Contexts as users name them.

use std::path::PathBuf;
use std::str::FromStr;

use dockerfile::Remote;

use crate::Error;
use crate::options::{ContextSource, NamedSource};

/// A directory that is there, a URL, or else a directory that is not. Standard input is the caller's.
impl FromStr for ContextSource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let path = PathBuf::from(text);
        if path.is_dir() {
            return Ok(Self::Directory(path));
        }
        Ok(match Remote::of_context(text)? {
            Some(Remote::Http(http)) => Self::Http(http),
            Some(Remote::Git(git)) => Self::Git(git),
            None => Self::Directory(path),
        })
    }
}

/// `docker-image://NAME`, `oci-layout://PATH[:TAG]`, a URL, or a directory.
impl FromStr for NamedSource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(name) = text.strip_prefix("docker-image://") {
            return Ok(Self::Image(name.to_owned()));
        }
        // The images of a build find it by this name.
        if text.starts_with(LAYOUT) {
            return Ok(Self::Image(text.to_owned()));
        }
        if text.starts_with("target:") || text.starts_with("input:") {
            return Err(Error::NamedContext {
                context: text.to_owned(),
                reason: "targets of a bake file are not known here; a stage goes by its own name",
            });
        }
        Ok(match Remote::of_context(text)? {
            Some(Remote::Http(http)) => Self::Http(http),
            Some(Remote::Git(git)) => Self::Git(git),
            None => Self::Directory(PathBuf::from(text)),
        })
    }
}

/// What the name of an image begins with that is in a layout of its own.
pub(crate) const LAYOUT: &str = "oci-layout://";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_mean() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().to_str().unwrap();
        let kind = |text: &str| match text.parse::<ContextSource>().unwrap() {
            ContextSource::Directory(_) => "directory",
            ContextSource::Stream(_) => "stream",
            ContextSource::Http(_) => "http",
            ContextSource::Git(_) => "git",
        };
        for (text, want) in [
            (here, "directory"),
            ("no/such", "directory"),
            ("https://example.com/x.tar.gz", "http"),
            ("https://example.com/x.git#main:dir", "git"),
            ("git@example.com:x", "git"),
            ("github.com/a/b", "git"),
        ] {
            assert_eq!(kind(text), want, "{text}");
        }
    }

    #[test]
    fn what_names_of_contexts_mean() {
        for (text, want) in [
            ("docker-image://alpine:3", NamedSource::Image("alpine:3".into())),
            ("oci-layout:///x:v1", NamedSource::Image("oci-layout:///x:v1".into())),
            ("../dir", NamedSource::Directory("../dir".into())),
        ] {
            assert_eq!(text.parse::<NamedSource>().unwrap(), want);
        }
        "target:x".parse::<NamedSource>().unwrap_err();
        "https://example.com/x.git?what".parse::<NamedSource>().unwrap_err();
    }
}
