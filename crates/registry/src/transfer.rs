//! An image from one repository to another of the same registry, without its blobs passing through here:
//! each is mounted (distribution-spec, "Mounting a blob from another repository").

use std::sync::atomic::AtomicBool;

use image::{Descriptor, Digest, Reference};

use crate::Error;
use crate::cancel;
use crate::endpoint::Endpoint;
use crate::find::{self, Document, Read};
use crate::options::Options;
use crate::progress::{Event, Progress};
use crate::session::Session;
use crate::{push, upload};

/// Copies an image within a registry: that for the platform of the options, or with `all` what the
/// reference names with all that it names. `None` where the registries differ, or the registry does
/// not mount: then the blobs have to be pulled and pushed.
///
/// # Errors
/// [`Error`] says what failed.
pub fn copy_within(
    from: &Reference,
    to: &Reference,
    all: bool,
    options: &Options,
    progress: &dyn Progress,
    interrupt: &AtomicBool,
) -> Result<Option<Descriptor>, Error> {
    if from.registry() != to.registry() {
        return Ok(None);
    }
    cancel::watching(interrupt, |cancel| {
        let (source, target) = (Endpoint::of(from), Endpoint::of(to));
        let scopes = vec![
            format!("repository:{}:pull,push", target.repository()),
            format!("repository:{}:pull", source.repository()),
        ];
        let reading = Session::connect_to(&source, options, progress, cancel, scopes.clone())?;
        let writing = Session::connect_to(&target, options, progress, cancel, scopes)?;
        let documents = documents(&reading, from, all)?;
        let copy = Copy { writing: &writing, from: source.repository() };
        for (_, _, _, document) in &documents {
            if !copy.blobs(document)? {
                return Ok(None);
            }
        }
        push::check_pin(&writing, documents.last().map(|(_, _, digest, _)| *digest), to)?;
        copy.documents(&documents, to)
    })
}

/// What is to be copied, each after what it names.
fn documents(session: &Session<'_>, from: &Reference, all: bool) -> Result<Vec<Read>, Error> {
    let mut documents = Vec::new();
    match all {
        true => gather(session, find::named(session, from)?, find::MAX_DEPTH, &mut documents)?,
        false => {
            let found = find::image(session, from)?;
            let document = Document::Manifest(found.manifest);
            documents.push((found.media_type, found.bytes, found.digest, document));
        }
    }
    Ok(documents)
}

fn gather(
    session: &Session<'_>,
    read: Read,
    depth: usize,
    documents: &mut Vec<Read>,
) -> Result<(), Error> {
    if let Document::Index(index) = &read.3 {
        for child in find::children(session, index, depth)? {
            gather(session, child, depth - 1, documents)?;
        }
    }
    documents.push(read);
    Ok(())
}

struct Copy<'a> {
    writing: &'a Session<'a>,
    from: &'a str,
}

impl Copy<'_> {
    /// Mounts the blobs of a manifest; `false` where one has to be sent.
    fn blobs(&self, document: &Document) -> Result<bool, Error> {
        let Document::Manifest(manifest) = document else { return Ok(true) };
        let blobs = manifest.layers().iter().chain([manifest.config()]);
        for blob in blobs.filter(|blob| blob.urls().as_ref().is_none_or(Vec::is_empty)) {
            let digest =
                find::known(blob).map_err(|it| self.writing.error("use the manifest", it))?;
            if !self.blob(digest, blob.size())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn blob(&self, digest: Digest, size: u64) -> Result<bool, Error> {
        let progress = self.writing.progress;
        if upload::is_there(self.writing, digest)? {
            progress.event(Event::Known { digest, size });
            return Ok(true);
        }
        let mounted = self.writing.retry(&format!("push blob {digest}"), || {
            let begun = upload::begin(self.writing, digest, Some(self.from))?;
            Ok(begun.status().as_u16() == 201)
        })?;
        if mounted {
            progress.event(Event::Mounted { digest, from: self.from });
        }
        Ok(mounted)
    }

    fn documents(&self, documents: &[Read], to: &Reference) -> Result<Option<Descriptor>, Error> {
        let mut last = None;
        for (index, (media_type, bytes, digest, _)) in documents.iter().enumerate() {
            let named = index + 1 == documents.len();
            let tag = to.tag().filter(|_| named && to.digest().is_none());
            let own = digest.to_string();
            push::put_manifest(self.writing, media_type, bytes, *digest, tag.unwrap_or(&own))?;
            last = Some(image::manifest::descriptor(media_type, *digest, bytes.len() as u64));
        }
        Ok(last)
    }
}
