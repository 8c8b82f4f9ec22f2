//! A blob, from the store to the registry: not at all where it is there, by name where another
//! repository has it, else in one request.
//!
//! Distribution-spec, "Pushing blobs" (HEAD, POST with `mount`, POST and PUT).

use std::cell::Cell;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use image::Digest;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use store::Content;
use ureq::Body;
use ureq::http::{Method, Response};

use crate::Error;
use crate::failure::Failure;
use crate::progress::Event;
use crate::session::{Call, Payload, Session};
use crate::transport::header;

/// Sends a blob, unless the registry has it.
///
/// # Errors
/// What the registry does not take; a blob that is not there, or damaged.
pub(crate) fn send(
    session: &Session<'_>,
    content: &Content,
    mount: Option<&str>,
) -> Result<(), Error> {
    let digest = content.digest;
    let upload = Upload { session, content, broken: Mutex::new(None), reported: Cell::new(0) };
    if is_there(session, digest)? {
        session.progress.event(Event::Known { digest, size: content.size });
        return Ok(());
    }
    let action = format!("push blob {digest}");
    let mut patience = session.patience(&action);
    loop {
        if session.cancel.is_stopped() {
            return Err(Error::Interrupted);
        }
        match upload.attempt(mount) {
            Ok(()) => return Ok(()),
            Err(failure) => {
                upload.own_fault()?;
                patience.failed(failure)?;
            }
        }
    }
}

/// Whether the repository has a blob.
pub(crate) fn is_there(session: &Session<'_>, digest: Digest) -> Result<bool, Error> {
    let url = session.endpoint.blob(session.scheme, &digest.to_string());
    let call = Call { method: Method::HEAD, url: &url, headers: &[], content: Payload::Nothing };
    session.retry(&format!("look for blob {digest}"), || match session.request(&call) {
        Ok(_) => Ok(true),
        Err(Failure::Status { status: 404 | 405, .. }) => Ok(false),
        Err(failure) => Err(failure),
    })
}

/// Begins an upload. With a repository to mount the blob from, status 201 says that this was all.
pub(crate) fn begin(
    session: &Session<'_>,
    digest: Digest,
    mount: Option<&str>,
) -> Result<Response<Body>, Failure> {
    let mut url = session.endpoint.uploads(session.scheme);
    if let Some(from) = mount {
        url += &format!("?mount={digest}&from={}", encoded(from));
    }
    let call = Call { method: Method::POST, url: &url, headers: &[], content: Payload::Empty };
    session.request(&call)
}

struct Upload<'a> {
    session: &'a Session<'a>,
    content: &'a Content,
    /// Why the blob could not be read: the HTTP library takes that for a failure of the connection.
    broken: Mutex<Option<store::Error>>,
    /// How many bytes were reported as sent; a second attempt reports what is new.
    reported: Cell<u64>,
}

impl Upload<'_> {
    /// One upload from its beginning: one that broke off is begun anew, since few registries can say
    /// how far it came.
    fn attempt(&self, mount: Option<&str>) -> Result<(), Failure> {
        let Session { progress, .. } = self.session;
        let Content { digest, size, .. } = *self.content;
        let begun = begin(self.session, digest, mount)?;
        if begun.status().as_u16() == 201 {
            progress.event(Event::Mounted { digest, from: mount.unwrap_or_default() });
            return Ok(());
        }
        let url = self.location(&begun)?;
        drop(begun);
        if self.reported.get() == 0 {
            progress.event(Event::Started { digest, size });
        }
        self.put(&url)?;
        progress.event(Event::Done { digest });
        Ok(())
    }

    /// Where the registry wants the bytes, with the digest added.
    fn location(&self, begun: &Response<Body>) -> Result<String, Failure> {
        let Session { endpoint, scheme, .. } = self.session;
        let location = header(begun, "location").filter(|location| !location.is_empty());
        let location = location.ok_or_else(|| Failure::Upload("it names no place".to_owned()))?;
        let url = endpoint.resolve(*scheme, location);
        let mark = if url.contains('?') { '&' } else { '?' };
        Ok(format!("{url}{mark}digest={}", encoded(&self.content.digest.to_string())))
    }

    fn put(&self, url: &str) -> Result<(), Failure> {
        let open = || -> Result<Box<dyn Read + '_>, Failure> {
            let reader = self.content.open().map_err(|error| self.blame(error))?;
            Ok(Box::new(Counted { upload: self, reader, sent: 0 }))
        };
        let headers = [("Content-Type", "application/octet-stream")];
        let content = Payload::Stream(&open, self.content.size);
        let call = Call { method: Method::PUT, url, headers: &headers, content };
        let response = self.session.request(&call)?;
        let said = header(&response, "docker-content-digest").and_then(|said| said.parse().ok());
        match said.filter(|said| *said != self.content.digest) {
            Some(found) => Err(Failure::Taken { expected: self.content.digest, found }),
            None => Ok(()),
        }
    }

    /// Remembers that it is the blob that cannot be read.
    fn blame(&self, error: store::Error) -> Failure {
        let reason = error.to_string();
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        Failure::Transport { reason, temporary: false }
    }

    fn own_fault(&self) -> Result<(), Error> {
        match self.broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(source) => {
                let what = format!("blob {}", self.content.digest);
                Err(Error::Read { what, source: Box::new(source) })
            }
            None => Ok(()),
        }
    }
}

/// The blob as it is read: stopped by the user, counted for the bar.
struct Counted<'a> {
    upload: &'a Upload<'a>,
    reader: store::BlobReader,
    sent: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Upload { session, content, reported, .. } = self.upload;
        if session.cancel.is_stopped() {
            return Err(io::Error::other("interrupted"));
        }
        let count = self.reader.read(buffer).map_err(|error| self.blame(error))?;
        self.sent += count as u64;
        if self.sent == content.size {
            // What is wrong with the blob shows at its end, which nobody else would read.
            self.reader.read(&mut [0]).map_err(|error| self.blame(error))?;
        }
        let new = self.sent.saturating_sub(reported.get());
        if new > 0 {
            reported.set(self.sent);
            session.progress.event(Event::Received { digest: content.digest, bytes: new });
        }
        Ok(count)
    }
}

impl Counted<'_> {
    fn blame(&self, error: io::Error) -> io::Error {
        let copy = io::Error::new(error.kind(), error.to_string());
        let path = self.upload.content.path.clone();
        self.upload.blame(store::Error::Io { verb: "read", path, source: error });
        copy
    }
}

/// A value for a URL's query (RFC 3986, section 3.4): what a repository or a digest has in it, and
/// may not stand there as it is.
pub(crate) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string()
}

/// Every character but RFC 3986's unreserved ones (section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
