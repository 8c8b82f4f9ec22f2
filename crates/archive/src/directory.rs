//! An image as skopeo's `dir:` has it: its files side by side, under their digests.
//!
//! ```text
//! version                      Directory Transport Version: 1.1
//! manifest.json                the manifest, or the index
//! HEX.manifest.json            a manifest that the index names
//! HEX                          a blob
//! ```

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use image::manifest::{descriptor, digest};
use image::{Descriptor, Digest, ImageIndex, ImageManifest, media_type};
use serde::Deserialize;
use store::{Outgoing, Store};

use crate::Error;
use crate::files::{failed, whole};

const VERSION: &str = "Directory Transport Version: 1.1\n";
/// The largest manifest, in bytes.
const MAX_MANIFEST: u64 = 32 << 20;
/// How deep indexes may lie in each other.
const MAX_DEPTH: usize = 4;
/// What is read at a time.
const PIECE: usize = 256 << 10;

/// Writes an image into a directory, which is made where missing; what is in it of another image stays,
/// but for its manifest.
///
/// # Errors
/// The directory cannot be written, or a blob not read.
pub fn write_directory(outgoing: &Outgoing, target: &Path, stop: &AtomicBool) -> Result<(), Error> {
    fs::create_dir_all(target).map_err(failed(target))?;
    for content in &outgoing.contents {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let mut reader = content.open()?;
        whole(target, &content.digest.hex(), |file| io::copy(&mut reader, file).map(drop))?;
    }
    let (image, others) = outgoing.documents.split_last().ok_or(Error::Empty)?;
    for document in others {
        let name = format!("{}.manifest.json", document.digest.hex());
        whole(target, &name, |file| file.write_all(&document.bytes))?;
    }
    whole(target, "version", |file| file.write_all(VERSION.as_bytes()))?;
    whole(target, "manifest.json", |file| file.write_all(&image.bytes))
}

/// Reads an image out of a directory into the store, where it gets no name.
///
/// # Errors
/// A file is missing, or is not what the manifest says.
pub fn read_directory(
    store: &Store,
    source: &Path,
    stop: &AtomicBool,
) -> Result<Descriptor, Error> {
    let reader = Reader { store, source, stop };
    let bytes = reader.text("manifest.json")?;
    reader.document(&bytes, MAX_DEPTH)
}

struct Reader<'a> {
    store: &'a Store,
    source: &'a Path,
    stop: &'a AtomicBool,
}

/// What a manifest says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
}

impl Reader<'_> {
    fn document(&self, bytes: &[u8], depth: usize) -> Result<Descriptor, Error> {
        let json = Error::json("manifest.json");
        let head: Head = serde_json::from_slice(bytes).map_err(json)?;
        let guess = if head.manifests.is_some() { media_type::INDEX } else { media_type::MANIFEST };
        let kind = head.media_type.unwrap_or_else(|| guess.to_owned());
        if media_type::is_index(&kind) {
            self.index(bytes, depth)?;
        } else if media_type::is_manifest(&kind) {
            self.manifest(bytes)?;
        } else {
            return Err(Error::NotAnArchive);
        }
        Ok(self.store.put_blob(&kind, bytes)?)
    }

    fn index(&self, bytes: &[u8], depth: usize) -> Result<(), Error> {
        let index: ImageIndex = serde_json::from_slice(bytes).map_err(Error::json("the index"))?;
        for child in index.manifests() {
            let digest = digest(child).map_err(store::Error::from)?;
            let name = format!("{}.manifest.json", digest.hex());
            let bytes = self.text(&name)?;
            if depth == 0 || Digest::of(&bytes) != digest {
                return Err(Error::Missing { name });
            }
            self.document(&bytes, depth - 1)?;
        }
        Ok(())
    }

    fn manifest(&self, bytes: &[u8]) -> Result<(), Error> {
        let manifest: ImageManifest =
            serde_json::from_slice(bytes).map_err(Error::json("the manifest"))?;
        let blobs = manifest.layers().iter().chain([manifest.config()]);
        blobs.into_iter().try_for_each(|blob| self.blob(blob))
    }

    fn blob(&self, blob: &Descriptor) -> Result<(), Error> {
        let digest = digest(blob).map_err(store::Error::from)?;
        let expected = descriptor("blob", digest, blob.size());
        if self.store.has_blob(&expected)? {
            return Ok(());
        }
        let name = digest.hex();
        let mut file = self.open(&name)?;
        let mut writer = self.store.blob_writer()?;
        let mut piece = vec![0; PIECE];
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            match file.read(&mut piece).map_err(failed(&self.source.join(&name)))? {
                0 => break,
                count => writer
                    .write_all(&piece[..count])
                    .map_err(|source| Error::Keep { name: name.clone(), source })?,
            }
        }
        writer.finish_verified(&expected)?;
        Ok(())
    }

    fn text(&self, name: &str) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let file = self.open(name)?;
        file.take(MAX_MANIFEST + 1)
            .read_to_end(&mut bytes)
            .map_err(failed(&self.source.join(name)))?;
        match bytes.len() as u64 > MAX_MANIFEST {
            true => Err(Error::TooLarge { what: name.to_owned(), max: MAX_MANIFEST }),
            false => Ok(bytes),
        }
    }

    fn open(&self, name: &str) -> Result<File, Error> {
        let path = self.source.join(name);
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::Missing { name: name.to_owned() })
            }
            opened => opened.map_err(failed(&path)),
        }
    }
}
