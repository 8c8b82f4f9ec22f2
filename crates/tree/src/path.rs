//! The name of a file inside a root: relative, normal, never above the root.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest path that a layer may name, in bytes. Linux's `PATH_MAX` less its final NUL.
pub const MAX_PATH: usize = 4095;

/// The longest component, in bytes: Linux's `NAME_MAX`.
pub const MAX_NAME: usize = 255;

/// A path inside a root file system, as bytes, without a leading slash.
///
/// It has no empty, `.` or `..` component and no NUL byte, so joining it to a root stays below that
/// root as long as no component is a symbolic link. The empty path is the root itself. Paths order
/// by component, so that a directory comes right before what it contains.
#[derive(Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(into = "Vec<u8>", try_from = "Vec<u8>")]
pub struct LayerPath(Vec<u8>);

/// Why bytes are not a [`LayerPath`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// A component is `..`.
    #[error("path {0:?} has a `..` component")]
    Parent(String),
    /// A byte is NUL.
    #[error("path {0:?} holds a NUL byte")]
    Nul(String),
    /// The path or one component is longer than Linux allows.
    #[error("path of {0} bytes is too long")]
    TooLong(usize),
}

impl LayerPath {
    /// The root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Normalizes `bytes`: leading and doubled slashes and `.` components fall away.
    ///
    /// # Errors
    /// A `..` component, a NUL byte, or a length over Linux's limits is refused.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let bytes = bytes.as_ref();
        Self::components_of(bytes, |_| Err(PathError::Parent(lossy(bytes))))
    }

    /// As [`LayerPath::new`], for names in archives: `..` goes up by the text alone, as every engine reads
    /// it, but not out of the archive.
    ///
    /// # Errors
    /// As [`LayerPath::new`], where a `..` leads above the first component; none does above a leading `/`.
    pub fn cleaned(bytes: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let bytes = bytes.as_ref();
        let rooted = bytes.starts_with(b"/");
        Self::components_of(bytes, |path| match path.iter().rposition(|&byte| byte == b'/') {
            _ if path.is_empty() && !rooted => Err(PathError::Parent(lossy(bytes))),
            slash => {
                path.truncate(slash.unwrap_or(0));
                Ok(())
            }
        })
    }

    /// The path that `bytes` name; `up` does what a `..` means to the path so far.
    fn components_of(
        bytes: &[u8],
        up: impl Fn(&mut Vec<u8>) -> Result<(), PathError>,
    ) -> Result<Self, PathError> {
        if bytes.contains(&0) {
            return Err(PathError::Nul(lossy(bytes)));
        }
        let mut path = Vec::with_capacity(bytes.len());
        for component in bytes.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => continue,
                b".." => up(&mut path)?,
                name if name.len() > MAX_NAME => return Err(PathError::TooLong(name.len())),
                name => {
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(name);
                }
            }
        }
        if path.len() > MAX_PATH {
            return Err(PathError::TooLong(path.len()));
        }
        Ok(Self(path))
    }

    /// A path from names that are each known to be one good component.
    pub(crate) fn from_names<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut path = Vec::new();
        for name in names {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
        }
        Self(path)
    }

    /// This path with `name`, known to be one good component, below it.
    pub(crate) fn with_name(&self, name: &[u8]) -> Self {
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        path.extend_from_slice(&self.0);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Self(path)
    }

    /// The directory's bytes and the last component, without allocating; `None` for the root.
    pub(crate) fn split(&self) -> Option<(&[u8], &[u8])> {
        let name = self.name()?;
        let end = self.0.len() - name.len();
        Some((&self.0[..end.saturating_sub(1)], name))
    }

    /// The path's bytes: components joined by single slashes; empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components from the root down; none for the root.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
    }

    /// The last component, or `None` for the root.
    pub fn name(&self) -> Option<&[u8]> {
        self.components().next_back()
    }

    /// The directory that holds this path, or `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let name = self.name()?;
        let end = self.0.len() - name.len();
        Some(Self(self.0[..end.saturating_sub(1)].to_vec()))
    }

    /// This path with `name` below it.
    ///
    /// # Errors
    /// As [`LayerPath::new`]; `name` may itself have several components.
    pub fn join(&self, name: impl AsRef<[u8]>) -> Result<Self, PathError> {
        Self::new([&self.0[..], b"/", name.as_ref()].concat())
    }

    /// Whether this path is `directory` or lies below it.
    pub fn starts_with(&self, directory: &Self) -> bool {
        match self.0.strip_prefix(directory.as_bytes()) {
            Some(rest) => directory.is_root() || rest.is_empty() || rest[0] == b'/',
            None => false,
        }
    }
}

impl Ord for LayerPath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.components().cmp(other.components())
    }
}

impl PartialOrd for LayerPath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl From<LayerPath> for Vec<u8> {
    fn from(path: LayerPath) -> Self {
        path.0
    }
}

impl TryFrom<Vec<u8>> for LayerPath {
    type Error = PathError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, PathError> {
        Self::new(bytes)
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_form() {
        for (input, want) in [
            ("", "/"),
            ("/", "/"),
            (".", "/"),
            ("./", "/"),
            ("a", "/a"),
            ("./a/", "/a"),
            ("/a//b/./c", "/a/b/c"),
            ("...", "/..."),
        ] {
            assert_eq!(LayerPath::new(input).unwrap().to_string(), want, "{input:?}");
            assert_eq!(
                LayerPath::try_from(input.as_bytes().to_vec()),
                LayerPath::new(input),
                "{input:?}"
            );
        }
    }

    #[test]
    fn names_in_archives_may_go_up() {
        for (input, want) in [
            ("a/../b", "/b"),
            ("a/b/../../c/./../d", "/d"),
            ("a/..", "/"),
            ("/../a", "/a"),
            ("/a/../../b", "/b"),
        ] {
            assert_eq!(LayerPath::cleaned(input).unwrap().to_string(), want, "{input:?}");
        }
        for input in ["..", "../a", "a/../..", "a/../../b", "./../a", "a\0b"] {
            LayerPath::cleaned(input).expect_err(input);
        }
    }

    #[test]
    fn refused() {
        for input in ["..", "a/../b", "a/..", "../a", "a\0b"] {
            LayerPath::new(input).expect_err(input);
            LayerPath::try_from(input.as_bytes().to_vec()).expect_err(input);
        }
        for (long, what) in [("n".repeat(256), "a long name"), ("n/".repeat(3000), "a long path")] {
            LayerPath::new(&long).expect_err(what);
            LayerPath::try_from(long.into_bytes()).expect_err(what);
        }
    }

    #[test]
    fn relations() {
        let path = LayerPath::new("usr/lib/x").unwrap();
        assert_eq!(path.name(), Some(&b"x"[..]));
        assert_eq!(path.parent().unwrap().to_string(), "/usr/lib");
        assert_eq!(LayerPath::new("usr").unwrap().parent(), Some(LayerPath::root()));
        assert_eq!(LayerPath::root().parent(), None);
        assert!(path.starts_with(&LayerPath::new("usr/lib").unwrap()));
        assert!(path.starts_with(&LayerPath::root()));
        assert!(!path.starts_with(&LayerPath::new("usr/li").unwrap()));
        assert!(LayerPath::new("a/z").unwrap() < LayerPath::new("a-b").unwrap());
    }
}
