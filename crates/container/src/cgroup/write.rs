//! One limit into one file, and the field's name into the error.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::error::{Doing, Error, Result, reason};

/// Writes one value to one file of a cgroup.
pub(super) fn write(path: &Path, value: impl AsRef<[u8]>) -> Result<()> {
    let value = value.as_ref();
    put(path, value)
        .doing(|| format!("write {:?} to {}", String::from_utf8_lossy(value), path.display()))
}

/// Sets the limit of a field of `linux.resources`.
pub(super) fn limit(field: &str, directory: &Path, file: &str, value: impl ToString) -> Result<()> {
    let (path, value) = (directory.join(file), value.to_string());
    put(&path, value.as_bytes()).map_err(|error| {
        let why = match error.kind() {
            ErrorKind::NotFound | ErrorKind::PermissionDenied if !path.exists() => {
                missing(directory, file)
            }
            _ => reason(&error),
        };
        let text = format!("write {value:?} to {}: {why}", path.display());
        Error::spec(format!("linux.resources.{field}"), text)
    })
}

fn put(path: &Path, value: &[u8]) -> std::io::Result<()> {
    fs::OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(value))
}

/// Why a cgroup has no such file.
fn missing(directory: &Path, file: &str) -> String {
    let controller = file.split('.').next().unwrap_or(file);
    match fs::read_to_string(directory.join("cgroup.controllers")) {
        Ok(have)
            if controller != "cgroup"
                && !have.split_whitespace().any(|name| name == controller) =>
        {
            format!("controller {controller:?} is not available")
        }
        _ => "this kernel has no such limit".into(),
    }
}
