//! A resource of any web server, fetched into the store: what `ADD https://…` and a build context
//! name.
//!
//! The body becomes a blob. Beside it a build record keeps what the server said about it:
//!
//! ```text
//! fetch/SHA256(URL)   ──▶   { etag, last_modified, digest, size }   holds the blob
//! ```
//!
//! With a record the server is asked whether there is something newer (`If-None-Match`, or else
//! `If-Modified-Since`: RFC 9110 section 13); an answer of 304, or one with the tag that is known,
//! costs no transfer. A resource whose digest was demanded and is here is not asked for at all.
//!
//! Nothing that the server sends is trusted: the body is bounded, hashed on its way to the disk, and
//! has no name before its digest is what was demanded. A password in the URL is sent as RFC 7617 says,
//! to its host alone, and stands in no record, event or error.

mod record;
mod request;

use std::io::{Read as _, Write as _};
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use image::Digest;
use image::manifest::descriptor;
use store::{Blob, Store};
use ureq::Body;
use ureq::http::Response;

use crate::Error;
use crate::cancel::{self, Cancel};
use crate::failure::Failure;
use crate::options::Options;
use crate::progress::{Event, Progress};
use crate::refusal;
use crate::transport::{self, Http, Pace, header};
use record::Record;
use request::Target;

/// What is read at a time.
const PIECE: usize = 128 * 1024;

/// What is fetched.
#[derive(Clone, Debug)]
pub struct Resource {
    /// `http://…` or `https://…`; may hold a user and a password.
    pub url: String,
    /// What it must be.
    pub digest: Option<Digest>,
    /// The most bytes that it may have. The room on the disk is a limit in any case.
    pub limit: Option<u64>,
}

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The digest of its bytes, which are a blob of the store.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// `Last-Modified`, in seconds since 1970.
    pub last_modified: Option<i64>,
    /// Whether the bytes were here already.
    pub known: bool,
}

/// Fetches a resource into the store, unless it is there and the server has nothing newer.
///
/// # Errors
/// What the server does not send, or sends wrong; what the store does not take. The store is then as
/// before.
pub fn fetch(
    store: &Store,
    resource: &Resource,
    options: &Options,
    progress: &dyn Progress,
    interrupt: &AtomicBool,
) -> Result<Fetched, Error> {
    let target = Target::parse(&resource.url)?;
    let record = record::get(store, &resource.url, resource.digest)?;
    if let (Some(record), Some(_)) = (&record, resource.digest) {
        progress.event(Event::Known { digest: record.digest, size: record.size });
        return Ok(record.fetched());
    }
    cancel::watching(interrupt, |cancel| {
        let http = Http::for_any_server(options, target.scheme)?;
        cancel.include(http.agent());
        let fetch = Fetch { store, resource, target: &target, http, options, progress, cancel };
        fetch.with_patience(record.as_ref())
    })
}

struct Fetch<'a> {
    store: &'a Store,
    resource: &'a Resource,
    target: &'a Target,
    http: Http,
    options: &'a Options,
    progress: &'a dyn Progress,
    cancel: &'a Cancel<'a>,
}

/// Why an attempt ended: the server's fault, or not.
enum Halt {
    Failure(Failure),
    Error(Error),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Fetch<'_> {
    /// Tries until it succeeds, fails for good, or has failed too often.
    fn with_patience(&self, record: Option<&Record>) -> Result<Fetched, Error> {
        let mut attempt = 1;
        loop {
            let failure = match self.attempt(record) {
                Ok(fetched) => return Ok(fetched),
                Err(Halt::Error(error)) => return Err(error),
                Err(Halt::Failure(failure)) => failure,
            };
            let exhausted = attempt >= self.options.retries.attempts;
            if exhausted || self.cancel.is_stopped() || !failure.is_temporary() {
                return Err(self.error(failure));
            }
            let pause = self.options.retries.pause_after(attempt, failure.retry_after());
            let action = format!("get {}", self.target.shown);
            self.progress.event(Event::Retry {
                action: &action,
                reason: failure.to_string(),
                pause,
            });
            self.cancel.pause(pause);
            attempt += 1;
        }
    }

