//! What is named, and by whom.

use std::collections::HashSet;
use std::io::{self, Read as _};
use std::path::Path;

use image::{ChainId, DiffId, Digest, ImageConfig, media_type};
use serde_json::Value;

use crate::blob::MAX_JSON;
use crate::{Error, Store, files, index};

/// What stays.
#[derive(Debug, Default)]
pub(super) struct Marked {
    /// Digests: of blobs, of layers by diff ID, of stacks by chain ID.
    pub(super) digests: HashSet<Digest>,
    /// What changed since then stays too: seconds and nanoseconds.
    pub(super) since: Option<(i64, i64)>,
}

impl Marked {
    /// Whether something that changed then was made, or was wanted again, while a process was at work
    /// that still is.
    pub(super) fn is_young(&self, changed: (i64, i64)) -> bool {
        self.since.is_some_and(|since| changed >= since)
    }
}

/// Goes from what is named to all that this refers to.
pub(super) struct Marker<'a> {
    pub(super) store: &'a Store,
    pub(super) marked: Marked,
    /// What was looked into: a layer is marked without.
    followed: HashSet<Digest>,
    queue: Vec<Digest>,
}

impl<'a> Marker<'a> {
    /// Nothing is marked yet.
    pub(super) fn new(store: &'a Store) -> Self {
        Self { store, marked: Marked::default(), followed: HashSet::new(), queue: Vec::new() }
    }

    /// Marks what the index and the living leases name. The time at which the lease `but` began does not
    /// count.
    pub(super) fn begin(
        store: &'a Store,
        keep_dead: bool,
        but: Option<&str>,
    ) -> Result<Self, Error> {
        let mut marker = Self::new(store);
        for entry in store.read_index()?.entries {
            marker.queue.push(marker.named(&entry)?);
        }
        for lease in store.living_leases(keep_dead)? {
            marker.queue.extend(lease.holds);
            let since = lease.since.filter(|_| but != Some(lease.id.as_str()));
            let moments = marker.marked.since.into_iter().chain(since);
            marker.marked.since = moments.min();
        }
        marker.run()?;
        Ok(marker)
    }

    /// These, and all that they refer to, marked or not; nothing is marked by it.
    pub(super) fn closure(&self, of: Vec<Digest>) -> Result<HashSet<Digest>, Error> {
        let mut other = Self { queue: of, ..Self::new(self.store) };
        other.run()?;
        Ok(other.marked.digests)
    }

    fn run(&mut self) -> Result<(), Error> {
        while let Some(digest) = self.queue.pop() {
            self.marked.digests.insert(digest);
            if self.followed.insert(digest) {
                self.follow(&digest)?;
            }
        }
        Ok(())
    }

    /// What an entry of the index names. It must be there: nobody knows which layers are those of an image
    /// whose manifest is lost, or whose entry makes no sense, and they may be all that is left of it.
    pub(super) fn named(&self, entry: &Value) -> Result<Digest, Error> {
        let Some(digest) = index::digest(entry) else {
            let what = entry.get("digest").map_or_else(|| "none".to_owned(), Value::to_string);
            let source = serde::de::Error::custom(format!("the digest of an entry is {what}"));
            return Err(Error::Json { path: self.store.index_path(), source });
        };
        if let Some(descriptor) = index::descriptor(entry) {
            let media_type = descriptor.media_type().to_string();
            if media_type::is_manifest(&media_type) || media_type::is_index(&media_type) {
                self.store.read_blob(&descriptor)?;
            }
        }
        Ok(digest)
    }

    /// Queues what a manifest or an index refers to, and marks what a configuration does. A blob is taken for
    /// one by its content: the index may have it from anybody. What is called a tar is not opened.
    fn follow(&mut self, digest: &Digest) -> Result<(), Error> {
        let Some(value) = self.json(digest)? else { return Ok(()) };
        for list in ["manifests", "layers", "blobs"] {
            for child in value.get(list).and_then(Value::as_array).into_iter().flatten() {
                let kind = child.get("mediaType").and_then(Value::as_str).unwrap_or_default();
                match index::digest(child) {
                    Some(layer) if media_type::is_layer(kind) => {
                        self.marked.digests.insert(layer);
                    }
                    other => self.queue.extend(other),
                }
            }
        }
        for one in ["subject", "config"] {
            self.queue.extend(value.get(one).and_then(index::digest));
        }
        // An image's configuration: its layers and the stack of them.
        if value.get("rootfs").is_some()
            && let Ok(config) = serde_json::from_value::<ImageConfig>(value)
        {
            let diff_ids = config.rootfs.diff_ids;
            self.marked.digests.insert(ChainId::of(&diff_ids).into());
            self.marked.digests.extend(diff_ids.into_iter().map(<DiffId as Into<Digest>>::into));
        }
        Ok(())
    }

    /// A blob as JSON; `None` for one that is missing or is something else.
    fn json(&self, digest: &Digest) -> Result<Option<Value>, Error> {
        let path = self.store.blob_path(digest);
        let Some(bytes) = document(&path).map_err(Error::io("read", &path))? else {
            return Ok(None);
        };
        let got = Digest::of(&bytes);
        if got != *digest {
            return Err(Error::Corrupt { want: *digest, got, path });
        }
        Ok(serde_json::from_slice(&bytes).ok())
    }
}

/// The bytes of a blob that may be a document. One that is too large or does not begin as an object is not
/// read: most are layers.
fn document(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some(mut file) = files::open_optional(path)? else { return Ok(None) };
    let size = file.metadata()?.len();
    let mut first = [0];
    if size > MAX_JSON || file.read(&mut first)? == 0 || first != *b"{" {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(size as usize + 1);
    bytes.extend(first);
    file.take(MAX_JSON).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
