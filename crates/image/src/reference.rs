//! Image references by docker's rules: what a user types, and the full form that it stands for.
//!
//! Grammar: distribution `reference` (github.com/distribution/reference, `reference.go`, head
//! comment). Defaults: `docker.io`, `library/`, `:latest`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// The registry that a name without one means.
const DEFAULT_REGISTRY: &str = "docker.io";
/// The old name of the same registry, which docker still takes.
const LEGACY_REGISTRY: &str = "index.docker.io";
/// The namespace of docker.io's own images.
const OFFICIAL: &str = "library/";
/// The tag that a name without one means.
const DEFAULT_TAG: &str = "latest";
/// The longest registry/repository, in bytes.
const MAX_NAME: usize = 255;
/// The longest tag, in bytes.
const MAX_TAG: usize = 128;

/// A full, valid image reference: `registry/repository` with a tag, a digest, or both.
///
/// [`Display`](fmt::Display) gives the full form, [`Reference::familiar`] the short one that docker
/// shows. Parsing fills in docker's defaults; a reference with neither tag nor digest gets `:latest`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why text is not a [`Reference`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// There is nothing, or nothing before the tag.
    #[error("invalid reference {0:?}: the repository name is empty")]
    Empty(String),
    /// The repository has an upper-case letter, which the grammar forbids.
    #[error("invalid reference {0:?}: repository name must be lowercase")]
    Uppercase(String),
    /// It looks like an image ID, which cannot be a repository's name.
    #[error("invalid reference {0:?}: 64 hexadecimal digits are an image ID, not a name")]
    ImageId(String),
    /// The registry is no host name or address with an optional port.
    #[error("invalid reference {0:?}: bad registry name")]
    Registry(String),
    /// A part of the repository breaks the grammar.
    #[error("invalid reference {0:?}: bad repository name")]
    Repository(String),
    /// The tag breaks the grammar.
    #[error("invalid reference {0:?}: bad tag: want letters, digits, `_`, `.`, `-`, at most 128")]
    Tag(String),
    /// The digest is not one.
    #[error("invalid reference {0:?}: bad digest")]
    Digest(String),
    /// Registry and repository together are over 255 bytes.
    #[error("invalid reference {0:?}: repository name must not be more than 255 characters")]
    TooLong(String),
}

impl Reference {
    /// Host name or address of the registry, with its port if it has one: `docker.io`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository in that registry: `library/debian`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, which is absent only beside a digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, when the reference pins one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Registry and repository, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The same repository with this tag, without a digest.
    ///
    /// # Errors
    /// A tag outside the grammar is refused.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Tag(tag.to_owned()));
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository pinned to `digest`, without a tag.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The short form that docker shows: without `docker.io/`, without `library/`; the tag stays.
    pub fn familiar(&self) -> String {
        let mut text = String::new();
        if self.registry != DEFAULT_REGISTRY {
            text = format!("{}/", self.registry);
        }
        let official = self.registry == DEFAULT_REGISTRY;
        let short =
            self.repository.strip_prefix(OFFICIAL).filter(|rest| official && !rest.contains('/'));
        text + short.unwrap_or(&self.repository) + &self.suffix()
    }

    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
        tag + &digest
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (rest, digest) = split_digest(text)?;
        let (name, tag) = split_tag(rest);
        if name.is_empty() {
            return Err(ReferenceError::Empty(text.to_owned()));
        }
        if digest.is_none() && tag.is_none() && is_image_id(name) {
            return Err(ReferenceError::ImageId(text.to_owned()));
        }
        let (registry, repository) = split_registry(name);
        check_name(text, &registry, &repository)?;
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag(text.to_owned()));
        }
        let default_tag = digest.is_none().then_some(DEFAULT_TAG);
        let tag = tag.or(default_tag).map(str::to_owned);
        Ok(Self { registry, repository, tag, digest })
    }
}

fn split_digest(text: &str) -> Result<(&str, Option<Digest>), ReferenceError> {
    match text.split_once('@') {
        None => Ok((text, None)),
        Some((rest, digest)) => {
            let digest = digest.parse().map_err(|_| ReferenceError::Digest(text.to_owned()))?;
            Ok((rest, Some(digest)))
        }
    }
}

/// A colon after the last slash starts the tag; one before it belongs to the registry's port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    }
}

/// Docker's rule: what stands before the first slash is a registry when it has a dot or a colon, is
/// `localhost`, or has an upper-case letter; otherwise it is a namespace on docker.io.
fn split_registry(name: &str) -> (String, String) {
    let is_registry = |part: &str| {
        part.contains(['.', ':']) || part == "localhost" || part.chars().any(char::is_uppercase)
    };
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest)) if is_registry(first) => (first, rest),
        _ => (DEFAULT_REGISTRY, name),
    };
    let registry = if registry == LEGACY_REGISTRY { DEFAULT_REGISTRY } else { registry };
    let official = registry == DEFAULT_REGISTRY && !repository.contains('/');
    let namespace = if official { OFFICIAL } else { "" };
    (registry.to_owned(), format!("{namespace}{repository}"))
}

