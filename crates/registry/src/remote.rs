//! What is in a registry, looked at and removed without pulling.
//!
//! Distribution-spec, "Content Discovery" and "Content Management".

use std::sync::atomic::AtomicBool;

use image::{Descriptor, Digest, ImageConfig, ImageIndex, Reference, media_type};
use serde::Deserialize;
use ureq::http::Method;

use crate::Error;
use crate::cancel;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::find;
use crate::manifest;
use crate::options::Options;
use crate::session::{Call, Payload, Session};
use crate::sources::Reading;
use crate::transport::header;
use crate::upload::encoded;

/// The largest answer that is taken, in bytes.
const MAX_ANSWER: u64 = 8 * 1024 * 1024;
/// How many pages of tags are read at most.
const MAX_PAGES: usize = 10_000;

/// A manifest or index as the registry has it.
#[derive(Clone, Debug)]
pub struct Document {
    /// What names it.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// An image that is not here.
#[derive(Clone, Debug)]
pub struct RemoteImage {
    /// Its manifest.
    pub manifest: Document,
    /// The bytes of its configuration.
    pub config_bytes: Vec<u8>,
    /// The configuration.
    pub config: ImageConfig,
}

/// Speaks to one repository.
#[derive(Clone, Copy)]
pub struct Remote<'a> {
    reference: &'a Reference,
    options: &'a Options,
    interrupt: &'a AtomicBool,
}

impl<'a> Remote<'a> {
    /// The repository of `reference`, or what that names in it. Every call ends soon after `interrupt`
    /// is set.
    pub fn new(reference: &'a Reference, options: &'a Options, interrupt: &'a AtomicBool) -> Self {
        Self { reference, options, interrupt }
    }

    /// All tags, in the registry's order.
    ///
    /// # Errors
    /// [`Error`] says what failed.
    pub fn tags(&self) -> Result<Vec<String>, Error> {
        self.read(|session, _| {
            let mut tags = Vec::new();
            let mut next = Some(format!("{}?n=1000", session.endpoint.tags(session.scheme)));
            for _ in 0..MAX_PAGES {
                let Some(url) = next else { return Ok(tags) };
                let (page, following): (TagList, _) = get_json(session, "list the tags", &url)?;
                tags.extend(page.tags.unwrap_or_default());
                next = following;
            }
            let failure = Failure::Endless { limit: MAX_PAGES as u64 };
            Err(session.error("list the tags", failure))
        })
    }

    /// What the reference names, as it is: an index, or a manifest of any kind.
    ///
    /// # Errors
    /// [`Error`] says what failed.
    pub fn document(&self) -> Result<Document, Error> {
        self.read(|session, name| find::named(session, name).map(document))
    }

    /// The image that the reference names, for the platform of the options.
    ///
    /// # Errors
    /// [`Error`] says what failed.
    pub fn image(&self) -> Result<RemoteImage, Error> {
        self.read(|session, name| {
            let found = find::image(session, name)?;
            let digest = found.config().map_err(|it| session.error("use the manifest", it))?;
            let config_bytes = blob(session, &digest)?;
            let config = serde_json::from_slice(&config_bytes).map_err(|error| {
                let reason = format!("its configuration is bad JSON: {error}");
                session.error("use the configuration", Failure::NotImage(reason))
            })?;
            let size = found.bytes.len() as u64;
            let descriptor = image::manifest::descriptor(&found.media_type, found.digest, size);
            let manifest = Document { descriptor, bytes: found.bytes };
            Ok(RemoteImage { manifest, config_bytes, config })
        })
    }

    /// Removes what the reference names, with all its tags; gives its digest.
    ///
    /// # Errors
    /// [`Error`] says what failed: many registries allow no deletion.
    pub fn delete(&self) -> Result<Digest, Error> {
        let target = self.options.registries.target(self.reference)?;
        let reading = Reading { rights: "pull,delete", ..self.reading() };
        reading.with(&target, self.options, |session, name| {
            let (_, _, digest, _) = find::named(session, name)?;
            let url = session.endpoint.manifest(session.scheme, &digest.to_string());
            let call =
                Call { method: Method::DELETE, url: &url, headers: &[], content: Payload::Nothing };
            session.retry("delete the manifest", || session.request(&call).map(drop))?;
            Ok(digest)
        })
    }

    /// What refers to the image: signatures, attestations, other artifacts; of one kind, or of any.
    ///
    /// # Errors
    /// [`Error`] says what failed.
    pub fn referrers(&self, kind: Option<&str>) -> Result<Vec<Descriptor>, Error> {
        self.read(|session, name| {
            let (_, _, digest, _) = find::named(session, name)?;
            let mut index = self.referrers_of(session, &digest, kind)?;
            let wanted = |entry: &Descriptor| {
                let found = entry.artifact_type().as_ref().map(ToString::to_string);
                kind.is_none_or(|kind| found.as_deref() == Some(kind))
            };
            // A registry may leave the choice to us.
            index.retain(wanted);
            Ok(index)
        })
    }

