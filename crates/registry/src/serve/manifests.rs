//! Manifests and indexes, by tag and by digest.

use std::io::Read as _;

use image::manifest::{Descriptor, digest};
use image::{Digest, Reference};
use serde_json::Value;
use store::Removal;

use super::Place;
use super::http::Request;
use super::reply::Reply;
use super::route::{Name, Route};
use crate::manifest::{self, MAX_SIZE};

impl Place<'_> {
    /// The names that an image may have in the store when a client calls it so: by this server's own
    /// host, and as it stands.
    pub(super) fn names(&self, route: &Route, tag: &str, request: &Request<'_>) -> Vec<Reference> {
        let repository = &route.repository;
        let own = request.header("Host").map(|host| format!("{host}/{repository}:{tag}"));
        let names = own.into_iter().chain([format!("{repository}:{tag}")]);
        names.filter_map(|name| name.parse().ok()).collect()
    }

    pub(super) fn manifest(
        &self,
        route: &Route,
        name: &Name,
        request: &Request<'_>,
    ) -> Result<Reply, store::Error> {
        let found = match name {
            Name::Digest(digest) => self.by_digest(digest)?,
            Name::Tag(tag) => self.by_tag(route, tag, request)?,
        };
        let Some((kind, bytes)) = found else { return Ok(unknown()) };
        let digest = Digest::of(&bytes).to_string();
        Ok(Reply::bytes(200, &kind, bytes).with("Docker-Content-Digest", digest))
    }

    fn by_tag(
        &self,
        route: &Route,
        tag: &str,
        request: &Request<'_>,
    ) -> Result<Option<(String, Vec<u8>)>, store::Error> {
        for name in self.names(route, tag, request) {
            let entry = self.entry(&name)?;
            if let Some(entry) = entry {
                let kind = entry.media_type().to_string();
                return Ok(Some((kind, self.store.read_blob(&entry)?)));
            }
        }
        Ok(None)
    }

    /// The entry with exactly this name: an abbreviation of an id is none.
    fn entry(&self, name: &Reference) -> Result<Option<Descriptor>, store::Error> {
        let all = self.store.references()?.into_iter().rev();
        let is_it = |known: &Option<String>| {
            known.as_ref().and_then(|it| it.parse::<Reference>().ok()).as_ref() == Some(name)
        };
        Ok(all.filter(|(known, _)| is_it(known)).map(|(_, entry)| entry).next())
    }

    fn by_digest(&self, digest: &Digest) -> Result<Option<(String, Vec<u8>)>, store::Error> {
        let path = self.store.blob_path(digest);
        let size = std::fs::metadata(&path).map_or(0, |it| it.len());
        if size == 0 || size > MAX_SIZE {
            return Ok(None);
        }
        let blob = image::manifest::descriptor(image::media_type::MANIFEST, *digest, size);
        let bytes = self.store.read_blob(&blob)?;
        Ok(manifest::parse(&bytes, None).ok().map(|(kind, _)| (kind, bytes)))
    }

    pub(super) fn put_manifest(
        &self,
        route: &Route,
        name: &Name,
        request: &mut Request<'_>,
    ) -> Result<Reply, store::Error> {
        let (kind, bytes) = match received(request) {
            Ok(received) => received,
            Err(refusal) => return Ok(refusal),
        };
        let found = Digest::of(&bytes);
        if matches!(name, Name::Digest(wanted) if *wanted != found) {
            return Ok(Reply::refusal(400, "DIGEST_INVALID", "the manifest has another digest"));
        }
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if let Some(missing) = self.missing(&value)? {
            let text = format!("{missing} was not pushed before");
            return Ok(Reply::refusal(400, "MANIFEST_BLOB_UNKNOWN", &text));
        }
        let tags: Vec<&str> = match name {
            Name::Tag(tag) => vec![tag],
            Name::Digest(_) => route.queries("tag").collect(),
        };
        let names = match named(&route.repository, &tags) {
            Ok(names) => names,
            Err(refusal) => return Ok(refusal),
        };
        let stored = self.store.put_blob(&kind, &bytes)?;
        let subject = value["subject"]["digest"].as_str().map(str::to_owned);
        for name in &names {
            self.store.tag(name, &stored)?;
        }
        // An artifact is found by what it is about; an image without a name is on its way to one.
        if names.is_empty() && subject.is_some() {
            self.store.keep(&stored)?;
        }
        let location = format!("/v2/{}/manifests/{found}", route.repository);
        let mut reply = Reply::empty(201)
            .with("Location", location)
            .with("Docker-Content-Digest", found.to_string());
        if matches!(name, Name::Digest(_)) {
            reply = tags.iter().fold(reply, |reply, tag| reply.with("OCI-Tag", (*tag).to_owned()));
        }
        Ok(subject.into_iter().fold(reply, |reply, subject| reply.with("OCI-Subject", subject)))
    }

    /// Something that a manifest names and the store has not. Layers that have their own place are
    /// not asked for.
    fn missing(&self, manifest: &Value) -> Result<Option<String>, store::Error> {
        let lists = ["layers", "manifests"].into_iter();
        let named = lists.flat_map(|list| manifest[list].as_array().into_iter().flatten());
        let config = Some(&manifest["config"]).filter(|config| config.is_object());
        for entry in named.chain(config) {
            let has_place = entry["urls"].as_array().is_some_and(|urls| !urls.is_empty());
            let Ok(entry) = serde_json::from_value::<Descriptor>(entry.clone()) else {
                return Ok(Some("what is no descriptor".to_owned()));
            };
            if !has_place && !self.store.has_blob(&entry)? {
                return Ok(Some(entry.digest().to_string()));
            }
        }
        Ok(None)
    }

    /// Takes a tag away; or an image, with all names that it has in the repository, and as far as no
    /// other names it.
    pub(super) fn delete_manifest(
        &self,
        route: &Route,
        name: &Name,
        request: &Request<'_>,
    ) -> Result<Reply, store::Error> {
        let gone = match name {
            Name::Tag(tag) => {
                let names = self.names(route, tag, request);
                self.untag(|name, _| names.contains(name))?
            }
            Name::Digest(wanted) => {
                if self.by_digest(wanted)?.is_none() {
                    return Ok(unknown());
                }
                let own = self.names(route, "latest", request);
                let repositories: Vec<String> = own.iter().map(Reference::name).collect();
                let is_it = |name: &Reference, entry: &Descriptor| {
                    digest(entry).is_ok_and(|it| it == *wanted)
                        && repositories.contains(&name.name())
                };
                let named = self.untag(is_it)? | self.store.let_go(wanted)?;
                match self.store.remove_blob(wanted)? {
                    Removal::InUse if !named => {
                        return Ok(Reply::unsupported("another image has this one in it"));
                    }
                    _ => true,
                }
            }
        };
        Ok(if gone { Reply::empty(202) } else { unknown() })
    }

    /// Takes names away; `true` where there was one.
    fn untag(&self, is_it: impl Fn(&Reference, &Descriptor) -> bool) -> Result<bool, store::Error> {
        let mut gone = false;
        for (known, entry) in self.store.references()? {
            let Some(known) = known else { continue };
            if known.parse().is_ok_and(|name| is_it(&name, &entry)) {
                gone |= self.store.untag(&known)?.is_some();
            }
        }
        Ok(gone)
    }
}

