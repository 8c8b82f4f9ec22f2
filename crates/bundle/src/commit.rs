//! What a container changed, as a layer.

use std::fs;
use std::path::Path;

use image::manifest::{self, Descriptor};
use image::{DiffId, Digest, Platform};
use rootfs::{Lower, capture};
use serde_json::Value;
use store::{BlobWriter, Image, Store};
use tree::{LayerPath, LayerWriter, Timestamp, Tree};

use crate::record::is_missing;
use crate::{Error, Record, layers};

/// Changes, kept in the store.
#[derive(Debug)]
pub struct Committed {
    /// The image that they are over.
    pub base: Image,
    /// The layer with the changes, and its diff ID; `None` where there are none.
    pub layer: Option<(Descriptor, DiffId)>,
    /// How many entries it has.
    pub entries: usize,
}

/// Captures the read-write layer of the bundle in `dir` into `store`, which must be the store that the
/// bundle is of. What the container has mounted is left out, and what is in the image's volumes, as docker
/// leaves it out. No time in the layer is later than `newest`, in seconds since 1970.
///
/// The container should have ended, or be paused: a file that changes meanwhile is an error.
///
/// # Errors
/// [`Error::NotABundle`]; a bundle without a read-write layer; what the disk says.
pub fn commit(store: &Store, dir: &Path, newest: Option<i64>) -> Result<Committed, Error> {
    let record = Record::read(dir)?;
    let base = base(store, &record.image)?;
    let upper = dir.join("rw/upper");
    if !upper.is_dir() {
        return Err(Error::ReadOnly(dir.to_owned()));
    }
    let tree = layers::fold(store, &base.layers())?;
    let layers = layers::tars(store, &base.layers())?;
    let excluded = excluded(dir, &base, &tree)?;
    let lower = Lower { tree: &tree, layers: &layers };
    new_layer(store, base, newest, |out| capture(&upper, &lower, out, &excluded))
}

/// What `write` writes, as a layer in the store over `base`.
pub(crate) fn new_layer(
    store: &Store,
    base: Image,
    newest: Option<i64>,
    write: impl FnOnce(&mut LayerWriter<BlobWriter>) -> Result<(), rootfs::Error>,
) -> Result<Committed, Error> {
    let mut out = LayerWriter::new(store.blob_writer()?);
    if let Some(seconds) = newest {
        out = out.with_max_mtime(Timestamp { seconds, nanoseconds: 0 });
    }
    write(&mut out)?;
    let (blob, changeset) = out.finish().map_err(rootfs::Error::from)?;
    let entries = changeset.len();
    let layer = if entries == 0 { None } else { Some(store.commit_layer(blob, &changeset)?) };
    Ok(Committed { base, layer, entries })
}

/// The image by its manifest's digest: the index need not name it any more, the lease keeps it.
pub(crate) fn base(store: &Store, digest: &Digest) -> Result<Image, Error> {
    let path = store.blob_path(digest);
    let size = match fs::metadata(&path) {
        Err(error) if is_missing(&error) => return Err(Error::NoImage(*digest)),
        metadata => metadata.map_err(Error::io("read", &path))?.len(),
    };
    // Only what the manifest says of itself is missing, and nothing asks for it.
    let descriptor = manifest::descriptor(image::media_type::MANIFEST, *digest, size);
    Ok(store.image(&descriptor, &Platform::host())?)
}

/// Where config.json mounts something, and the image's volumes, as paths without links.
fn excluded(dir: &Path, image: &Image, tree: &Tree) -> Result<Vec<LayerPath>, Error> {
    let path = dir.join("config.json");
    let text = fs::read(&path).map_err(Error::io("read", &path))?;
    let config: Value = serde_json::from_slice(&text)
        .map_err(std::io::Error::from)
        .map_err(Error::io("understand", &path))?;
    let mounts = config.get("mounts").and_then(Value::as_array).into_iter().flatten();
    let mounts = mounts.filter_map(|mount| mount.get("destination")?.as_str());
    let volumes = image.config.config.volumes.iter().map(String::as_str);
    let paths = mounts.chain(volumes);
    Ok(paths
        .filter_map(|path| tree.resolve_path(path.as_bytes()).ok())
        .filter(|it| !it.is_root())
        .collect())
}
