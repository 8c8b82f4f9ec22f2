//! Files inside layer tars: a stage, an image, or a context that came as a tar. Nothing is unpacked
//! or mounted; bytes are read from the tar where the tree says they are.

use std::collections::HashMap;
use std::fs::{self, File as Tar};
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tree::{FileContent, LayerPath, NodeId, NodeKind, Tree};

use super::{File, Found, Item, ItemKind, Origin, Reading};
use crate::Error;

/// No file that the builder itself reads from an image is larger: `/etc/passwd`, a Dockerfile.
pub(super) const MAX_TEXT: u64 = 16 << 20;

/// A tree over layer tars.
#[derive(Clone)]
pub(crate) struct Layers {
    tree: Arc<Tree>,
    tars: Vec<Arc<LayerTar>>,
    name: Arc<str>,
}

/// One layer's tar, opened when something is read from it.
struct LayerTar {
    path: PathBuf,
    open: OnceLock<Arc<Tar>>,
}

impl Layers {
    /// The tree that the layers in `tars`, lowest first, fold into. Errors call it `name`.
    pub(crate) fn new(
        name: &str,
        tree: Arc<Tree>,
        tars: impl IntoIterator<Item = PathBuf>,
    ) -> Self {
        let tar = |path| Arc::new(LayerTar { path, open: OnceLock::new() });
        let tars = tars.into_iter().map(tar).collect();
        Self { tree, tars, name: name.into() }
    }

    /// What errors call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Mode and owner of a directory.
    pub(crate) fn metadata(&self, path: &LayerPath) -> tree::Metadata {
        let node = self.tree.lookup(path).map(|node| self.tree.node(node));
        node.map(|node| node.metadata.clone()).unwrap_or_default()
    }

    pub(crate) fn find(&self, path: &LayerPath) -> Option<Found> {
        self.tree.resolve(path.as_bytes()).ok()?;
        let path = self.tree.resolve_path(path.as_bytes()).ok()?;
        let directory = self.tree.node(self.tree.lookup(&path)?).is_directory();
        Some(Found { path, directory })
    }

    pub(crate) fn list(&self, path: &LayerPath) -> Vec<(Vec<u8>, bool)> {
        let node = self.tree.lookup(path).map(|node| self.tree.node(node));
        let Some(NodeKind::Directory(names)) = node.map(|node| &node.kind) else {
            return Vec::new();
        };
        let listed =
            names.iter().map(|(name, &node)| (name.to_vec(), self.tree.node(node).is_directory()));
        listed.collect()
    }

    pub(crate) fn walk(&self, path: &LayerPath) -> Result<Vec<Item>, Error> {
        let Some(top) = self.tree.lookup(path) else {
            return Err(Error::internal("a source went away while it was copied"));
        };
        let mut items: Vec<Item> = Vec::new();
        let mut first: HashMap<NodeId, LayerPath> = HashMap::new();
        for (below, node) in self.tree.walk_from(top) {
            let directory = self.tree.node(node).is_directory();
            let linked = self.tree.node(node).links > 1;
            let kind = match first.get(&node) {
                Some(earlier) if linked => ItemKind::HardLink(earlier.clone()),
                _ => self.kind(node),
            };
            if linked && !directory {
                first.entry(node).or_insert_with(|| below.clone());
            }
            let metadata = self.tree.node(node).metadata.clone();
            items.push(Item { path: below, metadata, kind });
        }
        Ok(items)
    }

    fn kind(&self, node: NodeId) -> ItemKind {
        match &self.tree.node(node).kind {
            NodeKind::Directory(_) => ItemKind::Directory,
            NodeKind::File { layer, content } => ItemKind::File(File {
                size: content.size,
                digest: Arc::default(),
                origin: Origin::Tar { layer: *layer, content: content.clone() },
            }),
            NodeKind::Symlink(target) => ItemKind::Symlink(target.clone()),
            NodeKind::CharDevice(device) => ItemKind::CharDevice(*device),
            NodeKind::BlockDevice(device) => ItemKind::BlockDevice(*device),
            NodeKind::Fifo => ItemKind::Fifo,
        }
    }

    pub(crate) fn open(&self, layer: u32, content: &FileContent) -> Result<Reading, Error> {
        let tar = usize::try_from(layer).ok().and_then(|layer| self.tars.get(layer));
        let tar = tar.ok_or_else(|| Error::internal("a tree names a layer that it has not"))?;
        let file = match tar.open.get() {
            Some(file) => file.clone(),
            None => {
                let file = Tar::open(&tar.path)
                    .map_err(|error| Error::io("open the layer", &tar.path, error))?;
                tar.open.get_or_init(|| Arc::new(file)).clone()
            }
        };
        Ok(Reading::tar(file, tar.path.clone(), content.clone()))
    }

    /// A small file as text, links followed; `None` where there is none.
    pub(crate) fn text(&self, path: &LayerPath) -> Result<Option<Vec<u8>>, Error> {
        let node = self.tree.resolve(path.as_bytes()).ok().map(|node| self.tree.node(node));
        let Some(NodeKind::File { layer, content }) = node.map(|node| &node.kind) else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        self.open(*layer, content)?
            .take(MAX_TEXT)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::io("read", path.to_string(), error))?;
        Ok(Some(bytes))
    }
}

/// A tar that came as a stream: kept in a file of its own until it is dropped.
pub(crate) struct Spool {
    path: PathBuf,
    /// Locked (flock), so that nobody sweeps it away.
    _lock: Tar,
}

impl Spool {
    /// Takes over a new file.
    pub(crate) fn new(path: PathBuf, file: &Tar) -> std::io::Result<Self> {
        let lock = file.try_clone()?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
