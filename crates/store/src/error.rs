//! What can go wrong with a store, with the facts that help.

use std::io;
use std::path::{Path, PathBuf};

use image::{DiffId, Digest, DigestError};

/// Why an operation on the store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error("cannot {verb} {path}")]
    Io {
        /// What was being done: `read`, `write`.
        verb: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The directory has something else in it.
    #[error(
        "{0} is not an image layout: it is not empty and has no oci-layout file; choose another directory"
    )]
    NotALayout(PathBuf),
    /// The layout is of a version that this program does not know.
    #[error("{path} has image layout version {version:?}, not 1.0.0")]
    LayoutVersion {
        /// The oci-layout file.
        path: PathBuf,
        /// What it says.
        version: String,
    },
    /// The layout cannot be opened or made.
    #[error("cannot open the image layout at {path}")]
    Layout {
        /// Its directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<ocidir::Error>,
    },
    /// JSON that is none, or that has another shape.
    #[error("cannot understand {path}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A value cannot be written as JSON.
    #[error("cannot write a {media_type} as JSON")]
    Serialize {
        /// What it is.
        media_type: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A blob is not there.
    #[error(
        "blob {digest} is missing from the store ({path}); pull, import or build its image again"
    )]
    MissingBlob {
        /// Its digest.
        digest: Digest,
        /// Where it should be.
        path: PathBuf,
    },
    /// A blob's bytes are not those of its digest.
    #[error(
        "blob {want} is corrupt: {path} has digest {got}; delete that file, then pull, import or build its image again"
    )]
    Corrupt {
        /// The digest that it should have.
        want: Digest,
        /// The digest that it has.
        got: Digest,
        /// The file.
        path: PathBuf,
    },
    /// A blob has another size than its descriptor says.
    #[error(
        "blob {digest} is corrupt: {path} has {got} bytes, not {want}; delete that file, then pull, import or build its image again"
    )]
    Size {
        /// Its digest.
        digest: Digest,
        /// The size that it should have, in bytes.
        want: u64,
        /// The size that it has, in bytes.
        got: u64,
        /// The file.
        path: PathBuf,
    },
    /// What was written is not what was announced.
    #[error(
        "what was received is not {want}: it has digest {got} and {size} bytes, not {want_size}"
    )]
    Unexpected {
        /// The announced digest.
        want: Digest,
        /// The digest of what came.
        got: Digest,
        /// The announced size in bytes.
        want_size: u64,
        /// The size of what came in bytes.
        size: u64,
    },
    /// A layer's tar is not the one that the image's configuration names.
    #[error("layer {layer} unpacks to {got}, but the image configuration says {want}")]
    DiffId {
        /// The layer blob's digest.
        layer: Digest,
        /// The diff ID that the configuration has.
        want: DiffId,
        /// The digest of the uncompressed layer.
        got: DiffId,
    },
    /// A layer blob cannot be decompressed, though its digest is right.
    #[error("layer {layer} cannot be decompressed")]
    Decompress {
        /// The layer blob's digest, or what it was read from.
        layer: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A layer's compression is not one that is read here.
    #[error("{0} compression is not supported here; decompress first: {0} -dc FILE | …")]
    Compression(&'static str),
    /// A layer's tar is malformed.
    #[error("layer {layer} is not a valid layer tar")]
    Tar {
        /// The layer's digest, or what it was read from.
        layer: String,
        /// Why.
        #[source]
        source: tree::ReadError,
    },
    /// A tar to import has no bytes at all.
    #[error("the tar is empty: nothing came from where it was made")]
    Empty,
    /// A tar to import makes no root file system.
    #[error("the tar makes no root file system")]
    Alone {
        /// Why.
        #[source]
        source: tree::FoldError,
    },
    /// Whoever watches the work has stopped it.
    #[error("stopped")]
    Stopped,
    /// Something is larger than it may be.
    #[error("{what} is too large: over {max} bytes")]
    TooLarge {
        /// What.
        what: String,
        /// The limit in bytes.
        max: u64,
    },
    /// A digest is malformed or of another algorithm.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// Several images have IDs that start so.
    #[error("{prefix} is ambiguous: it could be {}", .matches.join(" or "))]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// What it could mean.
        matches: Vec<String>,
    },
    /// An index has no image for the platform.
    #[error("{digest} has no image for {wanted}; it has {}", listed(.available))]
    NoPlatform {
        /// The index.
        digest: Digest,
        /// The platform that was asked for.
        wanted: String,
        /// The platforms that it has images for.
        available: Vec<String>,
    },
    /// A blob is of a kind that is no use here.
    #[error("{digest} is a {media_type}, not {want}")]
    MediaType {
        /// The blob.
        digest: Digest,
        /// What it says it is.
        media_type: String,
        /// What it should be.
        want: &'static str,
    },
    /// A manifest and its configuration disagree.
    #[error(
        "image {digest} has {layers} layers in its manifest and {diff_ids} in its configuration"
    )]
    LayerCount {
        /// The manifest.
        digest: Digest,
        /// How many layers it has.
        layers: usize,
        /// How many the configuration has.
        diff_ids: usize,
    },
}

impl Error {
    /// `map_err(Error::io("read", path))`.
    pub(crate) fn io(verb: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { verb, path: path.as_ref().to_owned(), source }
    }

    /// The same for errors of rustix.
    pub(crate) fn sys(
        verb: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |source| Self::Io { verb, path: path.as_ref().to_owned(), source: source.into() }
    }

    /// Whether the cause is a full disk or an exhausted quota.
    pub fn is_full_disk(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_full_disk(source))
    }
}

/// Whether an error tells of a full disk or an exhausted quota.
pub fn is_full_disk(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// An error that passes through an `io::Error` on its way out of a reader or writer.
pub(crate) fn through_io(error: Error) -> io::Error {
    match error {
        Error::Io { source, .. } => source,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

/// What there is, or that there is nothing.
fn listed(available: &[String]) -> String {
    if available.is_empty() { "none at all".to_owned() } else { available.join(", ") }
}
