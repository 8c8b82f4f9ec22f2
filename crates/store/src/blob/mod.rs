//! Blobs: named by their digest, checked when they come and when they are read.

mod buffer;
mod checked;
mod direct;
mod hash;
mod reader;
mod writer;

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use image::manifest::{self, Descriptor, ImageManifest};
use image::{Digest, media_type};
use serde::Serialize;

pub use checked::CheckedBlob;
pub(crate) use hash::Hash;
pub use reader::BlobReader;
pub use writer::{Blob, BlobWriter};

use crate::{Error, Store, files};

/// The largest blob that is read into memory, in bytes: manifests, indexes and configurations. Other
/// tools stop at 4 MiB for a manifest; configurations have no limit of their own.
pub(crate) const MAX_JSON: u64 = 32 << 20;

impl Store {
    /// Where the blob with this digest is, or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// Whether the blob is there with the size that the descriptor says. Its digest is not read.
    ///
    /// # Errors
    /// The descriptor's digest is not SHA-256.
    pub fn has_blob(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        let path = self.blob_path(&manifest::digest(descriptor)?);
        Ok(fs::metadata(path).is_ok_and(|metadata| metadata.len() == descriptor.size()))
    }

    /// Opens a blob for reading. The reader gives an error instead of the end when the bytes that it
    /// gave were not those of the digest: whoever reads to the end has read the truth.
    ///
    /// # Errors
    /// The blob is missing, or has another size.
    pub fn open_blob(&self, descriptor: &Descriptor) -> Result<BlobReader, Error> {
        let digest = manifest::digest(descriptor)?;
        let path = self.blob_path(&digest);
        let file = open(&self.layout, descriptor, &digest, &path)?;
        Ok(BlobReader::new(file, digest, descriptor.size(), path))
    }

    /// A whole blob in memory, checked: for manifests and configurations, up to 32 MiB.
    ///
    /// # Errors
    /// The blob is missing, too large, or corrupt.
    pub fn read_blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        if descriptor.size() > MAX_JSON {
            let what = format!("blob {}", descriptor.digest());
            return Err(Error::TooLarge { what, max: MAX_JSON });
        }
        self.open_blob(descriptor)?.read_all()
    }

    /// Stores `bytes` as a blob. One that is there already is left alone.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn put_blob(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, Error> {
        let blob = self.nameless_blob(bytes)?.publish()?;
        Ok(manifest::descriptor(media_type, blob.digest, blob.size))
    }

    /// Stores `bytes` as a blob that gets its name later: see [`Store::name_blob`].
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn nameless_blob(&self, bytes: &[u8]) -> Result<CheckedBlob, Error> {
        let mut writer = self.blob_writer()?;
        writer.write_all(bytes).map_err(Error::io("write", writer.path()))?;
        writer.complete()
    }

    /// Stores a value as a JSON blob. The same value must serialize to the same bytes: no maps
    /// without order in it.
    ///
    /// # Errors
    /// The value does not serialize, or the store cannot be written.
    pub fn put_json<T: Serialize>(&self, media_type: &str, value: &T) -> Result<Descriptor, Error> {
        let bytes = serde_json::to_vec(value)
            .map_err(|source| Error::Serialize { media_type: media_type.to_owned(), source })?;
        self.put_blob(media_type, &bytes)
    }

    /// Stores an image manifest, with its annotations in order.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn put_manifest(&self, manifest: &ImageManifest) -> Result<Descriptor, Error> {
        let media_type = manifest.media_type().as_ref().map(ToString::to_string);
        let media_type = media_type.as_deref().unwrap_or(media_type::MANIFEST);
        self.put_blob(media_type, &manifest::to_json(manifest))
    }
}

fn open(
    layout: &ocidir::OciDir,
    descriptor: &Descriptor,
    digest: &Digest,
    path: &std::path::Path,
) -> Result<fs::File, Error> {
    use ocidir::OciRead;
    let (digest, path) = (*digest, path.to_owned());
    // The layout opens whatever is there, and would wait for whoever writes into a pipe.
    if fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
        return Err(Error::Io { verb: "open", path, source: files::irregular() });
    }
    layout.read_blob(descriptor).map_err(|error| match error {
        ocidir::Error::SizeMismatch { expected: want, found: got } => {
            Error::Size { digest, want, got, path }
        }
        ocidir::Error::Io(source) if source.kind() == std::io::ErrorKind::NotFound => {
            Error::MissingBlob { digest, path }
        }
        ocidir::Error::Io(source) => Error::Io { verb: "open", path, source },
        other => Error::Layout { path, source: Box::new(other) },
    })
}
