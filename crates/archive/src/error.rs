//! What can go wrong between the store and a stream.

use std::io;

use image::{DiffId, Digest};

/// Why an archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store does not give or take something.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The stream cannot be written.
    #[error("cannot write the archive")]
    Write(#[source] tree::WriteError),
    /// The stream cannot be read, or is no tar.
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    /// The stream is no tar.
    #[error("it is no tar archive, or a damaged one")]
    NoTar,
    /// The stream ends in the middle of a file.
    #[error("the archive ends in the middle of {name}")]
    Truncated {
        /// The file's path in the archive.
        name: String,
    },
    /// A blob cannot be written into the store.
    #[error("cannot write {name} of the archive to the store")]
    Keep {
        /// Its path in the archive.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something in the archive is larger than it may be, or there is too much of it.
    #[error("{what} of the archive is too large: over {max}")]
    TooLarge {
        /// What.
        what: String,
        /// The limit: bytes, or a number of files.
        max: u64,
    },
    /// The tar has none of the files that make an archive of images.
    #[error("this is no archive of images: it has neither index.json nor manifest.json")]
    NotAnArchive,
    /// A document in it cannot be understood.
    #[error("cannot understand {name} of the archive")]
    Json {
        /// Its path in the archive.
        name: String,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The archive names a file that is not in it.
    #[error("the archive is not whole: it names {name}, and has no such file")]
    Missing {
        /// The path in the archive.
        name: String,
    },
    /// A configuration is for another number of layers.
    #[error("the image with the configuration {config} has {layers} layers, not {diff_ids}")]
    LayerCount {
        /// Its path in the archive.
        config: String,
        /// How many the archive lists.
        layers: usize,
        /// How many the configuration names.
        diff_ids: usize,
    },
    /// A layer is not the one that the configuration names.
    #[error("{name} of the archive is {got}, but the image configuration says {want}")]
    DiffId {
        /// Its path in the archive.
        name: String,
        /// What the configuration says.
        want: DiffId,
        /// What it is.
        got: Digest,
    },
    /// The archive has no image at all.
    #[error("the archive has no images")]
    Empty,
    /// A path has no room for the directory in front of it.
    #[error("{path} cannot be put into a directory of the tar: {error}")]
    Path {
        /// The path.
        path: String,
        /// Why.
        error: tree::PathError,
    },
    /// A directory cannot be written.
    #[error("cannot write {path}")]
    Layout {
        /// The file or directory.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Layers do not fit on each other.
    #[error("the layers make no root file system")]
    Fold(#[from] tree::FoldError),
    /// A layer's tar cannot be read.
    #[error("cannot read the layer {path}")]
    Layer {
        /// The tar.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    pub(crate) fn json(name: &str) -> impl FnOnce(serde_json::Error) -> Self {
        move |source| Self::Json { name: name.to_owned(), source }
    }
}
