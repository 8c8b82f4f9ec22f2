//! Package URLs: `pkg:TYPE/NAMESPACE/NAME@VERSION?QUALIFIER=VALUE`.

use std::fmt::Write as _;

use image::{Platform, Reference};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A package URL in the making.
pub(crate) struct Purl(String);

impl Purl {
    /// A package of a type, such as `deb`; what stands between slashes is encoded by itself.
    pub(crate) fn new(kind: &str, path: &[&str], version: &str) -> Self {
        let path: Vec<String> = path.iter().map(|part| encode(part)).collect();
        let mut text = format!("pkg:{kind}/{}", path.join("/"));
        if !version.is_empty() {
            text += "@";
            text += &encode(version);
        }
        Self(text)
    }

    /// Adds qualifiers, which come in the order of their names; those without a value are left out.
    pub(crate) fn with(mut self, qualifiers: &[(&str, &str)]) -> String {
        let mut mark = '?';
        for (name, value) in qualifiers.iter().filter(|(_, value)| !value.is_empty()) {
            let _ = write!(self.0, "{mark}{name}={}", encode(value));
            mark = '&';
        }
        self.0
    }
}

/// What is no letter, digit or one of `.-_~:` as `%` and two digits.
fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~').remove(b':');

/// The package URL of an image for a platform, as BuildKit writes it. A name that is no reference stands
/// as it is.
///
/// ```
/// let platform = "linux/amd64".parse().unwrap();
/// let purl = attest::image_purl("docker.io/library/alpine:3.17", &platform);
/// assert_eq!(purl, "pkg:docker/alpine@3.17?platform=linux%2Famd64");
/// ```
pub fn image(name: &str, platform: &Platform) -> String {
    let platform = platform.to_string();
    let Ok(reference) = name.parse::<Reference>() else {
        return Purl::new("docker", &[name], "").with(&[("platform", &platform)]);
    };
    let digest = reference.digest().map(ToString::to_string).unwrap_or_default();
    let familiar = reference.familiar();
    let bare = familiar.split_once('@').map_or(&*familiar, |(bare, _)| bare);
    let bare = reference.tag().map_or(bare, |tag| &bare[..bare.len() - tag.len() - 1]);
    let path: Vec<&str> = bare.split('/').collect();
    let purl = Purl::new("docker", &path, reference.tag().unwrap_or_default());
    purl.with(&[("digest", &digest), ("platform", &platform)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images() {
        let platform: Platform = "linux/arm64/v8".parse().unwrap();
        let digest = format!("sha256:{}", "1".repeat(64));
        for (name, want) in [
            ("alpine", "pkg:docker/alpine@latest?platform="),
            ("me/app:1", "pkg:docker/me/app@1?platform="),
            ("localhost:5000/a/b:v1", "pkg:docker/localhost:5000/a/b@v1?platform="),
            (
                &*format!("alpine:3@{digest}"),
                &*format!("pkg:docker/alpine@3?digest={digest}&platform="),
            ),
            (
                &*format!("alpine@{digest}"),
                &*format!("pkg:docker/alpine?digest={digest}&platform="),
            ),
            ("oci-layout:///x", "pkg:docker/oci-layout:%2F%2F%2Fx?platform="),
        ] {
            let purl = image(name, &platform);
            assert!(purl.starts_with(want), "{purl}");
            assert!(purl.contains("platform=linux%2Farm64"), "{purl}");
        }
    }

    #[test]
    fn what_is_special_is_encoded() {
        let purl = Purl::new("npm", &["@scope", "name"], "1.0+b~1:2");
        assert_eq!(
            purl.with(&[("a", ""), ("b", "x y")]),
            "pkg:npm/%40scope/name@1.0%2Bb~1:2?b=x%20y"
        );
    }
}
