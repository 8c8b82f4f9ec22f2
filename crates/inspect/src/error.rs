//! What can go wrong when an image is looked at.

use std::io;
use std::path::PathBuf;

use tree::{LayerPath, ResolveError};

/// Why an image's files cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer is missing or corrupt.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The layers do not fit on each other.
    #[error("the layers do not fit on each other")]
    Fold(#[from] tree::FoldError),
    /// The path leads nowhere.
    #[error(transparent)]
    Path(#[from] ResolveError),
    /// The path does not lead to a regular file.
    #[error("{path} is {kind}, not a file")]
    NotAFile {
        /// The path, with all links resolved.
        path: LayerPath,
        /// What it is, with its article.
        kind: &'static str,
    },
    /// A layer's tar cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The tar.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was read cannot be written.
    #[error("cannot write the file's content")]
    Write(#[source] io::Error),
}
