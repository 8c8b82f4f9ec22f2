//! Directories of the host.

use std::fs;
use std::path::{Path, PathBuf};

use dockerfile::{Dockerfile, IgnorePatterns};

use super::Context;
use crate::Error;
use crate::options::DockerfileSource;
use crate::source::Directory;

/// The main context, and the Dockerfile in or beside it. `hashes` is where file hashes are kept.
pub(super) fn open(
    path: &Path,
    dockerfile: DockerfileSource,
    hashes: &Path,
) -> Result<(Context, Dockerfile), Error> {
    if !path.is_dir() {
        return Err(Error::Context(path.to_owned()));
    }
    let (name, text, beside) = match dockerfile {
        DockerfileSource::Text { name, text } => (name, text, None),
        DockerfileSource::Path(file) => {
            (file.display().to_string(), read_file(&file)?, Some(with_ignore(&file)))
        }
        DockerfileSource::Default => {
            let file = default_file(path);
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, read_file(&file)?, Some(with_ignore(&file)))
        }
    };
    let parsed = dockerfile::parse(&text, &name)?;
    let ignored = ignore_file(path, beside)?;
    let context = Directory::open_at(path, ignored, hashes)?;
    Ok((Context::Directory(context), parsed))
}

/// A directory that is given a name: less what its own `.dockerignore` names.
pub(super) fn named(path: &Path, hashes: &Path) -> Result<Directory, Error> {
    if !path.is_dir() {
        return Err(Error::Context(path.to_owned()));
    }
    Directory::open_at(path, ignore_file(path, None)?, hashes)
}

/// `Dockerfile`, or `dockerfile` where only that is there, as BuildKit has it.
fn default_file(context: &Path) -> PathBuf {
    let usual = context.join("Dockerfile");
    let lower = context.join("dockerfile");
    if !usual.exists() && lower.exists() { lower } else { usual }
}

fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::NoDockerfile {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            place: match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                Some(parent) => parent.display().to_string(),
                None => "the current directory".to_owned(),
            },
        },
        _ => Error::io("read the Dockerfile", path, error),
    })
}

/// `<Dockerfile>.dockerignore`, which comes before the context's own.
fn with_ignore(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".dockerignore");
    name.into()
}

fn ignore_file(context: &Path, beside: Option<PathBuf>) -> Result<IgnorePatterns, Error> {
    for path in beside.into_iter().chain([context.join(".dockerignore")]) {
        match fs::read(&path) {
            Ok(text) => return parse_ignore(&text, &path.display().to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("read", path, error)),
        }
    }
    Ok(IgnorePatterns::default())
}

fn parse_ignore(text: &[u8], file: &str) -> Result<IgnorePatterns, Error> {
    IgnorePatterns::parse(text).map_err(|source| Error::Ignore { file: file.to_owned(), source })
}