/// A manifest that a client sends, and its media type.
fn received(request: &mut Request<'_>) -> Result<(String, Vec<u8>), Reply> {
    let content_type = request.header("Content-Type").map(str::to_owned);
    let mut bytes = Vec::new();
    if request.body().take(MAX_SIZE + 1).read_to_end(&mut bytes).is_err() {
        return Err(invalid("the manifest did not come whole"));
    }
    if bytes.len() as u64 > MAX_SIZE {
        return Err(Reply::refusal(413, "SIZE_INVALID", "manifests have 4 MiB at most"));
    }
    match manifest::parse(&bytes, content_type.as_deref()) {
        Ok((kind, _)) => Ok((kind, bytes)),
        Err(failure) => Err(invalid(&failure.to_string())),
    }
}

/// The names that tags of a repository are.
fn named(repository: &str, tags: &[&str]) -> Result<Vec<Reference>, Reply> {
    let name = |tag: &&str| format!("{repository}:{tag}").parse::<Reference>();
    let names: Result<_, _> = tags.iter().map(name).collect();
    names.map_err(|error| Reply::refusal(400, "TAG_INVALID", &error.to_string()))
}

fn unknown() -> Reply {
    Reply::refusal(404, "MANIFEST_UNKNOWN", "there is no such manifest")
}

fn invalid(reason: &str) -> Reply {
    Reply::refusal(400, "MANIFEST_INVALID", reason)
}
