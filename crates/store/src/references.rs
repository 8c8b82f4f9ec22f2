//! Names of images: giving them, taking them, listing them.

use image::manifest::{self, Descriptor};
use image::{Digest, Reference};
use serde_json::Value;

use crate::index::{self, Index};
use crate::{Error, Store};

impl Store {
    /// Gives `name` to the image, and takes it from the one that has it. An entry that another tool
    /// wrote under a shorter form of the same name (`app` for `docker.io/library/app:latest`) counts
    /// as having it.
    ///
    /// # Errors
    /// The blob is missing, or the store cannot be written.
    pub fn tag(&self, name: &Reference, descriptor: &Descriptor) -> Result<(), Error> {
        self.require(descriptor)?;
        let full = name.to_string();
        self.change_index(|entries| {
            let digest = descriptor.digest().as_ref();
            let new = index::entry(descriptor, Some(&full));
            // The first name that an image gets goes to the entry that it has without one.
            let unnamed = |entry: &Value| {
                index::name(entry).is_none() && entry["digest"].as_str() == Some(digest)
            };
            let mut others = entries.clone();
            others.retain(|entry| !is_named(entry, &full, name) && !unnamed(entry));
            // An image that has the name already keeps its place, and the file stays as it is.
            if others.len() + 1 != entries.len() || !entries.contains(&new) {
                others.push(new);
                *entries = others;
            }
            Ok(())
        })
    }

    /// Puts an image into the index without a name, unless it is in there already.
    ///
    /// # Errors
    /// The blob is missing, or the store cannot be written.
    pub fn keep(&self, descriptor: &Descriptor) -> Result<(), Error> {
        self.require(descriptor)?;
        self.change_index(|entries| {
            let digest = descriptor.digest().as_ref();
            if !entries.iter().any(|entry| entry["digest"].as_str() == Some(digest)) {
                entries.push(index::entry(descriptor, None));
            }
            Ok(())
        })
    }

    /// Takes an image out of the index that has no name there; `false` where it is not in there so.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn let_go(&self, digest: &Digest) -> Result<bool, Error> {
        self.change_index(|entries| {
            let before = entries.len();
            entries.retain(|entry| {
                index::name(entry).is_some() || index::digest(entry).as_ref() != Some(digest)
            });
            Ok(entries.len() < before)
        })
    }

    /// Takes the name away: the entry goes, the blobs stay until gc. Gives what had the name. `name`
    /// may be a full reference, a short one, or one that another tool wrote.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn untag(&self, name: &str) -> Result<Option<Descriptor>, Error> {
        self.change_index(|entries| {
            let Some(found) = find(entries, name).and_then(index::descriptor) else {
                return Ok(None);
            };
            entries.retain(|entry| !has_name(entry, name));
            Ok(Some(found))
        })
    }

    /// Takes the image out of the index under all its names; the blobs stay until gc. Gives the names
    /// that it had, and `None` for an entry without one.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn forget(&self, descriptor: &Descriptor) -> Result<Vec<Option<String>>, Error> {
        self.change_index(|entries| {
            let digest = descriptor.digest().as_ref();
            let (gone, kept) = std::mem::take(entries)
                .into_iter()
                .partition::<Vec<_>, _>(|entry| entry["digest"].as_str() == Some(digest));
            *entries = kept;
            Ok(gone.iter().map(|entry| index::name(entry).map(str::to_owned)).collect())
        })
    }

    /// All entries of the index in its order: the name as it stands, if there is one, and what it
    /// names. Entries that are no descriptors are passed over.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn references(&self) -> Result<Vec<(Option<String>, Descriptor)>, Error> {
        let Index { entries, .. } = self.read_index()?;
        let reference = |entry: &Value| {
            Some((index::name(entry).map(str::to_owned), index::descriptor(entry)?))
        };
        Ok(entries.iter().filter_map(reference).collect())
    }

    fn require(&self, descriptor: &Descriptor) -> Result<(), Error> {
        let digest = manifest::digest(descriptor)?;
        match self.has_blob(descriptor)? {
            true => Ok(()),
            false => Err(Error::MissingBlob { digest, path: self.blob_path(&digest) }),
        }
    }
}

/// The entry that `name` means: of several the one that came last.
pub(crate) fn find<'a>(entries: &'a [Value], name: &str) -> Option<&'a Value> {
    let reference = name.parse().ok();
    let named = |entry: &&Value| match &reference {
        Some(reference) => is_named(entry, name, reference),
        None => index::name(entry) == Some(name),
    };
    entries.iter().rev().find(named)
}

fn has_name(entry: &Value, name: &str) -> bool {
    find(std::slice::from_ref(entry), name).is_some()
}

/// Whether an entry's name is this text, or a form of this reference.
fn is_named(entry: &Value, text: &str, reference: &Reference) -> bool {
    let same = |name: &str| name.parse::<Reference>().is_ok_and(|parsed| parsed == *reference);
    index::name(entry).is_some_and(|name| name == text || same(name))
}
