//! Resources of web servers, fetched by the program that may speak HTTP: `tare-store fetch`.

use std::path::{Path, PathBuf};
use std::process::Command;

use dockerfile::{HttpRef, redacted};
use image::Digest;
use serde::Deserialize;
use store::Store;

use crate::{Error, Interrupt, program};

/// A resource as a file of the store.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fetched {
    /// A blob.
    pub(crate) path: PathBuf,
    pub(crate) digest: Digest,
    /// In bytes.
    pub(crate) size: u64,
    /// `Last-Modified`, in seconds since 1970.
    pub(crate) last_modified: Option<i64>,
}

/// Has the resource fetched, and checked where there is a digest. `hear` gets what is said meanwhile.
pub(crate) fn fetch(
    store: &Store,
    fetcher: &Path,
    what: &HttpRef,
    checksum: Option<&Digest>,
    hear: &mut dyn FnMut(&[u8]),
    interrupt: &Interrupt,
) -> Result<Fetched, Error> {
    let fail = |said: String| Error::Fetch { url: redacted(&what.url).into_owned(), said };
    let mut command = Command::new(fetcher);
    command.arg("--store").arg(store.root()).args(["fetch", "--json", "--progress", "plain"]);
    command.args(checksum.map(|digest| format!("--checksum={digest}")));
    // On standard input, because every user of the machine sees arguments.
    let said = program::output(command.arg("-"), what.url.as_bytes(), hear, interrupt, fail)?;
    serde_json::from_slice(&said).map_err(|error| fail(format!("what it said: {error}")))
}
