//! The layers of an image, and the trees that they make.

use std::fs::File;
use std::path::PathBuf;
use std::sync::OnceLock;

use image::DiffId;
use store::{Image, Store};
use tree::{Change, Changeset, Tree};

use crate::Error;

/// The layers of one image, lowest first.
#[derive(Debug, Default)]
pub struct Layers {
    layers: Vec<LayerFiles>,
}

/// One layer: what it changes, and where its bytes are.
#[derive(Debug)]
pub struct LayerFiles {
    /// The digest of its tar.
    pub diff_id: DiffId,
    /// What it changes.
    pub changeset: Changeset,
    /// The tar.
    pub(crate) tar: PathBuf,
    /// The tar once a file of it was asked for.
    pub(crate) file: OnceLock<File>,
}

/// What one layer did.
#[derive(Debug)]
pub struct Step {
    /// The tree below the layer.
    pub before: Tree,
    /// The tree with it.
    pub after: Tree,
    /// What differs, sorted by path.
    pub changes: Vec<Change>,
}

impl Layers {
    /// Reads the tables of contents of an image's layers.
    ///
    /// # Errors
    /// A layer is missing or corrupt.
    pub fn read(store: &Store, image: &Image) -> Result<Self, Error> {
        let layer = |(descriptor, diff_id)| {
            let layer = store.layer(&descriptor, &diff_id)?;
            let changeset = layer.changeset()?;
            Ok(LayerFiles { diff_id, changeset, tar: layer.tar, file: OnceLock::new() })
        };
        Ok(Self { layers: image.layers().into_iter().map(layer).collect::<Result<_, Error>>()? })
    }

    /// The layers, lowest first.
    pub fn all(&self) -> &[LayerFiles] {
        &self.layers
    }

    /// The tree that the lowest `count` layers make.
    ///
    /// # Errors
    /// They do not fit on each other.
    pub fn state(&self, count: usize) -> Result<Tree, Error> {
        Ok(Tree::fold(self.layers.iter().take(count).map(|layer| &layer.changeset))?)
    }

    /// The tree of the whole image.
    ///
    /// # Errors
    /// The layers do not fit on each other.
    pub fn tree(&self) -> Result<Tree, Error> {
        self.state(self.layers.len())
    }

    /// What the layer `index`, from 0, did to the tree below it.
    ///
    /// # Errors
    /// The layers do not fit on each other.
    ///
    /// # Panics
    /// There is no such layer.
    pub fn step(&self, index: usize) -> Result<Step, Error> {
        let before = self.state(index)?;
        let mut after = before.clone();
        after.apply(index as u32, &self.layers[index].changeset)?;
        let changes = before.diff(&after);
        Ok(Step { before, after, changes })
    }

    /// The changesets, lowest first.
    pub fn changesets(self) -> Vec<Changeset> {
        self.layers.into_iter().map(|layer| layer.changeset).collect()
    }
}
