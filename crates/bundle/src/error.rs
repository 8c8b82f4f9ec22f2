//! What can go wrong with a bundle.

use std::io;
use std::path::{Path, PathBuf};

use crate::layers::FoldFailure;

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
    /// The image that files were unpacked of has been collected since.
    #[error("its image {0} is not in the store any more")]
    NoImage(image::Digest),
    /// The bundle has no read-write layer.
    #[error("{0:?} was made read-only: there are no changes in it")]
    ReadOnly(PathBuf),
    /// The directory has an image mounted on it.
    #[error("an image is mounted on {0:?} already")]
    Mounted(PathBuf),
    /// No image is mounted on the directory.
    #[error("no image of tare's is mounted on {0:?}")]
    NotMounted(PathBuf),
    /// The layers do not fit on each other.
    #[error("the layers do not fit on each other")]
    Fold(#[from] tree::FoldError),
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

impl From<FoldFailure> for Error {
    fn from(failure: FoldFailure) -> Self {
        match failure {
            FoldFailure::Store(error) => error.into(),
            FoldFailure::Fold(error) => error.into(),
        }
    }
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
