//! Which names a prefix of registries.conf stands for, and what they become elsewhere. Pure.
//!
//! containers-registries.conf(5), "Choosing a [[registry]] TOML table" and "Remapping and mirroring
//! registries".

/// How much of `name` the prefix stands for, in bytes; `None` where it stands for other names. A prefix
/// ends where a part of the name does: at a slash, or before a tag or a digest. `*.example.com` stands for
/// the hosts of that domain.
pub(super) fn matched(name: &str, prefix: &str) -> Option<usize> {
    if let Some(domain) = prefix.strip_prefix('*') {
        let host = name.split('/').next().unwrap_or(name);
        let bare = host.split(':').next().unwrap_or(host);
        let inside = bare.len() > domain.len() && bare.ends_with(domain);
        return inside.then_some(bare.len());
    }
    let rest = name.strip_prefix(prefix)?;
    let ends = match rest.bytes().next() {
        None | Some(b'/' | b'@') => true,
        // Behind a host stands a port, which makes it another registry.
        Some(b':') => prefix.contains('/'),
        Some(_) => false,
    };
    ends.then_some(prefix.len())
}

/// The name with another place in front, in the place of its first `length` bytes.
pub(super) fn moved(name: &str, length: usize, location: &str) -> String {
    format!("{location}{}", &name[length..])
}

/// Whether the name says which registry it means: by a dot or a port in its first part, or `localhost`.
pub(super) fn is_qualified(name: &str) -> bool {
    name.split_once('/').is_some_and(|(first, _)| {
        first == "localhost" || first.contains(['.', ':']) || first.bytes().any(is_upper)
    })
}

fn is_upper(byte: u8) -> bool {
    byte.is_ascii_uppercase()
}

/// A name's repository, and its tag and digest.
pub(super) fn split(name: &str) -> (&str, &str) {
    let start = name.rfind('/').map_or(0, |at| at + 1);
    let end = name[start..].find([':', '@']).map_or(name.len(), |at| start + at);
    name.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        for (name, prefix, want) in [
            ("quay.io/a/b:1", "quay.io", Some(7)),
            ("quay.io/a/b:1", "quay.io/a", Some(9)),
            ("quay.io/a/b:1", "quay.io/a/b", Some(11)),
            ("quay.io/a/b:1", "quay.io/a/b:1", Some(13)),
            ("quay.io/a/b:1", "quay.io/a/", None),
            ("quay.io/ab:1", "quay.io/a", None),
            ("quay.io:5000/a:1", "quay.io", None),
            ("quay.io:5000/a:1", "quay.io:5000", Some(12)),
            ("cdn.quay.io/a:1", "*.quay.io", Some(11)),
            ("a.b.quay.io:5000/a:1", "*.quay.io", Some(11)),
            ("quay.io/a:1", "*.quay.io", None),
            ("evil.io/x.quay.io:1", "*.quay.io", None),
        ] {
            assert_eq!(matched(name, prefix), want, "{name} {prefix}");
        }
        assert_eq!(moved("quay.io/a/b:1", 9, "mirror.local/x"), "mirror.local/x/b:1");
    }

    #[test]
    fn short_names() {
        for (name, qualified, repository) in [
            ("debian", false, "debian"),
            ("debian:12", false, "debian"),
            ("user/x@sha256:00", false, "user/x"),
            ("quay.io/x:1", true, "quay.io/x"),
            ("localhost/x", true, "localhost/x"),
            ("host:5000/x", true, "host:5000/x"),
        ] {
            assert_eq!((is_qualified(name), split(name).0), (qualified, repository), "{name}");
        }
    }
}
