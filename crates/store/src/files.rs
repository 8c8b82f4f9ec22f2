//! Reading files and directories with limits, and telling "absent" from "failed".

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::Error;

/// Opens a regular file for reading. Anything else is refused: a pipe would keep who reads it for ever.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = File::options().read(true).custom_flags(nonblocking).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(irregular()),
    }
}

/// What is said of a pipe, a device or a directory in a file's place.
pub(crate) fn irregular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is no regular file")
}

/// As [`open`]; `None` where there is no file.
pub(crate) fn open_optional(path: &Path) -> io::Result<Option<File>> {
    match open(path) {
        Err(error) if is_absent(&error) => Ok(None),
        other => other.map(Some),
    }
}

/// The content of a file of at most `max` bytes; `None` where there is no file.
pub(crate) fn read_optional(path: &Path, max: u64) -> Result<Option<Vec<u8>>, Error> {
    let Some(file) = open_optional(path).map_err(Error::io("open", path))? else {
        return Ok(None);
    };
    let size = file.metadata().map_err(Error::io("read", path))?.len();
    let too_large = || Error::TooLarge { what: path.display().to_string(), max };
    if size > max {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(size as usize + 1);
    file.take(max + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    if bytes.len() as u64 > max { Err(too_large()) } else { Ok(Some(bytes)) }
}

/// The names in a directory, sorted, without those that are not UTF-8: none of ours is such a one. A
/// directory that is not there has none.
pub(crate) fn names(directory: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", directory)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("read", directory))?;
        names.extend(entry.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes a file, unless there is none.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if !is_absent(&error) => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Whether there is simply nothing by that name.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
