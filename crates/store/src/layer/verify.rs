//! Checking a layer's tar that somebody may have written to.

use std::io::BufReader;

use image::DiffId;
use tree::Changeset;

use super::Layer;
use super::unpack::Hashed;
use crate::{Error, Store, files};

/// Reads and hashes the tar of a layer, and makes its table of contents again. `None` where there is no
/// tar, or none of that diff ID: then its names go, and who has it mounted keeps the file. A store that
/// may not be written stays as it is.
pub(super) fn verify(store: &Store, diff_id: &DiffId) -> Result<Option<Layer>, Error> {
    let path = store.layer_path(diff_id, "tar");
    let file = match files::open(&path) {
        Ok(file) => file,
        Err(error) if files::is_absent(&error) => return Ok(None),
        Err(error) => return Err(Error::io("open", &path)(error)),
    };
    let size = file.metadata().map_err(Error::io("read", &path))?.len();
    let mut input = Hashed::new(file);
    let changeset = Changeset::read_tar(BufReader::with_capacity(256 << 10, &mut input));
    let got = input.finish().map_err(Error::io("read", &path))?;
    if let (true, Ok(changeset)) = (got == *diff_id.digest(), changeset) {
        let _ = store.write_toc(diff_id, &changeset);
        return Ok(Some(Layer { diff_id: *diff_id, tar: path, size }));
    }
    if let Ok(_names) = store.lock_names() {
        files::remove(&store.layer_path(diff_id, "toc"))?;
        files::remove(&path)?;
    }
    Ok(None)
}
