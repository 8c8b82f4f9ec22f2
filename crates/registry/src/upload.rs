//! A blob, from the store to the registry: not at all where it is there, by name where another
//! repository has it, else in one request.
//!
//! Distribution-spec, "Pushing blobs" (HEAD, POST with `mount`, POST and PUT).

use std::cell::Cell;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

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
    if session.retry(&format!("look for blob {digest}"), || upload.is_there())? {
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

struct Upload<'a> {
    session: &'a Session<'a>,
    content: &'a Content,
    /// Why the blob could not be read: the HTTP library takes that for a failure of the connection.
    broken: Mutex<Option<store::Error>>,
    /// How many bytes were reported as sent; a second attempt reports what is new.
    reported: Cell<u64>,
}

impl Upload<'_> {
    fn is_there(&self) -> Result<bool, Failure> {
        let Session { endpoint, scheme, .. } = self.session;
        let url = endpoint.blob(*scheme, &self.content.digest.to_string());
        let call =
            Call { method: Method::HEAD, url: &url, headers: &[], content: Payload::Nothing };
        match self.session.request(&call) {
            Ok(_) => Ok(true),
            Err(Failure::Status { status: 404 | 405, .. }) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// One upload from its beginning: one that broke off is begun anew, since few registries can say
    /// how far it came.
    fn attempt(&self, mount: Option<&str>) -> Result<(), Failure> {
        let Session { progress, .. } = self.session;
        let Content { digest, size, .. } = *self.content;
        let begun = self.begin(mount)?;
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

    fn begin(&self, mount: Option<&str>) -> Result<Response<Body>, Failure> {
        let Session { endpoint, scheme, .. } = self.session;
        let mut url = endpoint.uploads(*scheme);
        if let Some(from) = mount {
            url += &format!("?mount={}&from={}", self.content.digest, encoded(from));
        }
        let call = Call { method: Method::POST, url: &url, headers: &[], content: Payload::Empty };
        self.session.request(&call)
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
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let mut text = String::new();
    for byte in value.bytes() {
        match plain(&byte) {
            true => text.push(byte.into()),
            false => text += &format!("%{byte:02X}"),
        }
    }
    text
}
