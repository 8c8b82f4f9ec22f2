//! Where a reference's registry is, and how it is spoken to.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::registries::Source;

/// The name that users give docker's registry, and the host that serves it.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// Plain or encrypted HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// One repository of one registry: the names that errors show, and the host that requests go to.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    registry: String,
    repository: String,
    host: String,
    insecure: bool,
}

impl Endpoint {
    pub(crate) fn of(source: &Source) -> Self {
        let reference = &source.reference;
        let registry = reference.registry();
        let host = if registry == DOCKER_HUB.0 { DOCKER_HUB.1 } else { registry };
        Self {
            registry: registry.to_owned(),
            repository: reference.repository().to_owned(),
            host: host.to_owned(),
            insecure: source.insecure,
        }
    }

    /// The registry as the user names it.
    pub(crate) fn registry(&self) -> &str {
        &self.registry
    }

    pub(crate) fn repository(&self) -> &str {
        &self.repository
    }

    /// Whether registries.conf trusts it without a certificate, and without TLS.
    pub(crate) fn is_insecure(&self) -> bool {
        self.insecure
    }

    /// Whether the port is said, so that plain and encrypted HTTP would come to the same server.
    pub(crate) fn has_port(&self) -> bool {
        host_name(&self.host).len() < self.host.trim_matches(['[', ']']).len()
    }

    /// Whether the registry is on this machine, where nobody can listen in: docker speaks plain HTTP
    /// there when TLS is not answered.
    pub(crate) fn is_loopback(&self) -> bool {
        let name = host_name(&self.host).to_ascii_lowercase();
        name == "localhost"
            || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
            || name.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
    }

    /// The URL that tells whether a registry is there (distribution-spec, "Determining Support").
    pub(crate) fn base(&self, scheme: Scheme) -> String {
        format!("{scheme}://{}/v2/", self.host)
    }

    /// Whether a URL is one of this registry, which may see its credentials.
    pub(crate) fn is_at(&self, url: &str) -> bool {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        authority.eq_ignore_ascii_case(&self.host)
    }

    /// A URL that the registry gave, which may leave out scheme and host, or the scheme alone (RFC 3986,
    /// section 4.2).
    pub(crate) fn resolve(&self, scheme: Scheme, location: &str) -> String {
        match location {
            rest if rest.starts_with("//") => format!("{scheme}:{rest}"),
            path if path.starts_with('/') => format!("{scheme}://{}{path}", self.host),
            whole => whole.to_owned(),
        }
    }

    /// Where uploads to the repository begin (distribution-spec, "Pushing blobs").
    pub(crate) fn uploads(&self, scheme: Scheme) -> String {
        format!("{}{}/blobs/uploads/", self.base(scheme), self.repository)
    }

    /// Where the tags of the repository are listed.
    pub(crate) fn tags(&self, scheme: Scheme) -> String {
        format!("{}{}/tags/list", self.base(scheme), self.repository)
    }

    /// Where what refers to a manifest is listed.
    pub(crate) fn referrers(&self, scheme: Scheme, digest: &str) -> String {
        format!("{}{}/referrers/{digest}", self.base(scheme), self.repository)
    }

    /// A manifest's URL; `reference` is a tag or a digest.
    pub(crate) fn manifest(&self, scheme: Scheme, reference: &str) -> String {
        format!("{}{}/manifests/{reference}", self.base(scheme), self.repository)
    }

    /// A blob's URL.
    pub(crate) fn blob(&self, scheme: Scheme, digest: &str) -> String {
        format!("{}{}/blobs/{digest}", self.base(scheme), self.repository)
    }
}

/// The host without its port and without the brackets of an IPv6 address.
fn host_name(host: &str) -> &str {
    if let Some((name, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return name;
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(name: &str) -> Endpoint {
        Endpoint::of(&Source { reference: name.parse().unwrap(), insecure: false })
    }

    #[test]
    fn urls() {
        let debian = endpoint("debian");
        assert_eq!(debian.registry(), "docker.io");
        assert_eq!(
            debian.manifest(Scheme::Https, "latest"),
            "https://registry-1.docker.io/v2/library/debian/manifests/latest"
        );
        assert_eq!(
            endpoint("[::1]:5000/a/b").blob(Scheme::Http, "sha256:00"),
            "http://[::1]:5000/v2/a/b/blobs/sha256:00"
        );
    }

    #[test]
    fn locations() {
        let there = endpoint("host:5000/a");
        for (location, want, ours) in [
            ("/v2/a/blobs/uploads/1?x=y", "http://host:5000/v2/a/blobs/uploads/1?x=y", true),
            ("http://HOST:5000/u", "http://HOST:5000/u", true),
            ("//host:5000/u", "http://host:5000/u", true),
            ("https://cdn.example.com/u", "https://cdn.example.com/u", false),
            ("http://host:5001/u", "http://host:5001/u", false),
            ("http://host:5000@evil.example.com/u", "http://host:5000@evil.example.com/u", false),
        ] {
            let url = there.resolve(Scheme::Http, location);
            assert_eq!((url.as_str(), there.is_at(&url)), (want, ours), "{location}");
        }
    }

    #[test]
    fn ports() {
        for (name, want) in [
            ("localhost/a", false),
            ("localhost:1/a", true),
            ("[::1]:5000/a", true),
            ("quay.io/a", false),
        ] {
            assert_eq!(endpoint(name).has_port(), want, "{name}");
        }
    }

    #[test]
    fn loopback() {
        for name in
            ["localhost/a", "LOCALHOST:1/a", "127.0.0.1:5000/a", "127.9.9.9:5/a", "[::1]:5000/a"]
        {
            assert!(endpoint(name).is_loopback(), "{name}");
        }
        for name in [
            "debian",
            "localhost.example.com/a",
            "128.0.0.1:5000/a",
            "[::2]:5000/a",
            "127.0.0.1.example.com/a",
        ] {
            assert!(!endpoint(name).is_loopback(), "{name}");
        }
    }
}
