//! What a server said about a resource when it was fetched.

use image::Digest;
use image::manifest::descriptor;
use serde::{Deserialize, Serialize};
use store::Store;
use ureq::Body;
use ureq::http::Response;

use super::{Fetched, http_date};
use crate::Error;
use crate::transport::header;

/// The media type of a blob that nothing is known about.
pub(super) const OCTETS: &str = "application/octet-stream";

/// Validators, and what they are of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
}

/// The record's name. URLs may hold passwords, so it has their digest.
fn name(url: &str) -> String {
    format!("fetch/{}", Digest::of(url).hex())
}

/// What is known of the resource: with its bytes here, and if there is a demand, the right ones.
pub(super) fn get(
    store: &Store,
    url: &str,
    wanted: Option<Digest>,
) -> Result<Option<Record>, Error> {
    let fail = |source| Error::store("what is known of a resource", source);
    let Some(bytes) = store.cache_get(&name(url)).map_err(fail)? else { return Ok(None) };
    let Ok(record) = serde_json::from_slice::<Record>(&bytes) else { return Ok(None) };
    let blob = descriptor(OCTETS, record.digest, record.size);
    let right = wanted.is_none_or(|wanted| wanted == record.digest);
    Ok((right && store.has_blob(&blob).map_err(fail)?).then_some(record))
}

pub(super) fn put(store: &Store, url: &str, record: &Record) -> Result<(), Error> {
    let what = "what is known of a resource";
    let value = serde_json::to_vec(record).unwrap_or_default();
    let put = store.cache_put(&name(url), &value, &[record.digest]);
    put.map_err(|source| Error::store(what, source))
}

impl Record {
    /// What the headers say; digest and size are still to come.
    pub(super) fn said(response: &Response<Body>) -> Self {
        let text = |name| header(response, name).map(str::to_owned);
        Self {
            digest: Digest::of([]),
            size: 0,
            etag: text("etag"),
            last_modified: text("last-modified"),
        }
    }

    /// The header that asks for something newer only.
    pub(super) fn condition(&self) -> Option<(&'static str, String)> {
        let by_tag = self.etag.clone().map(|tag| ("If-None-Match", tag));
        by_tag.or_else(|| Some(("If-Modified-Since", self.last_modified.clone()?)))
    }

    /// Whether this is the tag that is known, weak or not.
    pub(super) fn has_tag(&self, tag: Option<&str>) -> bool {
        let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        match (&self.etag, tag) {
            (Some(known), Some(tag)) => strong(known) == strong(tag),
            _ => false,
        }
    }

    pub(super) fn fetched(&self) -> Fetched {
        Fetched {
            digest: self.digest,
            size: self.size,
            last_modified: self.last_modified.as_deref().and_then(http_date),
            known: true,
        }
    }
}
