//! The build context and the Dockerfile, from wherever they come.

use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dockerfile::{Dockerfile, IgnorePatterns};
use tree::{LayerPath, Tree};

use crate::Error;
use crate::options::{ContextSource, DockerfileSource};
use crate::source::{Archive, Directory, Layers, Source, is_archive};

/// A build context that is ready to be copied from.
pub(crate) enum Context {
    Directory(Directory),
    Archive(Archive),
    Empty(Layers),
}

/// No Dockerfile is larger.
const MAX_DOCKERFILE: u64 = 16 << 20;

impl Context {
    /// What files are copied from.
    pub(crate) fn source(&self) -> Source<'_> {
        match self {
            Self::Directory(directory) => Source::Directory(directory),
            Self::Archive(archive) => Source::Layers(&archive.layers),
            Self::Empty(layers) => Source::Layers(layers),
        }
    }

    /// What the user keeps out of it, where checks can tell: in a directory.
    pub(crate) fn ignored(&self) -> IgnorePatterns {
        match self {
            Self::Directory(directory) => directory.ignored().clone(),
            Self::Archive(_) | Self::Empty(_) => IgnorePatterns::default(),
        }
    }

    /// Keeps what was learned about files for the next build.
    pub(crate) fn save(&self) {
        if let Self::Directory(directory) = self {
            directory.save_hashes();
        }
    }
}

/// Opens the context and parses the Dockerfile. `work` is the builder's folder in the store.
pub(crate) fn open(
    context: ContextSource,
    dockerfile: DockerfileSource,
    work: &Path,
) -> Result<(Context, Dockerfile), Error> {
    match context {
        ContextSource::Directory(path) => directory(&path, dockerfile, work),
        ContextSource::Stream(reader) => stream(reader, dockerfile, work),
    }
}

fn directory(
    path: &Path,
    dockerfile: DockerfileSource,
    work: &Path,
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
    let context = Directory::open_at(path, ignored, &work.join("hashes"))?;
    Ok((Context::Directory(context), parsed))
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

fn stream(
    mut reader: Box<dyn Read + Send>,
    dockerfile: DockerfileSource,
    work: &Path,
) -> Result<(Context, Dockerfile), Error> {
    let name = Path::new("-");
    let fail = |error| Error::io("read the context from", name, error);
    // Enough to see the header of a tar behind any compression.
    let mut head = Vec::new();
    reader.by_ref().take(1 << 20).read_to_end(&mut head).map_err(fail)?;
    if is_archive(Cursor::new(&head)).map_err(fail)? {
        return archive(Cursor::new(head).chain(reader), dockerfile, work);
    }
    reader.take(MAX_DOCKERFILE).read_to_end(&mut head).map_err(fail)?;
    let parsed = match dockerfile {
        DockerfileSource::Text { name, text } => dockerfile::parse(&text, &name)?,
        _ => dockerfile::parse(&head, "-")?,
    };
    let layers = Layers::new("the build context, which is empty", Arc::new(Tree::new()), []);
    Ok((Context::Empty(layers), parsed))
}

fn archive(
    reader: impl Read,
    dockerfile: DockerfileSource,
    work: &Path,
) -> Result<(Context, Dockerfile), Error> {
    let Archive { layers, spool } = Archive::read(Path::new("-"), reader, &work.join("spool"))?;
    let text = |path: &str| match LayerPath::new(path) {
        Ok(path) => layers.text(&path),
        Err(_) => Ok(None),
    };
    let (name, bytes) = match dockerfile {
        DockerfileSource::Text { name, text } => (name, text),
        DockerfileSource::Default => ("Dockerfile".to_owned(), required(&text, "Dockerfile")?),
        DockerfileSource::Path(path) => {
            let path = path.to_string_lossy().into_owned();
            let bytes = required(&text, &path)?;
            (path, bytes)
        }
    };
    let parsed = dockerfile::parse(&bytes, &name)?;
    let beside = text(&format!("{name}.dockerignore"))?;
    let ignored = match beside.map_or_else(|| text(".dockerignore"), |found| Ok(Some(found)))? {
        Some(found) => parse_ignore(&found, ".dockerignore")?,
        None => IgnorePatterns::default(),
    };
    let layers = layers.without(ignored);
    Ok((Context::Archive(Archive { layers, spool }), parsed))
}

fn required(
    text: &impl Fn(&str) -> Result<Option<Vec<u8>>, Error>,
    path: &str,
) -> Result<Vec<u8>, Error> {
    let place = "the build context".to_owned();
    text(path)?.ok_or_else(|| Error::NoDockerfile { name: path.to_owned(), place })
}
