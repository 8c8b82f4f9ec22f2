//! One blob, removed at once where nothing names it: what a registry's clients ask for.

use image::Digest;

use super::mark::Marker;
use super::survey;
use crate::{Error, Store, files};

/// What became of a blob that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Removed,
    /// It was not there.
    Absent,
    /// Something names it, or may want it.
    InUse,
}

impl Store {
    /// Removes one blob, unless anything names it, or another process is at work that may want it. What
    /// was made of it stays until gc.
    ///
    /// # Errors
    /// As [`Store::gc`].
    pub fn remove_blob(&self, digest: &Digest) -> Result<Removal, Error> {
        let path = self.blob_path(digest);
        let own = self.session_id();
        let _index = self.lock_index()?;
        let _names = self.lock_gc()?;
        let Ok(metadata) = path.symlink_metadata() else { return Ok(Removal::Absent) };
        let mut marker = Marker::begin(self, true, own.as_deref())?;
        let cache = survey::survey(&mut marker)?;
        let is_cached = cache.units.iter().any(|unit| unit.holds.contains(digest));
        let is_young = marker.marked.is_young(survey::changed(&metadata));
        if is_cached || is_young || marker.marked.digests.contains(digest) {
            return Ok(Removal::InUse);
        }
        files::remove(&path).map(|()| Removal::Removed)
    }
}
