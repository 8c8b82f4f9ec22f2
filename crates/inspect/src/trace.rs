//! What the layers of an image did to one path.

use tree::{ChangeKind, LayerPath, Node, NodeKind, Tree};

use crate::{Error, Layers};

/// What one layer did to a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The layer's number, from 0 for the lowest.
    pub layer: usize,
    /// What it did.
    pub change: ChangeKind,
    /// The node that is there with the layer; `None` where it is gone. A directory's without its names.
    pub node: Option<Node>,
}

impl Layers {
    /// What each layer did to `path`, lowest first; layers that left it alone are not listed. Empty where
    /// no layer ever had it.
    ///
    /// # Errors
    /// The layers do not fit on each other.
    pub fn trace(&self, path: &LayerPath) -> Result<Vec<Trace>, Error> {
        let mut traces = Vec::new();
        let mut tree = Tree::new();
        let mut before = None;
        for (layer, files) in self.all().iter().enumerate() {
            tree.apply(layer as u32, &files.changeset)?;
            let after = tree.lookup(path).map(|id| without_names(tree.node(id)));
            let change = match (&before, &after) {
                (None, Some(_)) => Some(ChangeKind::Added),
                (Some(_), None) => Some(ChangeKind::Removed),
                (before, after) => (before != after).then_some(ChangeKind::Modified),
            };
            traces.extend(change.map(|change| Trace { layer, change, node: after.clone() }));
            before = after;
        }
        Ok(traces)
    }
}

/// The path that `path` leads to in a tree, as the layers have it: directories that are links are followed,
/// a link that is named itself is not. A path whose directory does not exist is what it says.
pub fn real_path(tree: &Tree, path: &LayerPath) -> LayerPath {
    let (Some(parent), Some(name)) = (path.parent(), path.name()) else { return path.clone() };
    let parent = tree.resolve_path(parent.as_bytes()).ok();
    parent.and_then(|parent| parent.join(name).ok()).unwrap_or_else(|| path.clone())
}

fn without_names(node: &Node) -> Node {
    match node.kind {
        NodeKind::Directory(_) => {
            Node { kind: NodeKind::Directory(Default::default()), ..node.clone() }
        }
        _ => node.clone(),
    }
}
