//! What a pull or a fetch tells while it works.

use std::time::Duration;

use image::Digest;

/// Something that happened meanwhile.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A blob is in the store already and is not asked for.
    Known {
        /// Its digest.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// A blob begins to arrive.
    Started {
        /// Its digest.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// More of a blob has arrived.
    Received {
        /// Its digest.
        digest: Digest,
        /// How many bytes more.
        bytes: u64,
    },
    /// A blob is in the store, verified.
    Done {
        /// Its digest.
        digest: Digest,
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