    fn referrers_of(
        &self,
        session: &Session<'_>,
        digest: &Digest,
        kind: Option<&str>,
    ) -> Result<Vec<Descriptor>, Error> {
        let filter = kind.map(|kind| format!("?artifactType={}", encoded(kind)));
        let url = session.endpoint.referrers(session.scheme, &digest.to_string());
        let url = url + filter.as_deref().unwrap_or_default();
        let action = "list the referrers";
        match get_json::<ImageIndex>(session, action, &url) {
            Ok((index, _)) => return Ok(index.manifests().clone()),
            Err(Error::Registry { source, .. }) if is_absent(&source) => {}
            Err(error) => return Err(error),
        }
        // Registries without the API keep the list under a tag ("Referrers Tag Schema").
        let tag = format!("sha256-{}", digest.hex());
        match find::get(session, &tag, None) {
            Ok((_, _, _, find::Document::Index(index))) => Ok(index.manifests().clone()),
            Ok(_) => Ok(Vec::new()),
            Err(Error::Registry { source, .. }) if is_absent(&source) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn read<T>(
        &self,
        work: impl Fn(&Session<'_>, &Reference) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.reading().first(self.reference, work)
    }

    fn reading(&self) -> Reading<'a> {
        let (options, interrupt) = (self.options, self.interrupt);
        Reading { options, rights: "pull", progress: &(), interrupt }
    }
}

/// Makes sure that a registry takes the login in the options: asks it for its front page.
///
/// # Errors
/// [`Error`] says what failed.
pub fn check_login(
    registry: &Reference,
    options: &Options,
    interrupt: &AtomicBool,
) -> Result<(), Error> {
    cancel::watching(interrupt, |cancel| {
        let endpoint = Endpoint::of(&options.registries.target(registry)?);
        let session = Session::connect(&endpoint, options, &(), cancel)?;
        let url = endpoint.base(session.scheme);
        session.retry("log in", || session.get(&url, &[]).map(drop))
    })
}

#[derive(Deserialize)]
struct TagList {
    tags: Option<Vec<String>>,
}

fn document((media_type, bytes, digest, _): find::Read) -> Document {
    let descriptor = image::manifest::descriptor(&media_type, digest, bytes.len() as u64);
    Document { descriptor, bytes }
}

fn is_absent(failure: &Failure) -> bool {
    matches!(failure, Failure::Status { status: 404 | 405 | 501, .. })
}

/// A small blob in memory, checked.
fn blob(session: &Session<'_>, digest: &Digest) -> Result<Vec<u8>, Error> {
    let url = session.endpoint.blob(session.scheme, &digest.to_string());
    session.retry(&format!("get blob {digest}"), || {
        let mut response = session.get(&url, &[])?;
        let bytes = session.http.read(&mut response, MAX_ANSWER)?;
        let found = Digest::of(&bytes);
        match found == *digest {
            true => Ok(bytes),
            false => Err(Failure::Digest { expected: *digest, found }),
        }
    })
}

/// An answer of JSON, and the URL of the page after it (RFC 8288).
fn get_json<T: serde::de::DeserializeOwned>(
    session: &Session<'_>,
    action: &str,
    url: &str,
) -> Result<(T, Option<String>), Error> {
    session.retry(action, || {
        let accept = format!("application/json, {}, {}", media_type::INDEX, manifest::ACCEPT);
        let mut response = session.get(url, &[("Accept", &accept)])?;
        let next = header(&response, "link").and_then(next_page);
        let next = next.map(|location| session.endpoint.resolve(session.scheme, &location));
        let bytes = session.http.read(&mut response, MAX_ANSWER)?;
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            let error = crate::refusal::printable(&error.to_string());
            Failure::NotManifest(format!("bad JSON: {error}"))
        })?;
        Ok((value, next))
    })
}

/// The target of `<…>; rel="next"`.
fn next_page(link: &str) -> Option<String> {
    let (target, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    (rest.contains("rel=\"next\"") || rest.contains("rel=next")).then(|| target.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_the_next_page() {
        for (link, want) in [
            (r#"</v2/a/tags/list?last=b&n=2>; rel="next""#, Some("/v2/a/tags/list?last=b&n=2")),
            ("<x>; rel=next", Some("x")),
            (r#"<x>; rel="prev""#, None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(next_page(link).as_deref(), want, "{link}");
        }
    }
}
