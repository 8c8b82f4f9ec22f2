//! Where in the image each item of a copy goes.

use std::collections::BTreeMap;
use std::ops::Bound;

use tree::{LayerPath, Metadata, NodeKind, Timestamp, Tree};

use super::{Piece, Place};
use crate::Error;
use crate::plan::Chmod;
use crate::source::{Item, ItemKind};

/// What a copy puts at a path: an item, and which piece it comes from.
#[derive(Debug)]
pub(crate) struct Placed {
    /// As in the source, with the metadata that it shall have. Hard links name paths in the image.
    pub(crate) item: Item,
    /// Where it is read from.
    pub(crate) place: Place,
}

/// Where to, and how.
pub(crate) struct Target<'a> {
    /// The image so far.
    pub(crate) tree: &'a Tree,
    /// Absolute; a trailing slash makes it a directory.
    pub(crate) destination: &'a str,
    /// Owner and group of everything that is copied; as in the source without.
    pub(crate) owner: Option<(u32, u32)>,
    /// Mode of everything that is copied; as in the source without.
    pub(crate) mode: Option<&'a Chmod>,
    /// The time of directories that are made on the way.
    pub(crate) time: Timestamp,
}

/// Puts the pieces, in order, at their places: a map that is sorted as a layer is.
pub(crate) fn place(
    pieces: Vec<Piece>,
    target: &Target<'_>,
) -> Result<BTreeMap<LayerPath, Placed>, Error> {
    let mut layout = Layout { target, placed: BTreeMap::new(), unpacking: false };
    for piece in pieces {
        layout.unpacking = matches!(piece.place, Place::Archive(_));
        layout.piece(piece)?;
    }
    Ok(layout.placed)
}

/// What is at a path, without following links.
#[derive(Clone, Copy, PartialEq, Eq)]
enum There {
    Nothing,
    Directory,
    Other,
}

struct Layout<'a> {
    target: &'a Target<'a>,
    placed: BTreeMap<LayerPath, Placed>,
    /// Whether the piece at hand comes out of an archive: modes are then its own.
    unpacking: bool,
}

