//! Lists: repositories, tags, and what refers to an image.

use std::collections::BTreeSet;

use image::{Digest, Reference, media_type};
use serde_json::{Value, json};

use super::Place;
use super::http::Request;
use super::reply::Reply;
use super::route::Route;

impl Place<'_> {
    pub(super) fn catalog(
        &self,
        route: &Route,
        request: &Request<'_>,
    ) -> Result<Reply, store::Error> {
        let host = request.header("Host").unwrap_or_default().to_owned();
        let named = self.references()?;
        let repositories: BTreeSet<String> =
            named.iter().filter_map(|name| repository(name, &host)).collect();
        let (page, more) = page(route, repositories);
        let reply = Reply::json(200, &json!({ "repositories": page }));
        Ok(linked(reply, "/v2/_catalog", route, more))
    }

    pub(super) fn tags(&self, route: &Route, request: &Request<'_>) -> Result<Reply, store::Error> {
        let own = self.names(route, "latest", request);
        let repositories: Vec<String> = own.iter().map(Reference::name).collect();
        let named = self.references()?;
        let here = named.iter().filter(|name| repositories.contains(&name.name()));
        let tags: BTreeSet<String> =
            here.filter_map(|name| name.tag().map(str::to_owned)).collect();
        if tags.is_empty() {
            let text = "there is no such repository";
            return Ok(Reply::refusal(404, "NAME_UNKNOWN", text));
        }
        let (page, more) = page(route, tags);
        let repository = &route.repository;
        let reply = Reply::json(200, &json!({ "name": repository, "tags": page }));
        Ok(linked(reply, &format!("/v2/{repository}/tags/list"), route, more))
    }

    /// An index of the manifests in the store whose subject is this one (distribution-spec, "Listing
    /// Referrers").
    pub(super) fn referrers(&self, route: &Route, digest: &Digest) -> Result<Reply, store::Error> {
        let wanted = route.query("artifactType");
        let mut found = Vec::new();
        for (_, entry) in self.store.references()? {
            let kind = entry.media_type().as_ref();
            if !media_type::is_manifest(kind) && !media_type::is_index(kind) {
                continue;
            }
            let bytes = self.store.read_blob(&entry)?;
            let manifest: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            if manifest["subject"]["digest"] != digest.to_string().as_str() {
                continue;
            }
            let kind = match &manifest["artifactType"] {
                Value::String(kind) => kind.clone(),
                _ => manifest["config"]["mediaType"].as_str().unwrap_or_default().to_owned(),
            };
            if wanted.is_none_or(|wanted| wanted == kind) {
                let mut referrer = json!({
                    "mediaType": entry.media_type().to_string(),
                    "digest": entry.digest().to_string(),
                    "size": entry.size(),
                    "artifactType": kind,
                });
                if manifest["annotations"].is_object() {
                    referrer["annotations"] = manifest["annotations"].clone();
                }
                if !found.contains(&referrer) {
                    found.push(referrer);
                }
            }
        }
        let index = json!({
            "schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": found,
        });
        let reply = Reply::bytes(200, media_type::INDEX, index.to_string().into_bytes());
        Ok(match wanted {
            Some(_) => reply.with("OCI-Filters-Applied", "artifactType"),
            None => reply,
        })
    }

    fn references(&self) -> Result<Vec<Reference>, store::Error> {
        let names = self.store.references()?.into_iter();
        Ok(names.filter_map(|(name, _)| name?.parse().ok()).collect())
    }
}

/// What a client calls a repository here; `None` for one that it cannot name.
fn repository(name: &Reference, host: &str) -> Option<String> {
    if name.registry() == host {
        return Some(name.repository().to_owned());
    }
    let familiar = name.familiar();
    let bare = familiar.split('@').next().unwrap_or(&familiar);
    let bare = name.tag().and_then(|tag| bare.strip_suffix(&format!(":{tag}"))).unwrap_or(bare);
    // A port cannot stand in a repository's name.
    (!bare.contains(':')).then(|| bare.to_owned())
}

/// The part of a list that a query asks for, and its last name where more follow.
fn page(route: &Route, all: BTreeSet<String>) -> (Vec<String>, Option<String>) {
    let last = route.query("last").unwrap_or_default();
    let count = route.query("n").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    let mut rest = all.into_iter().filter(|name| name.as_str() > last);
    let page: Vec<String> = rest.by_ref().take(count).collect();
    let more = rest.next().and(page.last().cloned());
    (page, more)
}

/// With the way to the next page.
fn linked(reply: Reply, path: &str, route: &Route, more: Option<String>) -> Reply {
    let (Some(n), Some(last)) = (route.query("n"), more) else { return reply };
    let last = crate::upload::encoded(&last);
    reply.with("Link", format!("<{path}?n={n}&last={last}>; rel=\"next\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_as_clients_name_them() {
        for (name, want) in [
            ("app:1", Some("app")),
            ("team/app:1", Some("team/app")),
            ("quay.io/x/y:1", Some("quay.io/x/y")),
            ("127.0.0.1:5000/mine:1", Some("mine")),
            ("other:5000/x:1", None),
        ] {
            let found = repository(&name.parse().unwrap(), "127.0.0.1:5000");
            assert_eq!(found.as_deref(), want, "{name}");
        }
    }

    #[test]
    fn pages() {
        let all: BTreeSet<String> = ["a", "b", "c"].map(str::to_owned).into();
        let of = |url: &str| page(&Route::parse(url).ok().unwrap(), all.clone());
        let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        assert_eq!(of("/v2/a/tags/list"), (names(&["a", "b", "c"]), None));
        assert_eq!(of("/v2/a/tags/list?n=2"), (names(&["a", "b"]), Some("b".to_owned())));
        assert_eq!(of("/v2/a/tags/list?n=2&last=b"), (names(&["c"]), None));
        assert_eq!(of("/v2/a/tags/list?n=0"), (names(&[]), None));
    }
}
