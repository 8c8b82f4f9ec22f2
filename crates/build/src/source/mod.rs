//! Where `COPY` and `ADD` take files from: a directory of the host, or files inside layer tars.
//!
//! Both give the same view: [`Item`]s below a root, sorted so that a directory comes right before
//! what it contains, with links as links. No path leaves the root, by `..` or by symbolic link.

mod archive;
mod directory;
mod hashes;
mod layers;
mod reading;
mod walk;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use dockerfile::{Descent, IgnorePatterns};
use tree::{Device, FileContent, LayerPath, Metadata};

pub(crate) use archive::{Archive, is_archive};
pub(crate) use directory::Directory;
pub(crate) use layers::Layers;
pub(crate) use reading::{Reading, digest_of};

use crate::Error;

/// One file, directory or link below a root.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Relative to the root that was walked; the root itself is the empty path.
    pub(crate) path: LayerPath,
    /// Mode, owner, time and extended attributes, as the copy shall have them.
    pub(crate) metadata: Metadata,
    /// What it is.
    pub(crate) kind: ItemKind,
}

/// What an [`Item`] is.
#[derive(Clone, Debug)]
pub(crate) enum ItemKind {
    Directory,
    File(File),
    Symlink(Vec<u8>),
    /// One more name for an item that comes earlier, by that item's path.
    HardLink(LayerPath),
    CharDevice(Device),
    BlockDevice(Device),
    Fifo,
}

/// A regular file: its size, where its bytes are, and their digest once it is known. Clones share the
/// digest, so that whoever reads the bytes first tells the others.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) size: u64,
    pub(crate) digest: Arc<OnceLock<[u8; 32]>>,
    pub(crate) origin: Origin,
}

/// Where a file's bytes are.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// In the context directory; the identity is that of the walk. It may have more names.
    Disk { path: LayerPath, identity: hashes::Identity, linked: bool },
    /// In a layer's tar.
    Tar { layer: u32, content: FileContent },
    /// In the Dockerfile itself.
    Text(Arc<str>),
    /// A file of the store's, which nobody changes.
    Blob(Arc<Path>),
}

/// Something that files are copied from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// A directory of the host.
    Directory(&'a Directory),
    /// A stage, an image, or a context that came as a tar.
    Layers(&'a Layers),
}

/// A path that a copy names, after symbolic links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where it is, below the source's root.
    pub(crate) path: LayerPath,
    /// Whether it is a directory, whose contents are copied.
    pub(crate) directory: bool,
}

impl Source<'_> {
    /// Follows `path` inside the root; `None` where nothing is there.
    pub(crate) fn find(&self, path: &LayerPath) -> Result<Option<Found>, Error> {
        match self {
            Self::Directory(directory) => directory.find(path),
            Self::Layers(layers) => Ok(layers.find(path)),
        }
    }

    /// The names in the directory at `path`, sorted, and whether each is a directory.
    pub(crate) fn list(&self, path: &LayerPath) -> Result<Vec<(Vec<u8>, bool)>, Error> {
        match self {
            Self::Directory(directory) => directory.list(path),
            Self::Layers(layers) => Ok(layers.list(path)),
        }
    }

    /// All that is at and below `path`, which [`Source::find`] gave.
    pub(crate) fn walk(&self, path: &LayerPath) -> Result<Vec<Item>, Error> {
        match self {
            Self::Directory(directory) => directory.walk(path),
            Self::Layers(layers) => layers.walk(path),
        }
    }

    /// One directory as an item that is called `name`.
    pub(crate) fn folder(&self, path: &LayerPath, name: &LayerPath) -> Result<Item, Error> {
        let metadata = match self {
            Self::Directory(directory) => directory.metadata(path)?,
            Self::Layers(layers) => layers.metadata(path),
        };
        Ok(Item { path: name.clone(), metadata, kind: ItemKind::Directory })
    }

    /// Whether something is at `path` that `.dockerignore` leaves out.
    pub(crate) fn hides(&self, path: &LayerPath) -> bool {
        match self {
            Self::Directory(directory) => directory.hides(path),
            Self::Layers(_) => false,
        }
    }

    /// A small file as text, links followed inside the root; `None` where there is none.
    pub(crate) fn text(&self, path: &LayerPath) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Directory(directory) => directory.text(path),
            Self::Layers(layers) => layers.text(path),
        }
    }

    /// What to call it in an error.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Directory(directory) => directory.place().to_owned(),
            Self::Layers(layers) => layers.name().to_owned(),
        }
    }

    /// Reads a file that this source gave.
    pub(crate) fn open(&self, file: &File) -> Result<Reading, Error> {
        match (&file.origin, self) {
            (Origin::Text(text), _) => Ok(Reading::text(text.clone())),
            (Origin::Blob(path), _) => Reading::blob(path),
            (Origin::Disk { path, identity, .. }, Self::Directory(directory)) => {
                directory.open(path, *identity)
            }
            (Origin::Tar { layer, content }, Self::Layers(layers)) => layers.open(*layer, content),
            _ => Err(Error::internal("a file was read from another source than its own")),
        }
    }
}

/// Whether a path is left out, and everything below it as well.
fn left_out(ignored: &IgnorePatterns, path: &LayerPath, directory: bool) -> bool {
    match directory {
        _ if ignored.is_empty() => false,
        true => ignored.directory(path.as_bytes()) == Descent::Skip,
        false => ignored.matches(path.as_bytes()),
    }
}

/// Takes away the directories below `top` that were only searched, where nothing was found in them.
fn prune(ignored: &IgnorePatterns, top: &LayerPath, items: &mut Vec<Item>) {
    if ignored.is_empty() {
        return;
    }
    let mut kept: Vec<Item> = Vec::with_capacity(items.len());
    for item in items.drain(..).rev() {
        let searched = matches!(item.kind, ItemKind::Directory)
            && !item.path.is_root()
            && top.join(item.path.as_bytes()).is_ok_and(|path| ignored.matches(path.as_bytes()));
        if !searched || kept.last().is_some_and(|next| next.path.starts_with(&item.path)) {
            kept.push(item);
        }
    }
    kept.reverse();
    *items = kept;
}
