//! An image, from the store to a registry.
//!
//! ```text
//! image ──▶ layers, compressed one after another ──▶ sent side by side ──▶ manifests ──▶ the name
//! ```
//!
//! A layer is on its way while the next is being compressed. Manifests follow what they name, and the
//! name comes last: whatever happens, the name stands for a whole image.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use image::{Descriptor, Digest, Platform, Reference};
use store::{Content, LayerForm, Outgoing, OutgoingEvent, Store, Watch};
use ureq::http::Method;

use crate::Error;
use crate::cancel;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::mounts::Mounts;
use crate::options::Options;
use crate::progress::{Event, Progress};
use crate::queue::Queue;
use crate::session::{Call, Payload, Session};
use crate::transport::header;
use crate::upload;

/// What is pushed, and in which form.
#[derive(Clone, Copy, Debug)]
pub struct Parcel<'a> {
    /// An image or an index in the store.
    pub image: &'a Descriptor,
    /// Of an index, the image for this platform alone.
    pub platform: Option<&'a Platform>,
    /// How its layers are compressed.
    pub form: LayerForm,
    /// Whether it gets no tag there: it is found by its digest alone.
    pub by_digest: bool,
}

/// A pushed image.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pushed {
    /// The manifest or index, as it is in the registry.
    pub manifest: Descriptor,
}

/// Pushes an image to where `reference` says. Blobs that are there are not sent; those that another
/// repository of the registry has are taken from there.
///
/// Ends soon after `interrupt` is set.
///
/// # Errors
/// [`Error`] says what failed; the name in the registry then stands for what it stood for before.
pub fn push(
    store: &Store,
    parcel: Parcel<'_>,
    reference: &Reference,
    options: &Options,
    progress: &dyn Progress,
    interrupt: &AtomicBool,
) -> Result<Pushed, Error> {
    cancel::watching(interrupt, |cancel| {
        let endpoint = Endpoint::of(&options.registries.target(reference)?);
        let mounts = Mounts::of(store, parcel.image, &endpoint);
        let scopes = mounts.scopes(&endpoint);
        let session = Session::connect_to(&endpoint, options, progress, cancel, scopes)?;
        let push = Push { session: &session, mounts: &mounts, stop: AtomicBool::new(false) };
        let outgoing = push.contents(store, parcel)?;
        let tag = reference.tag().filter(|_| reference.digest().is_none() && !parcel.by_digest);
        check_pin(push.session, Some(outgoing.image().digest), reference)?;
        push.documents(&outgoing, tag)?;
        Ok(Pushed { manifest: outgoing.image().descriptor.clone() })
    })
}

struct Push<'a> {
    session: &'a Session<'a>,
    mounts: &'a Mounts,
    /// Ends the compression of what will not be sent.
    stop: AtomicBool,
}

impl Push<'_> {
    /// Makes the blobs ready and sends them, several at a time. The first failure ends all of it.
    fn contents(&self, store: &Store, parcel: Parcel<'_>) -> Result<Outgoing, Error> {
        let (ready, contents) = channel();
        let queue = Queue::new(contents);
        let outgoing = thread::scope(|scope| {
            for _ in 0..self.session.options.parallel.max(1) {
                scope.spawn(|| queue.work(|content| self.send(&content), || self.end()));
            }
            self.prepare(store, parcel, ready)
        });
        // Compression that was stopped was stopped by another failure.
        queue.outcome().and(outgoing)
    }

    fn send(&self, content: &Content) -> Result<(), Error> {
        let mount = self.mounts.source(&content.digest);
        upload::send(self.session, content, mount)
    }

    fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.session.cancel.stop();
    }

    fn prepare(
        &self,
        store: &Store,
        parcel: Parcel<'_>,
        ready: Sender<Content>,
    ) -> Result<Outgoing, Error> {
        let hear = |event: OutgoingEvent<'_>| {
            if self.session.cancel.is_stopped() {
                self.stop.store(true, Ordering::Relaxed);
            }
            match event {
                // Nobody takes it any more where one has failed.
                OutgoingEvent::Ready(content) => drop(ready.send(content.clone())),
                event => shown(event).into_iter().for_each(|it| self.session.progress.event(it)),
            }
        };
        let watch = Watch { hear: &hear, stop: &self.stop };
        let outgoing = store.outgoing(parcel.image, parcel.platform, parcel.form, watch);
        outgoing.map_err(|source| match source {
            store::Error::Stopped => Error::Interrupted,
            source => {
                let what = format!("image {}", parcel.image.digest());
                Error::Read { what, source: Box::new(source) }
            }
        })
    }

    /// Puts the manifests, the last under its tag.
    fn documents(&self, outgoing: &Outgoing, tag: Option<&str>) -> Result<(), Error> {
        let image = outgoing.image();
        for document in &outgoing.documents {
            let digest = document.digest.to_string();
            let kind = document.descriptor.media_type().to_string();
            let name = tag.filter(|_| document.digest == image.digest).unwrap_or(&digest);
            put_manifest(self.session, &kind, &document.bytes, document.digest, name)?;
        }
        Ok(())
    }
}

/// Puts a manifest or an index under a tag or its digest.
pub(crate) fn put_manifest(
    session: &Session<'_>,
    media_type: &str,
    bytes: &[u8],
    digest: Digest,
    name: &str,
) -> Result<(), Error> {
    let url = session.endpoint.manifest(session.scheme, name);
    let headers = [("Content-Type", media_type)];
    let content = Payload::Bytes(bytes);
    let call = Call { method: Method::PUT, url: &url, headers: &headers, content };
    session.retry(&format!("push manifest {name}"), || {
        let response = session.request(&call)?;
        let said = header(&response, "docker-content-digest").and_then(|said| said.parse().ok());
        match said.filter(|said| *said != digest) {
            Some(found) => Err(Failure::Taken { expected: digest, found }),
            None => Ok(()),
        }
    })
}

/// A destination with a digest must be that of the image.
pub(crate) fn check_pin(
    session: &Session<'_>,
    found: Option<Digest>,
    reference: &Reference,
) -> Result<(), Error> {
    match (reference.digest(), found) {
        (Some(&expected), Some(found)) if expected != found => {
            let failure = Failure::OtherDigest { expected, found };
            Err(session.error("push the manifest", failure))
        }
        _ => Ok(()),
    }
}

/// What the listener of a push hears of an event in the store.
fn shown(event: OutgoingEvent<'_>) -> Option<Event<'_>> {
    Some(match event {
        OutgoingEvent::Compressing { diff_id, size } => Event::Compressing { diff_id, size },
        OutgoingEvent::Compressed { diff_id, bytes } => Event::Compressed { diff_id, bytes },
        OutgoingEvent::CompressedAll { diff_id, size } => Event::CompressedAll { diff_id, size },
        _ => return None,
    })
}
