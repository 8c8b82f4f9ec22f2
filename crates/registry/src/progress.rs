//! What a pull, a push or a fetch tells while it works.

use std::time::Duration;

use image::{DiffId, Digest, Reference};

/// Something that happened meanwhile.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A blob is where it is to go already: it is not asked for, or not sent.
    Known {
        /// Its digest.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// A blob begins to arrive, or to be sent.
    Started {
        /// Its digest.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// More of a blob has arrived, or was sent.
    Received {
        /// Its digest.
        digest: Digest,
        /// How many bytes more.
        bytes: u64,
    },
    /// A blob is in the store, verified; or in the registry, which has verified it.
    Done {
        /// Its digest.
        digest: Digest,
    },
    /// The registry has a blob in another of its repositories, and took it from there.
    Mounted {
        /// Its digest.
        digest: Digest,
        /// That repository.
        from: &'a str,
    },
    /// A layer begins to be compressed.
    Compressing {
        /// The layer.
        diff_id: DiffId,
        /// Its size in bytes.
        size: u64,
    },
    /// More of it is compressed.
    Compressed {
        /// The layer.
        diff_id: DiffId,
        /// How many bytes more.
        bytes: u64,
    },
    /// All of it is compressed.
    CompressedAll {
        /// The layer.
        diff_id: DiffId,
        /// How many bytes it has become.
        size: u64,
    },
    /// A resource of a web server begins to arrive.
    Opened {
        /// Its size in bytes, where the server says it.
        size: Option<u64>,
    },
    /// More of a resource has arrived.
    More {
        /// How many bytes more.
        bytes: u64,
    },
    /// A mirror does not give it; the next place is asked.
    Mirror {
        /// The image's name there.
        name: &'a Reference,
        /// Why not.
        reason: String,
    },
    /// Something failed for the moment, and will be tried again.
    Retry {
        /// What was being done.
        action: &'a str,
        /// What failed.
        reason: String,
        /// The pause until then.
        pause: Duration,
    },
}

/// Hears what happens. Several threads call it at once.
pub trait Progress: Sync {
    /// Called when something happened. It must return quickly: the transfer waits for it.
    fn event(&self, event: Event<'_>);
}

/// Hears nothing.
impl Progress for () {
    fn event(&self, _: Event<'_>) {}
}
