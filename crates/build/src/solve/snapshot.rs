//! A file system in the making: layers, and their tree once somebody needs it.

use std::sync::{Arc, Mutex, PoisonError};

use image::{ChainId, DiffId};
use rootfs::{Driver, LayerTar, Prepared};
use store::Store;
use tree::{Changeset, Tree};

use crate::Error;
use crate::key::{self, Key};
use crate::record::LayerRef;
use crate::source::Layers;

/// The state of a stage's files between two steps. Clones share the tree until one changes it.
#[derive(Clone)]
pub(crate) struct Snapshot {
    /// What the next step's key starts from.
    pub(crate) key: Key,
    /// The image's layers, lowest first.
    pub(crate) layers: Vec<LayerRef>,
    /// Those of them that hold anything: what is folded and mounted.
    files: Vec<LayerRef>,
    /// The fold of the first so many layers with files.
    tree: Arc<Tree>,
    folded: usize,
    /// What many start from is folded once for all of them.
    start: Option<Arc<Start>>,
}

/// Layers that several snapshots start with, and their tree once one of them has needed it.
struct Start {
    layers: usize,
    tree: Mutex<Option<Arc<Tree>>>,
}

impl Snapshot {
    /// No file at all.
    pub(crate) fn scratch() -> Self {
        let (layers, files) = (Vec::new(), Vec::new());
        Self { key: key::scratch(), layers, files, tree: Arc::default(), folded: 0, start: None }
    }

    /// The files of an image. The same layers are the same start, whatever the image is called.
    pub(crate) fn image(layers: Vec<LayerRef>) -> Self {
        let files = layers.iter().filter(|layer| !layer.is_empty()).cloned().collect();
        let mut snapshot = Self { layers, files, ..Self::scratch() };
        snapshot.key = snapshot.content_key();
        snapshot.shared()
    }

    /// The same files, for several to start from.
    pub(crate) fn shared(mut self) -> Self {
        if self.folded < self.files.len() {
            let start = Start { layers: self.files.len(), tree: Mutex::default() };
            self.start = Some(Arc::new(start));
        }
        self
    }

    pub(crate) fn diff_ids(&self) -> Vec<DiffId> {
        self.layers.iter().map(|layer| layer.diff_id).collect()
    }

    /// The key of the same files by what they are, whatever made them.
    pub(crate) fn content_key(&self) -> Key {
        key::image(&self.chain())
    }

    /// What the files are known by.
    fn chain(&self) -> ChainId {
        let diff_ids: Vec<DiffId> = self.files.iter().map(|layer| layer.diff_id).collect();
        ChainId::of(&diff_ids)
    }

    /// Puts a layer on top. Its changeset, where it is at hand, saves reading it again.
    pub(crate) fn push(
        &mut self,
        layer: LayerRef,
        changeset: Option<&Changeset>,
    ) -> Result<(), Error> {
        self.layers.push(layer.clone());
        if layer.is_empty() {
            return Ok(());
        }
        let index = self.files.len();
        self.files.push(layer);
        if let Some(changeset) = changeset.filter(|_| self.folded == index) {
            Arc::make_mut(&mut self.tree).apply(number(index)?, changeset)?;
            self.folded += 1;
        }
        Ok(())
    }

    /// The tree of all layers.
    pub(crate) fn tree(&mut self, store: &Store) -> Result<Arc<Tree>, Error> {
        if let Some(start) = self.start.take().filter(|start| self.folded < start.layers) {
            let mut shared = start.tree.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(tree) = &*shared {
                self.tree = tree.clone();
                self.folded = start.layers;
            } else {
                self.fold(start.layers, store)?;
                *shared = Some(self.tree.clone());
            }
        }
        self.fold(self.files.len(), store)?;
        Ok(self.tree.clone())
    }

    /// Folds the layers up to this one.
    fn fold(&mut self, end: usize, store: &Store) -> Result<(), Error> {
        while self.folded < end {
            let LayerRef { descriptor, diff_id } = &self.files[self.folded];
            let changeset = store.layer(descriptor, diff_id)?.changeset()?;
            Arc::make_mut(&mut self.tree).apply(number(self.folded)?, &changeset)?;
            self.folded += 1;
        }
        Ok(())
    }

    /// The layers' tars.
    pub(crate) fn tars(&self, store: &Store) -> Result<Vec<LayerTar>, Error> {
        let tar = |layer: &LayerRef| {
            if let Some((path, size)) = store.layer_tar(&layer.diff_id) {
                return Ok(LayerTar { path, size });
            }
            let made = store.layer(&layer.descriptor, &layer.diff_id)?;
            Ok(LayerTar { path: made.tar, size: made.size })
        };
        self.files.iter().map(tar).collect()
    }

    /// The files, to be copied from.
    pub(crate) fn source(&mut self, name: &str, store: &Store) -> Result<Layers, Error> {
        let tars = self.tars(store)?.into_iter().map(|tar| tar.path);
        Ok(Layers::new(name, self.tree(store)?, tars))
    }

    /// What a mount needs; made where it is missing.
    pub(crate) fn prepare(&mut self, driver: Driver, store: &Store) -> Result<Prepared, Error> {
        let at = store.rootfs_path(&self.chain());
        let tars = self.tars(store)?;
        if let Some(prepared) = Prepared::find(driver, &tars, &at) {
            return Ok(prepared);
        }
        let tree = self.tree(store)?;
        let layer = |layer: &LayerRef| (layer.descriptor.clone(), layer.diff_id);
        let layers: Vec<_> = self.files.iter().map(layer).collect();
        bundle::prepare_rootfs(store, &layers, Some(driver), Some(&tree)).map_err(|error| {
            match error {
                bundle::Error::Store(error) => error.into(),
                bundle::Error::Rootfs(error) => error.into(),
                _ => Error::internal("preparing a root file system touches only the store"),
            }
        })
    }
}

fn number(index: usize) -> Result<u32, Error> {
    u32::try_from(index).map_err(|_| Error::internal("more layers than a tree can number"))
}
