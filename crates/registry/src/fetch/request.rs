//! What is asked of a web server: the URL without its password, and the password as a header.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::Error;
use crate::endpoint::Scheme;

/// A URL taken apart. Its `Debug` would show the password: there is none.
pub(super) struct Target {
    pub(super) scheme: Scheme,
    /// Without user and password.
    pub(super) url: String,
    /// For people: the same.
    pub(super) shown: String,
    authorization: Option<String>,
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let (text, _) = url.split_once('#').unwrap_or((url, ""));
        let malformed = || Error::Url { url: without_user(text) };
        if text.chars().any(char::is_control) {
            return Err(malformed());
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(malformed)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(malformed()),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        if host.is_empty() || host.contains(' ') {
            return Err(malformed());
        }
        let url = format!("{scheme}://{host}{}", encoded(path));
        Ok(Self { scheme, shown: url.clone(), url, authorization: user.map(basic) })
    }

    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let header = |value: &String| ("Authorization", value.clone());
        self.authorization.iter().map(header).collect()
    }
}

fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let host = rest[..end].rsplit_once('@').map_or(&rest[..end], |(_, host)| host);
    crate::refusal::printable(&format!("{scheme}://{host}{}", &rest[end..]))
}

/// A path and query with all that may not stand in one encoded: people write `ADD https://example.com/naïve`.
/// What is encoded already stays.
fn encoded(path: &str) -> String {
    const NEVER: &AsciiSet = &CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'<')
        .add(b'>')
        .add(b'\\')
        .add(b'^')
        .add(b'`')
        .add(b'{')
        .add(b'|')
        .add(b'}');
    utf8_percent_encode(path, NEVER).to_string()
}

/// RFC 7617.
fn basic(user: &str) -> String {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let plain = [&decoded(name)[..], b":", &decoded(password)[..]].concat();
    format!("Basic {}", STANDARD.encode(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_become_a_header() {
        for (url, want, authorization) in [
            ("http://example.com/a?b#c", "http://example.com/a?b", None),
            ("HTTPS://example.com", "https://example.com", None),
            ("https://u:p%40q@example.com:8/", "https://example.com:8/", Some("dTpwQHE=")),
            ("https://token@example.com/x@y", "https://example.com/x@y", Some("dG9rZW46")),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!((&*target.url, &*target.shown), (want, want));
            let header = authorization.map(|value| ("Authorization", format!("Basic {value}")));
            assert_eq!(target.headers(), Vec::from_iter(header), "{url}");
        }
    }

    #[test]
    fn what_cannot_stand_in_a_path_is_encoded() {
        for (url, want) in [
            ("http://a/b c", "http://a/b%20c"),
            ("http://a/ü?q=\"x\"", "http://a/%C3%BC?q=%22x%22"),
            ("http://a/%20%zz[1]", "http://a/%20%zz[1]"),
        ] {
            assert_eq!(Target::parse(url).unwrap().url, want);
        }
    }

    #[test]
    fn what_is_refused_shows_no_password() {
        for url in ["ftp://u:secret@example.com/", "http://", "http://u:secret@/x", "http://a b/"] {
            let Err(error) = Target::parse(url) else { panic!("{url}") };
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