impl Layout<'_> {
    fn piece(&mut self, piece: Piece) -> Result<(), Error> {
        let destination = self.target.destination;
        let wants_directory = destination.ends_with('/') || piece.directory;
        let mut top = self.resolve(destination)?;
        match self.there(&top) {
            There::Nothing if wants_directory => {
                self.make_directories(&top)?;
                self.date(&top, &piece);
            }
            There::Other if wants_directory => {
                let what = if piece.directory { "a directory" } else { "into" };
                return Err(Error::Replaces { what, there: "the file", path: top });
            }
            _ => {}
        }
        if !piece.directory && self.there(&top) == There::Directory {
            top = top.join(&piece.name).map_err(|error| Error::path(&top, error))?;
        }
        if let Some(parent) = top.parent() {
            self.make_directories(&parent)?;
        }
        for item in piece.items {
            if !(piece.directory && item.path.is_root()) {
                self.item(&top, item, piece.place)?;
            }
        }
        Ok(())
    }

    /// A directory that is made to hold a copied one's contents is as old as that one.
    fn date(&mut self, top: &LayerPath, piece: &Piece) {
        let whole = piece.directory && piece.place == Place::Main && !piece.name.is_empty();
        let copied = piece.items.first().filter(|_| whole);
        if let (Some(copied), Some(made)) = (copied, self.placed.get_mut(top)) {
            made.item.metadata.mtime = copied.metadata.mtime;
        }
    }

    /// Follows links of the image and of what this copy has put there.
    fn resolve(&self, path: &str) -> Result<LayerPath, Error> {
        self.target
            .tree
            .resolve_path(path.as_bytes())
            .map_err(|source| Error::Destination { path: path.to_owned(), source })
    }

    fn there(&self, path: &LayerPath) -> There {
        if let Some(placed) = self.placed.get(path) {
            let directory = matches!(placed.item.kind, ItemKind::Directory);
            return if directory { There::Directory } else { There::Other };
        }
        match self.target.tree.lookup(path).map(|node| &self.target.tree.node(node).kind) {
            None => There::Nothing,
            Some(NodeKind::Directory(_)) => There::Directory,
            Some(_) => There::Other,
        }
    }

    /// The directory and its parents, as far as they are missing.
    fn make_directories(&mut self, path: &LayerPath) -> Result<(), Error> {
        match self.there(path) {
            There::Directory => return Ok(()),
            There::Other => {
                let there = "the file";
                return Err(Error::Replaces { what: "a directory", there, path: path.clone() });
            }
            There::Nothing => {}
        }
        if let Some(parent) = path.parent() {
            self.make_directories(&parent)?;
        }
        let (uid, gid) = self.target.owner.unwrap_or((0, 0));
        let time = self.target.time;
        // As mkdir(2) makes them with that mode under the usual umask.
        let mode = match self.target.mode {
            Some(Chmod::Octal(mode)) if !self.unpacking => *mode & 0o755,
            _ => 0o755,
        };
        let metadata = Metadata { mode, uid, gid, mtime: time, ..Metadata::default() };
        let item = Item { path: path.clone(), metadata, kind: ItemKind::Directory };
        self.placed.insert(path.clone(), Placed { item, place: Place::Main });
        Ok(())
    }

    fn item(&mut self, top: &LayerPath, item: Item, place: Place) -> Result<(), Error> {
        let unpacked = self.unpacking;
        let join =
            |path: &LayerPath| top.join(path.as_bytes()).map_err(|error| Error::path(path, error));
        let path = join(&item.path)?;
        let directory = matches!(item.kind, ItemKind::Directory);
        match (directory, self.there(&path)) {
            (true, There::Other) if !unpacked => {
                return Err(Error::Replaces { what: "a directory", there: "the file", path });
            }
            (false, There::Directory) if !unpacked => {
                return Err(Error::Replaces { what: "a file", there: "the directory", path });
            }
            _ => {}
        }
        let kind = match item.kind {
            ItemKind::HardLink(to) => ItemKind::HardLink(join(&to)?),
            kind => kind,
        };
        let metadata = self.metadata(item.metadata, &kind);
        if !directory {
            // What an archive has replaces even a directory.
            self.clear_below(&path);
        }
        let item = Item { path: path.clone(), metadata, kind };
        if let Some(replaced) = self.placed.insert(path, Placed { item, place }) {
            self.keep_other_names(replaced);
        }
        Ok(())
    }

    /// Takes away what was put below a path: it comes right after it.
    fn clear_below(&mut self, path: &LayerPath) {
        let after = (Bound::Excluded(path), Bound::Unbounded);
        let below = self.placed.range::<LayerPath, _>(after).map(|(below, _)| below);
        let below: Vec<_> = below.take_while(|it| it.starts_with(path)).cloned().collect();
        for gone in below {
            self.placed.remove(&gone);
        }
    }

    /// The further names of a file that is replaced go on to name what it was.
    fn keep_other_names(&mut self, replaced: Placed) {
        let ItemKind::File(_) = replaced.item.kind else { return };
        let own = replaced.item.path.clone();
        let names =
            |placed: &Placed| matches!(&placed.item.kind, ItemKind::HardLink(to) if *to == own);
        let mut others = self.placed.values_mut().filter(|placed| names(placed));
        let Some(first) = others.next() else { return };
        let heir = first.item.path.clone();
        first.item.kind = replaced.item.kind;
        first.place = replaced.place;
        others.for_each(|other| other.item.kind = ItemKind::HardLink(heir.clone()));
    }

    /// What comes out of an archive gets the owner, but keeps its mode.
    fn metadata(&self, mut metadata: Metadata, kind: &ItemKind) -> Metadata {
        if let Some((uid, gid)) = self.target.owner {
            (metadata.uid, metadata.gid) = (uid, gid);
        }
        let keeps_mode = self.unpacking || matches!(kind, ItemKind::Symlink(_));
        if let (Some(chmod), false) = (self.target.mode, keeps_mode) {
            let directory = matches!(kind, ItemKind::Directory);
            metadata.mode = chmod.apply(metadata.mode, directory);
        }
        metadata
    }
}
