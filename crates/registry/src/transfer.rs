//! An image from one repository to another of the same registry, without its blobs passing through here:
//! each is mounted (distribution-spec, "Mounting a blob from another repository").

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use image::{Descriptor, Digest, Reference};

use crate::Error;
use crate::cancel;
use crate::endpoint::Endpoint;
use crate::find::{self, Document, Read};
use crate::options::Options;
use crate::progress::{Event, Progress};
use crate::queue::side_by_side;
use crate::registries::Source;
use crate::session::Session;
use crate::{push, upload};

/// How many blobs are mounted at a time: each is a short wait for the registry.
const MAX_AT_ONCE: usize = 8;

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
    let target = options.registries.target(to)?;
    // What comes from elsewhere than its name says cannot be mounted by that name.
    let is_itself = |source: &Source| source.reference == *from;
    let (mirrors, registry) = options.registries.sources(from)?;
    let mut sources = mirrors.iter().chain([&registry]);
    if from.registry() != to.registry() || !sources.all(is_itself) {
        return Ok(None);
    }
    cancel::watching(interrupt, |cancel| {
        let source = Source { reference: from.clone(), ..target.clone() };
        let (source, target) = (Endpoint::of(&source), Endpoint::of(&target));
        let scopes = vec![
            format!("repository:{}:pull,push", target.repository()),
            format!("repository:{}:pull", source.repository()),
        ];
        let reading = Session::connect_to(&source, options, progress, cancel, scopes)?;
        let documents = documents(&reading, from, all)?;
        let writing = reading.about(&target);
        let copy = Copy { writing: &writing, from: source.repository() };
        push::check_pin(&writing, documents.last().map(|(_, _, digest, _)| *digest), to)?;
        match copy.blobs(&documents)? {
            true => copy.documents(&documents, to),
            false => Ok(None),
        }
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
    /// Mounts the blobs of all manifests, side by side; `false` where one has to be sent.
    fn blobs(&self, documents: &[Read]) -> Result<bool, Error> {
        let blobs = self.named(documents)?;
        let threads = blobs.len().min(MAX_AT_ONCE);
        // What ends the work early is an answer of the whole.
        let work = |(digest, size)| match self.blob(digest, size) {
            Ok(true) => Ok(()),
            answer => Err(answer),
        };
        let outcome = side_by_side(blobs, threads, work, || ());
        outcome.map_or_else(|answer| answer, |()| Ok(true))
    }

    /// The blobs that manifests name, each once, but for those that are kept elsewhere.
    fn named(&self, documents: &[Read]) -> Result<BTreeMap<Digest, u64>, Error> {
        let manifests = documents.iter().filter_map(|(_, _, _, document)| match document {
            Document::Manifest(manifest) => Some(manifest),
            Document::Index(_) => None,
        });
        let blobs = manifests.flat_map(|it| it.layers().iter().chain([it.config()]));
        let ours = blobs.filter(|blob| blob.urls().as_ref().is_none_or(Vec::is_empty));
        ours.map(|blob| {
            let digest =
                find::known(blob).map_err(|it| self.writing.error("use the manifest", it))?;
            Ok((digest, blob.size()))
        })
        .collect()
    }

    fn blob(&self, digest: Digest, size: u64) -> Result<bool, Error> {
        let progress = self.writing.progress;
        let mounted = self.writing.retry(&format!("push blob {digest}"), || {
            let begun = upload::begin(self.writing, digest, Some(self.from))?;
            Ok(begun.status().as_u16() == 201)
        })?;
        if mounted {
            progress.event(Event::Mounted { digest, from: self.from });
            return Ok(true);
        }
        let known = upload::is_there(self.writing, digest)?;
        if known {
            progress.event(Event::Known { digest, size });
        }
        Ok(known)
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
