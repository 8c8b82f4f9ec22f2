//! A blob, from the registry into the store: streamed, bounded, verified, resumed where it broke off, in
//! this process or in one before.
//!
//! Distribution-spec, "Pulling blobs" (with `Range`, RFC 9110 section 14).

use std::io::{self, Read};

use image::{Descriptor, Digest};
use store::{BlobWriter, CheckedBlob, Store};
use ureq::Body;
use ureq::http::Response;

use crate::Error;
use crate::failure::Failure;
use crate::progress::Event;
use crate::session::Session;
use crate::transport::{self, Pace, header};

/// What is read at a time of what is here already.
const PIECE: usize = 128 * 1024;
/// The size from which on a blob that is not unpacked is kept out of the page cache, in bytes.
const DIRECT: u64 = 4 * 1024 * 1024;
/// How far a transfer has to move on for its failures to be forgotten, in bytes.
const PROGRESS: u64 = 1024 * 1024;

/// Fetches the blob into the store, unless it is there. It has no name yet: see [`name`].
///
/// # Errors
/// What the registry does not send, or sends wrong; what the store does not take. The store is then
/// as before.
pub(crate) fn fetch(
    session: &Session<'_>,
    store: &Store,
    blob: &Descriptor,
    digest: Digest,
) -> Result<Option<CheckedBlob>, Error> {
    let size = blob.size();
    let what = || format!("blob {digest}");
    if store.has_blob(blob).map_err(|source| Error::store(what(), source))? {
        session.progress.event(Event::Known { digest, size });
        return Ok(None);
    }
    session.progress.event(Event::Started { digest, size });
    let transfer = Transfer { session, store, blob, digest, action: format!("get blob {digest}") };
    let partial = transfer.receive()?;
    let resumed = partial.resumed;
    let mut checked = transfer.check(partial);
    // What was put together from several answers may be put together wrongly: once more.
    if resumed && matches!(checked, Err(Halt::Failure(_))) {
        checked = transfer.check(transfer.receive()?);
    }
    checked.map(Some).map_err(|halt| match halt {
        Halt::Failure(failure) => session.error(&transfer.action, failure),
        Halt::Error(error) => error,
    })
}

/// Gives a blob its name in the store. It waits for the disk.
///
/// # Errors
/// What the store does not take.
pub(crate) fn name(session: &Session<'_>, store: &Store, blob: CheckedBlob) -> Result<(), Error> {
    let digest = blob.blob().digest;
    store.name_blob(blob).map_err(|source| Error::store(format!("blob {digest}"), source))?;
    session.progress.event(Event::Done { digest });
    Ok(())
}

struct Transfer<'a> {
    session: &'a Session<'a>,
    store: &'a Store,
    blob: &'a Descriptor,
    digest: Digest,
    action: String,
}

/// What has come so far.
struct Partial {
    writer: BlobWriter,
    received: u64,
    /// Whether it came in several answers.
    resumed: bool,
    /// Whether the registry can be asked for a part.
    ranges: bool,
}

/// Why an attempt ended: the registry's fault, or not.
enum Halt {
    Failure(Failure),
    Error(Error),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Transfer<'_> {
    /// All bytes of the blob. What comes of it is left for the next process where that is worth it.
    fn receive(&self) -> Result<Partial, Error> {
        let (digest, size) = (self.digest, self.blob.size());
        let mut writer =
            self.store.resume_blob(&digest, size).map_err(|source| self.store_error(source))?;
        if size >= DIRECT && !self.session.options.unpack {
            writer.bypass_cache();
        }
        let received = writer.size();
        let mut partial = Partial { writer, received, resumed: received > 0, ranges: true };
        if received > 0 {
            self.session.progress.event(Event::Received { digest, bytes: received });
        }
        match self.receive_rest(&mut partial) {
            Ok(()) => Ok(partial),
            Err(error) => {
                // On a full disk it would be in the way.
                let is_full = matches!(error, Error::Write { .. });
                if partial.received >= PROGRESS && !is_full {
                    // What cannot be kept is fetched again.
                    let _ = partial.writer.leave();
                }
                Err(error)
            }
        }
    }

    /// What is still to come, in as many attempts as it takes.
    fn receive_rest(&self, partial: &mut Partial) -> Result<(), Error> {
        let mut patience = self.session.patience(&self.action);
        while partial.received < self.blob.size() || self.blob.size() == 0 {
            let before = partial.received;
            let failure = match self.attempt(partial) {
                Ok(()) => return Ok(()),
                Err(Halt::Failure(failure)) => failure,
                Err(Halt::Error(error)) => return Err(error),
            };
            partial.ranges &= !matches!(failure, Failure::Range { .. });
            if partial.received - before >= PROGRESS {
                patience.renew();
            }
            patience.failed(failure)?;
        }
        Ok(())
    }

    /// Whether what came is the blob.
    fn check(&self, partial: Partial) -> Result<CheckedBlob, Halt> {
        match partial.writer.check(self.blob) {
            Ok(checked) => Ok(checked),
            Err(store::Error::Unexpected { want, got, .. }) => {
                Err(Failure::Digest { expected: want, found: got }.into())
            }
            Err(error) => Err(Halt::Error(self.store_error(error))),
        }
    }

