//! What can go wrong with a bundle.

use std::io;
use std::path::{Path, PathBuf};

/// Why a bundle could not be made or released.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed on a path.
    #[error("cannot {verb} {path:?}")]
    Io {
        /// What was being done.
        verb: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The bundle's directory has something in it.
    #[error("{0:?} is not empty: a bundle needs a new or empty directory")]
    NotEmpty(PathBuf),
    /// The directory has no `tare.json`, so it is not ours to remove.
    #[error("{0:?} is not a bundle of tare's: it has no tare.json")]
    NotABundle(PathBuf),
    /// `tare.json` or the runtime configuration cannot be put into JSON.
    #[error("cannot write {path:?} as JSON")]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The store says no.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The root file system could not be made, mounted or unmounted.
    #[error(transparent)]
    Rootfs(#[from] rootfs::Error),
    /// The image's configuration and the options do not go together.
    #[error(transparent)]
    Spec(#[from] image::Error),
    /// The program was asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// An [`Error::Io`] maker, for `map_err`.
    pub(crate) fn io<E: Into<io::Error>>(
        verb: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self + use<E> {
        let path = path.to_owned();
        move |error| Self::Io { verb, path, source: error.into() }
    }
}
