//! What a registry asks for when it refuses: the `WWW-Authenticate` header.
//!
//! RFC 9110, section 11.6.1; the parameters of `Bearer` are distribution's (token.md, "How to
//! authenticate").

/// One way to authenticate that a registry offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A token from another server.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
    /// User name and password with each request.
    Basic,
}

/// The challenges in one header's value, which may hold several. Schemes that we cannot answer are
/// left out.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut rest = header;
    while let Some((scheme, parameters, next)) = next_challenge(rest) {
        found.extend(challenge(scheme, &parameters));
        rest = next;
    }
    found
}

type Parameters = Vec<(String, String)>;

fn challenge(scheme: &str, parameters: &Parameters) -> Option<Challenge> {
    let value = |name: &str| {
        let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    };
    match scheme.to_ascii_lowercase().as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: value("realm")?,
            service: value("service"),
            scope: value("scope"),
        }),
        _ => None,
    }
}

/// Splits off a scheme and its parameters. A comma separates parameters and challenges alike: a word
/// that no `=` follows starts the next challenge.
fn next_challenge(text: &str) -> Option<(&str, Parameters, &str)> {
    let text = text.trim_start_matches(is_separator);
    let (scheme, mut rest) = token(text)?;
    let mut parameters = Vec::new();
    while let Some((key, value, next)) = parameter(rest) {
        parameters.push((key.to_owned(), value));
        rest = next;
    }
    // What is neither a parameter nor a word ends the reading: no progress could be made behind it.
    Some((scheme, parameters, rest))
}

fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let (key, rest) = token(text.trim_start_matches(is_separator))?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    match rest.strip_prefix('"') {
        Some(quoted) => unquote(quoted).map(|(value, rest)| (key, value, rest)),
        None => {
            let end = rest.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(rest.len());
            Some((key, rest[..end].to_owned(), &rest[end..]))
        }
    }
}

fn is_separator(c: char) -> bool {
    c == ',' || c.is_whitespace()
}

fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// The value of a quoted string whose opening quote is gone, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Challenge::Bearer { realm: realm.to_owned(), service: text(service), scope: text(scope) }
    }

    #[test]
    fn headers_as_registries_send_them() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/debian:pull""#;
        for (header, want) in [
            (
                hub,
                vec![bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:library/debian:pull"),
                )],
            ),
            (r#"Basic realm="x, y""#, vec![Challenge::Basic]),
            ("Basic", vec![Challenge::Basic]),
            (
                r#"bearer Realm = "https://a/t" , service=s"#,
                vec![bearer("https://a/t", Some("s"), None)],
            ),
            (
                r#"Negotiate, Bearer realm="https://a/t",scope="repository:a:pull,push", Basic realm="b""#,
                vec![bearer("https://a/t", None, Some("repository:a:pull,push")), Challenge::Basic],
            ),
            (r#"Bearer realm="a\"b""#, vec![bearer("a\"b", None, None)]),
            (r#"Bearer service="no realm""#, vec![]),
            (r#"Bearer realm="unclosed"#, vec![]),
            ("", vec![]),
            ("=,=", vec![]),
        ] {
            assert_eq!(parse(header), want, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read(header in "\\PC{0,60}") {
            parse(&header);
        }
    }
}