    /// One request, from where the last one ended.
    fn attempt(&self, partial: &mut Partial) -> Result<(), Halt> {
        let Session { endpoint, scheme, .. } = self.session;
        let url = endpoint.blob(*scheme, &self.digest.to_string());
        let range = (partial.received > 0 && partial.ranges)
            .then(|| format!("bytes={}-", partial.received));
        let headers: Vec<_> = range.iter().map(|range| ("Range", range.as_str())).collect();
        let response =
            self.session.get(&url, &headers).map_err(|failure| match (&range, failure) {
                (Some(asked), Failure::Status { status: 416, .. }) => {
                    Failure::Range { asked: asked.clone(), found: "416".to_owned() }
                }
                (_, failure) => self.foreign(failure),
            })?;
        partial.resumed |= partial.received > 0;
        let start = start(&response, range.as_deref(), partial.received, self.blob.size())?;
        announced(&response, start, self.blob.size())?;
        self.copy(response, start, partial)
    }

    /// Appends the body, which begins at the blob's byte `start`.
    fn copy(
        &self,
        response: Response<Body>,
        start: u64,
        partial: &mut Partial,
    ) -> Result<(), Halt> {
        let reader = response.into_body().into_with_config().limit(u64::MAX).reader();
        let mut body = Arriving { transfer: self, reader, at: start, pace: Pace::new() };
        body.skip_to(partial.received)?;
        let size = self.blob.size();
        while body.at < size {
            let room = partial.writer.room(size - body.at).map_err(|it| self.unwritten(it))?;
            let count = body.read(room)?;
            partial.writer.advance(count).map_err(|it| self.unwritten(it))?;
            partial.received += count as u64;
            let event = Event::Received { digest: self.digest, bytes: count as u64 };
            self.session.progress.event(event);
        }
        match body.reader.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(Failure::Endless { limit: size }.into()),
            // All bytes are here, and their digest will tell whether they are right.
            Err(_) => Ok(()),
        }
    }

    fn unwritten(&self, source: io::Error) -> Halt {
        Halt::Error(Error::Write { what: format!("blob {}", self.digest), source })
    }

    fn broken(&self, received: u64, error: io::Error) -> Failure {
        self.broken_off(received, transport::failure(error.into()).to_string())
    }

    fn broken_off(&self, received: u64, reason: String) -> Failure {
        Failure::Broken { received, size: self.blob.size(), reason }
    }

    /// A layer that its owner does not let registries keep says so where it is missing.
    fn foreign(&self, failure: Failure) -> Failure {
        let url = self.blob.urls().as_ref().and_then(|urls| urls.first());
        match (url, &failure) {
            (Some(url), Failure::Status { status: 404, .. }) => {
                Failure::Foreign { digest: self.digest, url: crate::refusal::printable(url) }
            }
            _ => failure,
        }
    }

    fn store_error(&self, source: store::Error) -> Error {
        Error::store(format!("blob {}", self.digest), source)
    }
}

/// A body on its way.
struct Arriving<'a, R> {
    transfer: &'a Transfer<'a>,
    reader: R,
    /// Where in the blob it is.
    at: u64,
    pace: Pace,
}

impl<R: Read> Arriving<'_, R> {
    /// The next bytes of the blob, at least one.
    fn read(&mut self, room: &mut [u8]) -> Result<usize, Halt> {
        let Self { transfer, reader, at, pace } = self;
        let count = reader.read(room).map_err(|error| transfer.broken(*at, error))?;
        if transfer.session.cancel.is_stopped() {
            return Err(Halt::Error(Error::Interrupted));
        }
        if count == 0 {
            let reason = "the answer ended too early".to_owned();
            return Err(transfer.broken_off(*at, reason).into());
        }
        *at += count as u64;
        pace.check(count as u64, transfer.session.http.stall())
            .map_err(|reason| transfer.broken_off(*at, reason))?;
        Ok(count)
    }

    /// Passes over what is here already.
    fn skip_to(&mut self, start: u64) -> Result<(), Halt> {
        if self.at == start {
            return Ok(());
        }
        let mut piece = vec![0; PIECE];
        while self.at < start {
            let left = usize::try_from(start - self.at).unwrap_or(PIECE).min(PIECE);
            self.read(&mut piece[..left])?;
        }
        Ok(())
    }
}

/// Where in the blob a body starts.
fn start(
    response: &Response<Body>,
    asked: Option<&str>,
    received: u64,
    size: u64,
) -> Result<u64, Failure> {
    if response.status().as_u16() != 206 {
        return Ok(0);
    }
    let content_range = header(response, "content-range").unwrap_or_default();
    match parse_content_range(content_range) {
        Some((first, total)) if first == received && total.is_none_or(|total| total == size) => {
            Ok(first)
        }
        _ => Err(Failure::Range {
            asked: asked.unwrap_or("everything").to_owned(),
            found: crate::refusal::printable(content_range),
        }),
    }
}

/// The first byte and the total of `bytes 5-9/10`; the total may be `*`.
fn parse_content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let first = range.split_once('-')?.0.trim().parse().ok()?;
    let total = if total == "*" { None } else { Some(total.trim().parse().ok()?) };
    Some((first, total))
}

/// Refuses a body whose announced length cannot be right before reading it.
fn announced(response: &Response<Body>, start: u64, size: u64) -> Result<(), Failure> {
    let length = header(response, "content-length").and_then(|value| value.parse::<u64>().ok());
    match length.map(|length| start.saturating_add(length)) {
        Some(found) if found != size => Err(Failure::Size { expected: size, found }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        for (value, want) in [
            ("bytes 5-9/10", Some((5, Some(10)))),
            ("bytes 5-9/*", Some((5, None))),
            ("bytes */10", None),
            ("items 5-9/10", None),
            ("bytes 5-9/x", None),
            ("", None),
        ] {
            assert_eq!(parse_content_range(value), want, "{value}");
        }
    }
}
