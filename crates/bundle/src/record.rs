//! `tare.json`: what a bundle's end needs to know.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use image::Digest;
use serde::{Deserialize, Serialize};

use crate::Error;

/// The name of the file in the bundle.
pub(crate) const NAME: &str = "tare.json";

/// The largest record that is read, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// The content of a bundle's `tare.json`.
///
/// ```json
/// {
///   "image": "sha256:0f…",
///   "reference": "docker.io/library/debian:bookworm",
///   "store": "/var/lib/tare",
///   "lease": "2a51-6567-1f",
///   "driver": "erofs",
///   "mounts": ["rootfs"]
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The digest of the image's manifest.
    pub image: Digest,
    /// The name by which the image was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The store that the image is in, absolute.
    pub store: PathBuf,
    /// The ID of the lease that keeps the image there.
    pub lease: String,
    /// `erofs` or `directory`; absent until the root file system is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// What is mounted, relative to the bundle.
    pub mounts: Vec<PathBuf>,
}

impl Record {
    /// Reads the record of the bundle in `dir`.
    ///
    /// # Errors
    /// [`Error::NotABundle`] if it has none; what the disk says; a record that is damaged.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(NAME);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_SIZE).read_to_end(&mut bytes));
        match read {
            Err(error) if is_missing(&error) => Err(Error::NotABundle(dir.to_owned())),
            Err(error) => Err(Error::io("read", &path)(error)),
            Ok(_) => serde_json::from_slice(&bytes)
                .map_err(io::Error::from)
                .map_err(Error::io("understand", &path)),
        }
    }

    pub(crate) fn write(&self, dir: &Path) -> Result<(), Error> {
        write_json(&dir.join(NAME), self)
    }
}

/// Writes JSON to a file that appears complete.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let json = |source| Error::Json { path: path.to_owned(), source };
    let mut bytes = serde_json::to_vec_pretty(value).map_err(json)?;
    bytes.push(b'\n');
    let partial = partial(path);
    fs::write(&partial, bytes).map_err(Error::io("write", &partial))?;
    fs::rename(&partial, path).map_err(Error::io("rename", &partial))
}

/// The name under which a file is written.
pub(crate) fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
