//! An image's files in a plain directory, and what was changed there.

use std::path::{Path, PathBuf};

use image::Digest;
use rootfs::{Lower, capture_directory, unpack_noted};
use serde::{Deserialize, Serialize};
use store::{Image, Store};

use crate::commit::{Committed, base, new_layer};
use crate::{Error, layers};

/// What a directory of [`unpack`] says of itself. It does not keep the image in the store.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// The digest of the image's manifest.
    pub image: Digest,
    /// The name by which the image was asked for.
    pub reference: Option<String>,
    /// The store that the image was in, absolute.
    pub store: PathBuf,
    files: rootfs::Unpacked,
}

/// What is written to the directory's attribute.
#[derive(Serialize, Deserialize)]
struct Note {
    image: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    store: PathBuf,
}

impl Unpacked {
    /// What the directory says; `None` for one that [`unpack`] has not made, or that has lost its attributes.
    ///
    /// # Errors
    /// The directory cannot be opened.
    pub fn read(dir: &Path) -> Result<Option<Self>, Error> {
        let Some(files) = rootfs::Unpacked::read(dir)? else { return Ok(None) };
        let note = serde_json::from_slice::<Note>(&files.note).ok();
        let known = |Note { image, reference, store }| Self { image, reference, store, files };
        Ok(note.map(known))
    }

    /// Whether it was made in a user namespace, by whose ids its owners are to be read.
    pub fn is_of_namespace(&self) -> bool {
        self.files.is_of_namespace()
    }
}

/// Writes the image's files into `dir`, which must be new or empty. For an ordinary user all become the user's own,
/// and there are no devices.
///
/// # Errors
/// The directory is not empty; a layer is missing or corrupt; what the disk says. What was written is removed.
pub fn unpack(
    store: &Store,
    image: &Image,
    reference: Option<&str>,
    dir: &Path,
) -> Result<(), Error> {
    let layers = image.layers();
    let tars = layers::tars(store, &layers)?;
    let tree = layers::fold(store, &layers)?;
    let note = Note {
        image: image.digest()?,
        reference: reference.map(str::to_owned),
        store: store.root().to_owned(),
    };
    let note =
        serde_json::to_vec(&note).map_err(|source| Error::Json { path: dir.to_owned(), source })?;
    Ok(unpack_noted(&tree, &tars, dir, owner(), &note)?)
}

/// Whom an ordinary user gives all files to.
fn owner() -> Option<(u32, u32)> {
    let user = rustix::process::geteuid();
    (!user.is_root()).then(|| (user.as_raw(), rustix::process::getegid().as_raw()))
}

/// Captures what was changed in a directory of [`unpack`] into `store`, where its image must still be. Of files that
/// did not change since, nothing but the metadata is read. No time in the layer is later than `newest`, in
/// seconds since 1970.
///
/// # Errors
/// The image is gone; something is mounted in the directory; what the disk says; a file that changes meanwhile.
pub fn commit_unpacked(
    store: &Store,
    dir: &Path,
    unpacked: &Unpacked,
    newest: Option<i64>,
) -> Result<Committed, Error> {
    capture(store, dir, base(store, &unpacked.image)?, &unpacked.files, newest)
}

/// As [`commit_unpacked`], for any directory: how it differs from `base`. Every file is read.
///
/// # Errors
/// As [`commit_unpacked`].
pub fn commit_directory(
    store: &Store,
    dir: &Path,
    base: Image,
    newest: Option<i64>,
) -> Result<Committed, Error> {
    capture(store, dir, base, &rootfs::Unpacked::unknown(owner()), newest)
}

fn capture(
    store: &Store,
    dir: &Path,
    base: Image,
    unpacked: &rootfs::Unpacked,
    newest: Option<i64>,
) -> Result<Committed, Error> {
    let tree = layers::fold(store, &base.layers())?;
    let layers = layers::tars(store, &base.layers())?;
    let lower = Lower { tree: &tree, layers: &layers };
    new_layer(store, base, newest, |out| capture_directory(dir, &lower, unpacked, out))
}
