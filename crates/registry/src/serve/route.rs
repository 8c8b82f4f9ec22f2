//! From a URL to what is asked for. Pure.

use image::{Digest, Reference};
use percent_encoding::percent_decode_str;

use super::reply::Reply;

/// A request's place in the API.
#[derive(Debug, PartialEq)]
pub(super) struct Route {
    /// The repository as the client names it; empty where there is none.
    pub(super) repository: String,
    pub(super) target: Target,
    query: Vec<(String, String)>,
}

/// Which of the API's ends.
#[derive(Debug, PartialEq)]
pub(super) enum Target {
    Base,
    Catalog,
    Tags,
    Referrers(Digest),
    Manifest(Name),
    Blob(Digest),
    Uploads,
    Upload(String),
}

/// What a manifest is asked for by.
#[derive(Debug, PartialEq)]
pub(super) enum Name {
    Tag(String),
    Digest(Digest),
}

impl Route {
    /// Reads a URL's path and query.
    ///
    /// # Errors
    /// The refusal for what is none of the API's.
    pub(super) fn parse(url: &str) -> Result<Self, Reply> {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let query = query.split('&').filter_map(pair).collect();
        let unknown = || Reply::refusal(404, "UNSUPPORTED", "there is no such page");
        let rest = path.strip_prefix("/v2").ok_or_else(unknown)?;
        let base = |target| Ok(Self { repository: String::new(), target, query: Vec::new() });
        match rest {
            "" | "/" => return base(Target::Base),
            "/_catalog" => {
                return Ok(Self { repository: String::new(), target: Target::Catalog, query });
            }
            _ => {}
        }
        let parts: Vec<&str> = rest.trim_start_matches('/').split('/').collect();
        let (count, target) = target(&parts)?.ok_or_else(unknown)?;
        let repository = parts[..parts.len() - count].join("/");
        if format!("registry.invalid/{repository}").parse::<Reference>().is_err() {
            return Err(Reply::refusal(400, "NAME_INVALID", "this is no name of a repository"));
        }
        Ok(Self { repository, target, query })
    }

    /// A parameter of the query.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.queries(name).next()
    }

    /// A parameter that may be given more than once.
    pub(super) fn queries(&self, name: &str) -> impl Iterator<Item = &str> {
        let found = self.query.iter().filter(move |(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The end of a path: how many parts it has, and what it means.
fn target(parts: &[&str]) -> Result<Option<(usize, Target)>, Reply> {
    Ok(Some(match parts {
        [.., "tags", "list"] => (2, Target::Tags),
        [.., "blobs", "uploads", ""] | [.., "blobs", "uploads"] => {
            let count = if parts.last() == Some(&"") { 3 } else { 2 };
            (count, Target::Uploads)
        }
        [.., "blobs", "uploads", id] => (3, Target::Upload((*id).to_owned())),
        [.., "blobs", text] => (2, Target::Blob(digest(text)?)),
        [.., "referrers", text] => (2, Target::Referrers(digest(text)?)),
        [.., "manifests", text] if text.contains(':') => {
            (2, Target::Manifest(Name::Digest(digest(text)?)))
        }
        [.., "manifests", text] => (2, Target::Manifest(Name::Tag((*text).to_owned()))),
        _ => return Ok(None),
    }))
}

pub(super) fn digest(text: &str) -> Result<Digest, Reply> {
    let refusal = |_| Reply::refusal(400, "DIGEST_INVALID", "this is no SHA-256 digest");
    text.parse().map_err(refusal)
}

fn pair(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once('=')?;
    Some((decoded(key), decoded(value)))
}

/// A value of a query as it was before it was encoded.
fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let hash = Digest::of("x");
        let parsed = |url: &str| Route::parse(url).map(|it| (it.repository, it.target));
        for (url, repository, target) in [
            ("/v2/", "", Target::Base),
            ("/v2/_catalog?n=1", "", Target::Catalog),
            ("/v2/a/tags/list", "a", Target::Tags),
            ("/v2/a/b/manifests/1", "a/b", Target::Manifest(Name::Tag("1".into()))),
            (&format!("/v2/a/manifests/{hash}"), "a", Target::Manifest(Name::Digest(hash))),
            (&format!("/v2/blobs/blobs/{hash}"), "blobs", Target::Blob(hash)),
            ("/v2/a/blobs/uploads/", "a", Target::Uploads),
            ("/v2/a/blobs/uploads/7?x=y", "a", Target::Upload("7".into())),
            (&format!("/v2/a/referrers/{hash}"), "a", Target::Referrers(hash)),
        ] {
            let found = parsed(url).ok();
            assert_eq!(found, Some((repository.to_owned(), target)), "{url}");
        }
        for (url, status) in [
            ("/", 404),
            ("/v2/a", 404),
            ("/v2/A/tags/list", 400),
            ("/v2/../etc/tags/list", 400),
            ("/v2/tags/list", 400),
            ("/v2/a/blobs/sha256:00", 400),
            ("/v2/a/manifests/md5:00", 400),
        ] {
            assert_eq!(parsed(url).err().map(|reply| reply.status()), Some(status), "{url}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        let route = Route::parse("/v2/a/blobs/uploads/7?digest=sha256%3Aab&x=a+b&y=%zz&w=%+1")
            .ok()
            .unwrap();
        assert_eq!(route.query("digest"), Some("sha256:ab"));
        assert_eq!(
            (route.query("x"), route.query("y"), route.query("w"), route.query("z")),
            (Some("a b"), Some("%zz"), Some("% 1"), None)
        );
    }
}
