//! Images out of an archive, into the store.
//!
//! Files come in any order, and what names them may come last: each goes into the store as a blob at
//! once, whatever it may be. What no image names is left for gc.

mod files;
mod legacy;

use std::io::Read;
use std::sync::atomic::AtomicBool;

use image::{Descriptor, ImageIndex, Reference, media_type};
use store::{LayerForm, Store, Watch};

use crate::{Error, name};
use files::Files;

/// An image that was loaded.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What names it in the store.
    pub image: Descriptor,
    /// The names that the archive gives it. It does not have them in the store yet.
    pub names: Vec<Reference>,
}

/// Loads an archive of docker's or of OCI's, plain or compressed by gzip or zstd. The images get no
/// names; the store's session keeps them until somebody gives them some.
///
/// Of an image that the archive has for some platforms only, the one for this machine is loaded, or
/// the first that is whole.
///
/// # Errors
/// The stream cannot be read or is no archive, a blob in it is not what its name says, or an image is
/// not whole.
pub fn load<R: Read>(store: &Store, input: R, stop: &AtomicBool) -> Result<Vec<Loaded>, Error> {
    let files = Files::read(store, input, stop)?;
    let docker = files.document("manifest.json").map(legacy::entries).transpose()?;
    let loaded = match files.document("index.json") {
        Some(bytes) => {
            let index: ImageIndex =
                serde_json::from_slice(bytes).map_err(Error::json("index.json"))?;
            let mut loaded = from_index(store, &index, stop)?;
            legacy::add_names(store, &mut loaded, &docker.unwrap_or_default(), &files);
            loaded
        }
        None => {
            let entries = docker.ok_or(Error::NotAnArchive)?;
            entries
                .iter()
                .map(|entry| legacy::image(store, entry, &files))
                .collect::<Result<_, _>>()?
        }
    };
    if loaded.is_empty() { Err(Error::Empty) } else { Ok(loaded) }
}

/// The images of a layout, each once, with all names that it has there.
fn from_index(store: &Store, index: &ImageIndex, stop: &AtomicBool) -> Result<Vec<Loaded>, Error> {
    let mut loaded: Vec<Loaded> = Vec::new();
    for entry in index.manifests() {
        let kind = entry.media_type().to_string();
        if !media_type::is_manifest(&kind) && !media_type::is_index(&kind) {
            continue;
        }
        let image = whole(store, entry, stop)?;
        let names = entry.annotations().as_ref().and_then(name::of_entry).into_iter();
        match loaded.iter_mut().find(|other| other.image.digest() == image.digest()) {
            Some(other) => other.names.extend(names),
            None => loaded.push(Loaded { image, names: names.collect() }),
        }
    }
    Ok(loaded)
}

/// The image that an entry names, if all of it is there; else the part of it that is.
fn whole(store: &Store, entry: &Descriptor, stop: &AtomicBool) -> Result<Descriptor, Error> {
    let watch = Watch { hear: &|_| {}, stop };
    let check = |image: &Descriptor| store.outgoing(image, None, LayerForm::AsStored, watch);
    let plain = || {
        let digest = image::manifest::digest(entry).map_err(store::Error::from)?;
        let kind = entry.media_type().to_string();
        Ok::<_, Error>(image::manifest::descriptor(&kind, digest, entry.size()))
    };
    let error = match check(entry) {
        Ok(_) => return plain(),
        Err(error) => error,
    };
    if !matches!(error, store::Error::MissingBlob { .. })
        || !media_type::is_index(entry.media_type().as_ref())
    {
        return Err(error.into());
    }
    let host = store.image(entry, &image::Platform::host()).map(|it| it.manifest_descriptor);
    let others = store.platforms(entry).unwrap_or_default();
    let mut candidates = host.into_iter().chain(others.into_iter().map(|(_, image)| image));
    candidates.find(|image| check(image).is_ok()).ok_or_else(|| error.into())
}