    fn attempt(&self, record: Option<&Record>) -> Result<Fetched, Halt> {
        let mut headers = self.target.headers();
        headers.extend(record.and_then(Record::condition));
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let response = self.http.get(&self.target.url, &headers, &[])?;
        match (response.status().as_u16(), record) {
            (304, Some(record)) => Ok(self.unchanged(record)),
            // Some servers do not look at If-None-Match, and send the tag all the same.
            (200, Some(record)) if record.has_tag(header(&response, "etag")) => {
                Ok(self.unchanged(record))
            }
            (200, _) => self.receive(response),
            (status, _) => match refusal::failure(&self.http, response) {
                Failure::Status { message, retry_after, .. } => {
                    Err(Failure::Answer { status, message, retry_after }.into())
                }
                failure => Err(failure.into()),
            },
        }
    }

    fn unchanged(&self, record: &Record) -> Fetched {
        self.progress.event(Event::Known { digest: record.digest, size: record.size });
        record.fetched()
    }

    fn receive(&self, response: Response<Body>) -> Result<Fetched, Halt> {
        let announced = header(&response, "content-length").and_then(|text| text.parse().ok());
        self.within_limit(announced.unwrap_or(0))?;
        let said = Record::said(&response);
        self.progress.event(Event::Opened { size: announced });
        let blob = self.keep(response.into_body(), announced)?;
        let record = Record { digest: blob.digest, size: blob.size, ..said };
        record::put(self.store, &self.resource.url, &record).map_err(Halt::Error)?;
        self.progress.event(Event::Done { digest: blob.digest });
        Ok(Fetched { known: false, ..record.fetched() })
    }

    /// The body as a blob, named when it is whole and right.
    fn keep(&self, body: Body, announced: Option<u64>) -> Result<Blob, Halt> {
        let store_error = |source| Halt::Error(Error::store(self.target.shown.clone(), source));
        let mut writer = self.store.blob_writer().map_err(store_error)?;
        let mut body = body.into_with_config().limit(u64::MAX).reader();
        let mut pace = Pace::new();
        let mut piece = vec![0; PIECE];
        loop {
            if self.cancel.is_stopped() {
                return Err(Halt::Error(Error::Interrupted));
            }
            let broken = |reason| Failure::Broken {
                received: writer.size(),
                size: announced.unwrap_or(0),
                reason,
            };
            let count = body
                .read(&mut piece)
                .map_err(|error| broken(transport::failure(error.into()).to_string()))?;
            if count == 0 {
                break;
            }
            pace.check(count as u64, self.http.stall()).map_err(broken)?;
            writer.write_all(&piece[..count]).map_err(|source| {
                Halt::Error(Error::Write { what: self.target.shown.clone(), source })
            })?;
            self.within_limit(writer.size())?;
            self.progress.event(Event::More { bytes: count as u64 });
        }
        if announced.is_some_and(|size| size != writer.size()) {
            let (received, size) = (writer.size(), announced.unwrap_or(0));
            let reason = "the answer ended too early".to_owned();
            return Err(Failure::Broken { received, size, reason }.into());
        }
        let wanted = self.resource.digest;
        let finished = match wanted {
            None => writer.finish(),
            Some(digest) => {
                let size = writer.size();
                writer.finish_verified(&descriptor(record::OCTETS, digest, size))
            }
        };
        finished.map_err(|error| match error {
            store::Error::Unexpected { want: expected, got: found, .. } => {
                Failure::Checksum { expected, found }.into()
            }
            error => store_error(error),
        })
    }

    fn within_limit(&self, size: u64) -> Result<(), Failure> {
        match self.resource.limit {
            Some(limit) if size > limit => Err(Failure::TooLarge { limit }),
            _ => Ok(()),
        }
    }

    fn error(&self, failure: Failure) -> Error {
        Error::Resource { url: self.target.shown.clone(), source: Box::new(failure) }
    }
}

/// Seconds since 1970 of an HTTP date (RFC 9110 section 5.6.7).
fn http_date(text: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(text).ok()?;
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    i64::try_from(seconds).ok()
}
