//! Build contexts and the Dockerfile, from wherever they come.
//!
//! A context of the host is what `.dockerignore` leaves of a directory. One that comes from elsewhere
//! (a tar, a web server, a repository) is taken whole, as BuildKit takes it; the Dockerfile is then
//! looked for inside it, and no link leads out of it.

mod all;
mod local;
mod remote;

pub(crate) use all::Contexts;

use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use dockerfile::{Dockerfile, IgnorePatterns};
use store::Store;
use tree::{LayerPath, Tree};

use crate::git::Checkout;
use crate::materials::Materials;
use crate::options::{ContextSource, DockerfileSource, GitProgram, NamedSource};
use crate::source::{Archive, Directory, Layers, Source, is_archive};
use crate::{Error, Event, Interrupt, Progress, StepId};

/// A build context that is ready to be copied from.
pub(crate) enum Context {
    Directory(Directory),
    Checkout(Checkout),
    Archive(Archive),
    Empty(Layers),
}

/// No Dockerfile is larger.
const MAX_DOCKERFILE: u64 = 16 << 20;

/// The step that shows how contexts are fetched.
const LOAD: StepId = StepId(usize::MAX - 1);

impl Context {
    /// What files are copied from.
    pub(crate) fn source(&self) -> Source<'_> {
        match self {
            Self::Directory(directory) => Source::Directory(directory),
            Self::Checkout(checkout) => Source::Directory(&checkout.directory),
            Self::Archive(archive) => Source::Layers(&archive.layers),
            Self::Empty(layers) => Source::Layers(layers),
        }
    }

    /// What the user keeps out of it, where checks can tell: in a directory.
    pub(crate) fn ignored(&self) -> IgnorePatterns {
        match self {
            Self::Directory(directory) => directory.ignored().clone(),
            Self::Checkout(_) | Self::Archive(_) | Self::Empty(_) => IgnorePatterns::default(),
        }
    }

    /// Keeps what was learned about files for the next build.
    pub(crate) fn save(&self) {
        if let Self::Directory(directory) = self {
            directory.save_hashes();
        }
    }

    fn empty(name: &str) -> Self {
        Self::Empty(Layers::new(name, Arc::new(Tree::new()), []))
    }
}

/// Opens contexts.
pub(crate) struct Opener<'a> {
    /// Where is noted what is fetched.
    pub(crate) materials: &'a Materials,
    pub(crate) store: &'a Store,
    /// The program that fetches from web servers.
    pub(crate) fetcher: &'a Path,
    pub(crate) git: &'a GitProgram,
    /// Whether a repository's `.git` is part of the main context.
    pub(crate) keep_git_dir: bool,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) interrupt: &'a Interrupt,
}

impl Opener<'_> {
    /// Opens the main context and parses the Dockerfile.
    pub(crate) fn open(
        &self,
        context: ContextSource,
        dockerfile: DockerfileSource,
    ) -> Result<(Context, Dockerfile), Error> {
        match context {
            ContextSource::Directory(path) => local::open(&path, dockerfile, &self.hashes()),
            ContextSource::Stream(reader) => self.stream(reader, Path::new("-"), dockerfile),
            ContextSource::Http(what) => {
                let fetched = self.download(&what)?;
                let file = std::fs::File::open(&fetched.path)
                    .map_err(|error| Error::io("open", &fetched.path, error))?;
                let name = dockerfile::redacted(&what.url).into_owned();
                self.stream(Box::new(file), Path::new(&name), dockerfile)
            }
            ContextSource::Git(what) => {
                let keep = what.keep_git_dir.unwrap_or(self.keep_git_dir);
                let context = Context::Checkout(self.checkout(&what, keep)?);
                let parsed = inside(&context.source(), dockerfile)?;
                Ok((context, parsed))
            }
        }
    }

    /// Opens a context that has a name. `None` for an image: it is not a context of its own.
    pub(crate) fn named(&self, source: &NamedSource) -> Result<Option<Context>, Error> {
        Ok(Some(match source {
            NamedSource::Directory(path) => Context::Directory(local::named(path, &self.hashes())?),
            NamedSource::Image(_) => return Ok(None),
            NamedSource::Git(what) => {
                let keep = what.keep_git_dir.unwrap_or(false);
                Context::Checkout(self.checkout(what, keep)?)
            }
            NamedSource::Http(what) => Context::Archive(self.as_a_file(what)?),
        }))
    }

    fn hashes(&self) -> std::path::PathBuf {
        self.store.build_dir().join("hashes")
    }

    fn spool(&self) -> std::path::PathBuf {
        self.store.build_dir().join("spool")
    }

    /// A tar, or a Dockerfile and no files at all.
    fn stream(
        &self,
        mut reader: Box<dyn Read + Send>,
        name: &Path,
        dockerfile: DockerfileSource,
    ) -> Result<(Context, Dockerfile), Error> {
        let fail = |error| Error::io("read the context from", name, error);
        // Enough to see the header of a tar behind any compression.
        let mut head = Vec::new();
        reader.by_ref().take(1 << 20).read_to_end(&mut head).map_err(fail)?;
        if is_archive(Cursor::new(&head)).map_err(fail)? {
            let reader = Cursor::new(head).chain(reader);
            let archive = Archive::read(name, reader, &self.spool(), self.interrupt)?;
            let context = Context::Archive(archive);
            let parsed = inside(&context.source(), dockerfile)?;
            return Ok((context, parsed));
        }
        reader.take(MAX_DOCKERFILE).read_to_end(&mut head).map_err(fail)?;
        let parsed = match dockerfile {
            DockerfileSource::Text { name, text } => dockerfile::parse(&text, &name)?,
            _ => dockerfile::parse(&head, &name.to_string_lossy())?,
        };
        Ok((Context::empty("the build context, which is empty"), parsed))
    }

    fn show<T>(
        &self,
        name: &str,
        work: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.progress.event(LOAD, Event::Started { name });
        let started = std::time::Instant::now();
        let result = work(&mut |bytes| self.progress.event(LOAD, Event::Output { bytes }));
        let elapsed = started.elapsed();
        self.progress.event(
            LOAD,
            match &result {
                Ok(_) => Event::Done { elapsed },
                Err(Error::Interrupted) => Event::Canceled,
                Err(_) => Event::Failed { elapsed },
            },
        );
        result
    }
}

/// The Dockerfile of a context that came from elsewhere.
fn inside(source: &Source<'_>, dockerfile: DockerfileSource) -> Result<Dockerfile, Error> {
    let (name, bytes) = match dockerfile {
        DockerfileSource::Text { name, text } => (name, text),
        DockerfileSource::Default => ("Dockerfile".to_owned(), required(source, "Dockerfile")?),
        DockerfileSource::Path(path) => {
            let path = path.to_string_lossy().into_owned();
            let bytes = required(source, &path)?;
            (path, bytes)
        }
    };
    Ok(dockerfile::parse(&bytes, &name)?)
}

fn required(source: &Source<'_>, path: &str) -> Result<Vec<u8>, Error> {
    let text = match LayerPath::new(path) {
        Ok(path) => source.text(&path)?,
        Err(_) => None,
    };
    text.ok_or_else(|| Error::NoDockerfile { name: path.to_owned(), place: source.place() })
}
