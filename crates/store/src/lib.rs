//! The store: an OCI image layout on disk, and beside it what makes it fast.
//!
//! ```text
//! ROOT/
//!   oci-layout  index.json  blobs/sha256/HEX     image-spec, image-layout.md: any tool may read and write it
//!   tare/lock                 held alone while index.json changes
//!   tare/gc.lock              shared while a file gets its name, alone while gc runs
//!   tare/tmp/                 files in the making, each locked by its writer
//!   tare/partial/HEX          the beginning of a blob that is to be, locked likewise: it can be gone on with
//!   tare/layers/DIFF.tar      uncompressed layer; a hard link where the blob is itself uncompressed
//!   tare/layers/DIFF.toc      its changeset
//!   tare/layers/DIFF.gzip-5   what it was compressed to, and beside it a .json with digest and size
//!   tare/rootfs/CHAIN…        what a driver makes of a stack of layers
//!   tare/build/records/       build cache records; the rest of tare/build is the builder's:
//!   tare/build/mounts/K/N     its cache mounts, and tare/build/git/K its repositories, go with the records
//!   tare/leases/ID            what running work and bundles hold
//! ```
//!
//! `tare/` is a cache, apart from the leases: delete it and no image is lost.
//!
//! Roles: anyone may read at any time, without a lock, because every file gets its name when it is
//! complete, checked and on disk. Writers of blobs run side by side. index.json changes under one
//! lock. Collecting garbage removes only what nobody names: no entry of the index, no lease, no build
//! record, and no process that is at work.
//!
//! The layout itself is `ocidir`'s work. What version 0.8 of it lacks is here: it takes no lock, so
//! two writers of the index lose an entry; it syncs neither blobs nor directories; its reads check no
//! digest; its errors name no path; its index drops fields that it does not know; and its `clone_to`
//! copies each blob onto itself.
//!
//! Killed at any moment, a process leaves a valid store, and perhaps a file in `tare/tmp` that the
//! next collection removes; and in `tare/partial` what the next process that wants it goes on with.

mod blob;
mod cache;
mod decompress;
mod disk_usage;
mod error;
mod files;
mod foreign;
mod fsck;
mod gc;
mod image;
mod index;
mod layer;
mod layout;
mod lease;
mod lock;
mod outgoing;
mod references;
mod resolve;
mod temp;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use ::image::ChainId;

pub use blob::{Blob, BlobReader, BlobWriter, CheckedBlob};
pub use decompress::{Gunzip, decompressed};
pub use disk_usage::DiskUsage;
pub use error::{Error, is_full_disk};
pub use fsck::{FsckOptions, FsckReport, Problem};
pub use gc::{
    BundleUsage, CacheLimit, Garbage, GarbageKind, GcOptions, GcReport, ImageUsage, Removal, Room,
    Usage,
};
pub use image::Image;
pub use layer::Layer;
pub use lease::{Holder, Lease};
pub use outgoing::{
    Content, Document, LayerForm, LevelError, Outgoing, OutgoingEvent, Recipe, Watch,
};

/// An opened store.
///
/// It may be shared between threads. A store that has written anything protects what it wrote from
/// collection by other processes until it is dropped.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    layout: ocidir::OciDir,
    session: Mutex<Option<Arc<Lease>>>,
    max_layer: u64,
    opened: rustix::fs::Timespec,
    /// Bytes that got a name since the build cache was last bounded.
    written: Arc<AtomicU64>,
    layout_is_synced: AtomicBool,
    /// Whether blobs have names that are not on disk yet.
    has_new_names: AtomicBool,
}

/// A file system's size, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Space {
    pub(crate) total: u64,
    /// What this user may still take of it.
    pub(crate) free: u64,
}

impl Store {
    /// The store's directory, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a driver keeps what it makes of a stack of layers: a file with an ending of the
    /// driver's, or a directory. Nothing needs to be there.
    pub fn rootfs_path(&self, chain: &ChainId) -> PathBuf {
        self.tare("rootfs").join(chain.hex())
    }

    /// The builder's own directory: file hashes, cache mounts.
    pub fn build_dir(&self) -> PathBuf {
        self.tare("build")
    }

    /// The same store, which refuses layers of more than `bytes` bytes uncompressed. Without this the
    /// room on the file system is the only limit.
    pub fn with_max_layer(mut self, bytes: u64) -> Self {
        self.max_layer = bytes;
        self
    }

    /// How large the store's file system is.
    pub(crate) fn space(&self) -> Result<Space, Error> {
        let space = rustix::fs::statvfs(&self.root).map_err(Error::sys("examine", &self.root))?;
        let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
        Ok(Space { total: bytes(space.f_blocks), free: bytes(space.f_bavail) })
    }

    pub(crate) fn tare(&self, name: &str) -> PathBuf {
        self.root.join("tare").join(name)
    }

    /// The lease that covers what this store writes; made when it first writes.
    pub(crate) fn session(&self) -> Result<Arc<Lease>, Error> {
        let mut session = self.session.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &*session {
            Some(lease) => Ok(Arc::clone(lease)),
            None => {
                let lease = Arc::new(self.lease(&[], Holder::Process)?);
                *session = Some(Arc::clone(&lease));
                Ok(lease)
            }
        }
    }

    /// What gc calls the lease of [`Store::session`], where there is one.
    pub(crate) fn session_id(&self) -> Option<String> {
        let session = self.session.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        session.as_ref().map(|lease| lease.id().to_owned())
    }

    /// Gives up the cover of [`Store::session`]; writers in flight keep theirs.
    pub(crate) fn end_session(&self) {
        self.session.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
    }
}