fn check_name(text: &str, registry: &str, repository: &str) -> Result<(), ReferenceError> {
    let text = || text.to_owned();
    if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(ReferenceError::Uppercase(text()));
    }
    if !is_registry_host(registry) {
        return Err(ReferenceError::Registry(text()));
    }
    if !repository.split('/').all(is_component) {
        return Err(ReferenceError::Repository(text()));
    }
    if registry.len() + 1 + repository.len() > MAX_NAME {
        return Err(ReferenceError::TooLong(text()));
    }
    Ok(())
}

fn is_image_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let rest = |byte: u8| word(byte) || byte == b'.' || byte == b'-';
    let mut bytes = tag.bytes();
    tag.len() <= MAX_TAG && bytes.next().is_some_and(word) && bytes.all(rest)
}

/// `alphanumeric (separator alphanumeric)*`, where a separator is `.`, `_`, `__` or any run of `-`.
fn is_component(part: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = |byte: Option<&u8>| byte.is_some_and(|&byte| is_alphanumeric(byte));
    let separators = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let valid =
        |run: &str| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|byte| byte == b'-');
    ends(part.as_bytes().first())
        && ends(part.as_bytes().last())
        && separators.into_iter().all(valid)
}

fn is_registry_host(registry: &str) -> bool {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    };
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    port.is_none_or(is_port) && (is_ipv6(host) || host.split('.').all(is_host_label))
}

fn is_ipv6(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_host_label(label: &str) -> bool {
    let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    !label.is_empty() && inner && !label.starts_with('-') && !label.ends_with('-')
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.registry, self.repository, self.suffix())
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn full_and_familiar_forms() {
        let digest = format!("sha256:{HEX}");
        for (input, full, familiar) in [
            ("debian", "docker.io/library/debian:latest", "debian:latest"),
            ("debian:bookworm", "docker.io/library/debian:bookworm", "debian:bookworm"),
            ("library/debian", "docker.io/library/debian:latest", "debian:latest"),
            ("docker.io/debian", "docker.io/library/debian:latest", "debian:latest"),
            ("index.docker.io/library/debian", "docker.io/library/debian:latest", "debian:latest"),
            ("user/app:1", "docker.io/user/app:1", "user/app:1"),
            ("quay.io/a/b/c:t", "quay.io/a/b/c:t", "quay.io/a/b/c:t"),
            ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
            ("localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"),
            ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
            ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
            ("Host/app", "Host/app:latest", "Host/app:latest"),
            ("a__b/c--d.e", "docker.io/a__b/c--d.e:latest", "a__b/c--d.e:latest"),
            ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
        ] {
            let reference: Reference = input.parse().unwrap();
            assert_eq!(reference.to_string(), full, "{input}");
            assert_eq!(reference.familiar(), familiar, "{input}");
        }
        let pinned: Reference = format!("debian@{digest}").parse().unwrap();
        assert_eq!(pinned.to_string(), format!("docker.io/library/debian@{digest}"));
        assert_eq!(pinned.tag(), None);
        let both: Reference = format!("debian:12@{digest}").parse().unwrap();
        assert_eq!((both.tag(), both.digest().map(Digest::hex)), (Some("12"), Some(HEX.into())));
    }

    #[test]
    fn refused() {
        let long_tag = format!("a:{}", "t".repeat(129));
        let long_name = "n".repeat(256 - "docker.io/library/".len());
        type Case<'a> = (&'a str, fn(String) -> ReferenceError);
        let cases: &[Case] = &[
            ("", ReferenceError::Empty),
            (":tag", ReferenceError::Empty),
            ("Debian", ReferenceError::Uppercase),
            ("user/App", ReferenceError::Uppercase),
            (HEX, ReferenceError::ImageId),
            ("a..b", ReferenceError::Repository),
            ("a___b", ReferenceError::Repository),
            ("-a", ReferenceError::Repository),
            ("a/", ReferenceError::Repository),
            ("/a", ReferenceError::Repository),
            ("a//b", ReferenceError::Repository),
            ("../a", ReferenceError::Registry),
            ("a b", ReferenceError::Repository),
            ("-x.io/a", ReferenceError::Registry),
            ("x.io:p/a", ReferenceError::Registry),
            ("a:", ReferenceError::Tag),
            ("a:.b", ReferenceError::Tag),
            ("a:b c", ReferenceError::Tag),
            (&long_tag, ReferenceError::Tag),
            ("a@sha256:12", ReferenceError::Digest),
            ("a@", ReferenceError::Digest),
            (&long_name, ReferenceError::TooLong),
        ];
        for (input, error) in cases {
            assert_eq!(input.parse::<Reference>(), Err(error((*input).to_owned())), "{input}");
        }
    }

    proptest! {
        #[test]
        fn the_full_form_parses_to_itself(
            text in "([a-z0-9]{1,5}(\\.io|:[0-9]{1,4})?/)?[a-z0-9]([._]?[a-z0-9]){0,4}(:[a-zA-Z0-9_][a-z.-]{0,5})?"
        ) {
            let reference: Reference = text.parse().unwrap();
            prop_assert_eq!(&reference.to_string().parse::<Reference>().unwrap(), &reference);
            prop_assert_eq!(&reference.familiar().parse::<Reference>().unwrap(), &reference);
        }

        #[test]
        fn any_text_parses_or_fails_and_what_parses_is_stable(text in "\\PC{0,40}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference);
            }
        }
    }
}
