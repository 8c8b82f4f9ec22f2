//! Files of an image outside the store.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::Error;

/// Writes a file under its name when it is whole.
pub(crate) fn whole(
    directory: &Path,
    name: &str,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), Error> {
    let path = directory.join(name);
    let temporary = directory.join(format!(".tare-{}", std::process::id()));
    let written = File::create(&temporary)
        .and_then(|mut file| write(&mut file))
        .and_then(|()| fs::rename(&temporary, &path));
    written.map_err(|source| {
        // What cannot be removed is there to be seen.
        let _ = fs::remove_file(&temporary);
        Error::Layout { path, source }
    })
}

/// An error of a file or directory that is written or read.
pub(crate) fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Layout { path, source }
}
