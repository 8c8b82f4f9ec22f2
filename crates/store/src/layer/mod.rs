//! Layers at rest: uncompressed, beside their changeset, ready to be mounted or read.
//!
//! A layer's tar gets its name in `tare/layers` only after its blob's digest and its diff ID were
//! checked, and after it was synced: what has a name there is trusted from then on, as long as nobody
//! writes to it. Its table of contents is the younger file; where it is not, the tar is checked again.

mod decode;
mod import;
mod unpack;
mod verify;

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use image::manifest::{self, Descriptor};
use image::{DiffId, media_type};
use rustix::fs::FlockOperation;
use tree::Changeset;

use crate::{BlobWriter, Error, Store, files, lock};

/// The largest table of contents that is read, in bytes.
pub(crate) const MAX_TOC: u64 = 2 << 30;

/// A layer whose tar is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The digest of the tar.
    pub diff_id: DiffId,
    /// The uncompressed tar.
    pub tar: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

impl Layer {
    /// What the layer changes: from its table of contents, or from the tar where that is missing or
    /// damaged.
    ///
    /// # Errors
    /// The tar cannot be read or is malformed.
    pub fn changeset(&self) -> Result<Changeset, Error> {
        let path = self.tar.with_extension("toc");
        if let Some(bytes) = files::read_optional(&path, MAX_TOC)? {
            match Changeset::decode(&bytes) {
                Ok(changeset) => return Ok(changeset),
                // Cut off by a power loss, or of another version. Gone, it will be made again.
                Err(_) => drop(fs::remove_file(&path)),
            }
        }
        self.read_tar()
    }

    fn read_tar(&self) -> Result<Changeset, Error> {
        let file = files::open(&self.tar).map_err(Error::io("open", &self.tar))?;
        let reader = io::BufReader::with_capacity(256 << 10, file);
        Changeset::read_tar(reader)
            .map_err(|source| Error::Tar { layer: self.diff_id.to_string(), source })
    }
}

impl Store {
    /// A layer by its diff ID, if its tar is there, and as it was when it was checked: two system calls.
    pub fn layer_tar(&self, diff_id: &DiffId) -> Option<(PathBuf, u64)> {
        let path = self.layer_path(diff_id, "tar");
        let metadata = fs::metadata(&path).ok().filter(Metadata::is_file)?;
        is_as_checked(&metadata, &self.layer_path(diff_id, "toc")).then_some((path, metadata.len()))
    }

    /// A layer that an image has. Where its tar is missing it is made: decompressed, checked against the
    /// blob's size and the diff ID, and read into a changeset, in one pass. The diff ID is the tar's digest:
    /// the blob's own is looked at where something is wrong.
    ///
    /// # Errors
    /// The blob is missing, corrupt, no layer, or not the one of that diff ID; the disk is full.
    /// Nothing is kept then.
    pub fn layer(&self, layer: &Descriptor, diff_id: &DiffId) -> Result<Layer, Error> {
        if let Some(found) = self.checked_layer(diff_id) {
            return Ok(found);
        }
        check_type(layer)?;
        let _session = match self.session() {
            Ok(session) => session,
            // A store that may not be written shows what is in it, at the cost of a check.
            Err(error) => return verify::verify(self, diff_id)?.ok_or(error),
        };
        let path = self.tare("tmp").join(format!("{}.lock", diff_id.hex()));
        // Two processes that want the same layer do the work once. The lock is a courtesy: if its
        // file goes, both do it.
        let _lock = lock::lock(&path, FlockOperation::LockExclusive)?;
        let made = match self.checked_layer(diff_id) {
            Some(found) => Ok(Some(found)),
            None => verify::verify(self, diff_id),
        };
        let made = made.and_then(|found| match found {
            Some(found) => Ok(found),
            None => unpack::unpack(self, layer, diff_id),
        });
        let _ = fs::remove_file(&path);
        made
    }

    /// Puts a finished layer tar into the store: as a blob, as the layer of its diff ID (one file
    /// with two names), and its changeset beside it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn commit_layer(
        &self,
        writer: BlobWriter,
        changeset: &Changeset,
    ) -> Result<(Descriptor, DiffId), Error> {
        let blob = writer.finish()?;
        let diff_id = DiffId::new(blob.digest);
        self.link_layer(&self.blob_path(&blob.digest), &diff_id, changeset)?;
        Ok((manifest::descriptor(media_type::LAYER, blob.digest, blob.size), diff_id))
    }

    pub(crate) fn layer_path(&self, diff_id: &DiffId, extension: &str) -> PathBuf {
        self.tare("layers").join(format!("{}.{extension}", diff_id.hex()))
    }

    fn checked_layer(&self, diff_id: &DiffId) -> Option<Layer> {
        let (tar, size) = self.layer_tar(diff_id)?;
        Some(Layer { diff_id: *diff_id, tar, size })
    }

    fn write_toc(&self, diff_id: &DiffId, changeset: &Changeset) -> Result<(), Error> {
        self.write_file(&self.layer_path(diff_id, "toc"), &changeset.encode())
    }

    /// Makes an uncompressed blob, checked and synced, the layer's tar.
    fn link_layer(
        &self,
        blob: &Path,
        diff_id: &DiffId,
        changeset: &Changeset,
    ) -> Result<Layer, Error> {
        if let Some(there) = self.checked_layer(diff_id) {
            return Ok(there);
        }
        let tar = self.layer_path(diff_id, "tar");
        self.write_toc(diff_id, changeset)?;
        let _names = self.lock_names()?;
        files::remove(&tar)?;
        match fs::hard_link(blob, &tar) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            // Blobs on another file system, a file system without links, or too many of them.
            Err(error) if cannot_link(&error) => self.copy_layer(blob, &tar)?,
            linked => linked.map_err(Error::io("create", &tar))?,
        }
        let size = fs::metadata(&tar).map_err(Error::io("read", &tar))?.len();
        Ok(Layer { diff_id: *diff_id, tar, size })
    }

    fn copy_layer(&self, blob: &Path, tar: &Path) -> Result<(), Error> {
        let temp = self.temp()?;
        let mut source = File::open(blob).map_err(Error::io("open", blob))?;
        io::copy(&mut source, &mut temp.file()).map_err(Error::io("write", tar))?;
        // As old as the blob: older than the table of contents.
        let copied = source.metadata().and_then(|from| temp.file().set_modified(from.modified()?));
        copied.map_err(Error::io("write", tar))?;
        temp.sync()?;
        temp.publish(tar)
    }
}

/// Whether nothing was written to a layer's tar since its table of contents was made, which is after it
/// was checked.
pub(crate) fn is_as_checked(tar: &Metadata, toc: &Path) -> bool {
    let made = fs::metadata(toc).and_then(|toc| toc.modified());
    made.is_ok_and(|made| tar.modified().is_ok_and(|written| written <= made))
}

fn cannot_link(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    [CrossesDevices, PermissionDenied, TooManyLinks, Unsupported].contains(&error.kind())
}

fn check_type(layer: &Descriptor) -> Result<(), Error> {
    let media_type = layer.media_type().to_string();
    match media_type::is_layer(&media_type) {
        true => Ok(()),
        false => {
            let digest = manifest::digest(layer)?;
            Err(Error::MediaType { digest, media_type, want: "layer" })
        }
    }
}
