//! Why a layer cannot be written.

use std::io;

use crate::LayerPath;
use crate::limits::LimitError;

/// Why an entry cannot be written. After any of these the tar is unfinished and good for nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The output failed.
    #[error("cannot write {path} to the layer")]
    Write {
        /// The entry.
        path: LayerPath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The output failed when all entries were written.
    #[error("cannot end the layer")]
    Finish(#[source] io::Error),
    /// The content could not be read.
    #[error("cannot read the content of {path}")]
    Content {
        /// The entry.
        path: LayerPath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The content was not as long as said; mostly the file changed while it was read.
    #[error("the content of {path} is {what} than {size} bytes: did it change while it was read?")]
    ContentSize {
        /// The entry.
        path: LayerPath,
        /// The size it was to have, in bytes.
        size: u64,
        /// `longer` or `shorter`.
        what: &'static str,
    },
    /// A name starts with `.wh.`, which a layer keeps for whiteouts.
    #[error("{path} cannot be in a layer: names that start with .wh. mean whiteouts there")]
    Reserved {
        /// The entry.
        path: LayerPath,
    },
    /// No file system could show the entry.
    #[error("{path} cannot be in a layer")]
    Limit {
        /// The entry.
        path: LayerPath,
        /// What is wrong.
        #[source]
        source: LimitError,
    },
    /// A file with content was given without it.
    #[error("{path} has content, which must be appended with it")]
    ContentMissing {
        /// The entry.
        path: LayerPath,
    },
    /// An earlier entry failed.
    #[error("an earlier entry could not be written")]
    Failed,
}
