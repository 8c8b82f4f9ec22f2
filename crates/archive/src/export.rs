//! An image's root file system as one tar, or as a tree to be written elsewhere.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use image::{Descriptor, DiffId};
use store::{Layer, Store};
use tree::{
    Entry, EntryKind, FileContent, LayerPath, LayerWriter, Metadata, NodeId, NodeKind, Timestamp,
    Tree,
};

use crate::Error;
use crate::save::{Guarded, failed};

/// What was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// How many files, directories among them.
    pub entries: u64,
    /// How many bytes the tar has, but for its end.
    pub size: u64,
}

/// Folds the layers of an image, lowest first. Gives the tree and, for each of its layers, the tar with
/// its bytes.
///
/// # Errors
/// A layer is missing or corrupt, or they do not fit on each other.
pub fn fold(store: &Store, layers: &[(Descriptor, DiffId)]) -> Result<(Tree, Vec<Layer>), Error> {
    let (mut tree, mut tars) = (Tree::new(), Vec::new());
    for (number, (descriptor, diff_id)) in (0..).zip(layers) {
        let layer = store.layer(descriptor, diff_id)?;
        tree.apply(number, &layer.changeset()?)?;
        tars.push(layer);
    }
    Ok((tree, tars))
}

/// A root file system to export.
#[derive(Clone, Copy, Debug)]
pub struct Root<'a> {
    /// The directory that it gets in the tar; none without.
    pub prefix: Option<&'a str>,
    /// Its files.
    pub tree: &'a Tree,
    /// Where their bytes are: the layers that the tree was folded of.
    pub layers: &'a [Layer],
}

/// Writes the files of one or several trees as a tar, in the order of their paths; hard links lead to
/// the first name. No time in it is later than `newest`, in seconds since 1970. Last come further files, by
/// their names, as old as that.
///
/// # Errors
/// A layer cannot be read, or the stream cannot be written.
pub fn export(
    roots: &[Root<'_>],
    newest: Option<i64>,
    further: &[(String, &[u8])],
    out: impl Write,
    stop: &AtomicBool,
) -> Result<Exported, Error> {
    let mut tar = LayerWriter::new(Guarded { out, stop });
    if let Some(seconds) = newest {
        tar = tar.with_max_mtime(Timestamp { seconds, nanoseconds: 0 });
    }
    let mut entries = 0;
    for root in roots {
        let tars = open(root.layers)?;
        let names = HashMap::new();
        let mut exporter = Exporter { root: *root, tars, tar, names, stop, entries };
        for (path, id) in root.tree.walk() {
            exporter.node(path, id)?;
        }
        entries = exporter.entries;
        tar = exporter.tar;
    }
    let mtime = Timestamp { seconds: newest.unwrap_or(0), nanoseconds: 0 };
    let metadata = Metadata { mode: 0o644, mtime, ..Metadata::default() };
    for (name, bytes) in further {
        let path =
            LayerPath::new(name).map_err(|error| Error::Path { path: name.clone(), error })?;
        tar.append_file(&path, &metadata, bytes.len() as u64, *bytes).map_err(failed(stop))?;
        entries += 1;
    }
    let size = tar.position();
    let (mut out, _) = tar.finish().map_err(failed(stop))?;
    out.flush().map_err(|error| Error::Write(tree::WriteError::Finish(error)))?;
    Ok(Exported { entries, size })
}

fn open(layers: &[Layer]) -> Result<Vec<(File, PathBuf)>, Error> {
    let open = |layer: &Layer| match File::open(&layer.tar) {
        Ok(file) => Ok((file, layer.tar.clone())),
        Err(source) => Err(Error::Layer { path: layer.tar.clone(), source }),
    };
    layers.iter().map(open).collect()
}

struct Exporter<'a, W: Write> {
    root: Root<'a>,
    tars: Vec<(File, PathBuf)>,
    tar: LayerWriter<Guarded<'a, W>>,
    /// The first name of each file that has several.
    names: HashMap<NodeId, LayerPath>,
    stop: &'a AtomicBool,
    entries: u64,
}

impl<W: Write> Exporter<'_, W> {
    fn node(&mut self, path: LayerPath, id: NodeId) -> Result<(), Error> {
        self.entries += 1;
        let path = self.placed(path)?;
        let node = self.root.tree.node(id);
        let first = self.names.get(&id);
        let kind = first.map_or_else(|| node.entry_kind(), |it| EntryKind::HardLink(it.clone()));
        let linked = first.is_some();
        if node.links > 1 && !linked && !node.is_directory() {
            self.names.insert(id, path.clone());
        }
        if let (NodeKind::File { layer, content }, false) = (&node.kind, linked)
            && content.size > 0
        {
            return self.file(&path, &node.metadata, *layer, content);
        }
        let entry = Entry { path, kind, metadata: node.metadata.clone() };
        self.tar.append(&entry).map_err(failed(self.stop))
    }

    fn placed(&self, path: LayerPath) -> Result<LayerPath, Error> {
        let Some(prefix) = self.root.prefix else { return Ok(path) };
        let joined = [prefix.as_bytes(), b"/", path.as_bytes()].concat();
        LayerPath::new(joined).map_err(|error| Error::Path { path: path.to_string(), error })
    }

    fn file(
        &mut self,
        path: &LayerPath,
        metadata: &tree::Metadata,
        layer: u32,
        content: &FileContent,
    ) -> Result<(), Error> {
        let index = layer as usize;
        let (tar, _) = self.tars.get(index).expect("a tree has the layers that it was folded of");
        let runs: Vec<(u64, u64)> =
            content.extents.iter().map(|run| (run.file_offset, run.length)).collect();
        let read = |offset: u64, buffer: &mut [u8]| {
            // The run that has this byte of the file: no other byte is asked for.
            let after = content.extents.partition_point(|run| run.file_offset <= offset);
            let run = &content.extents[after.saturating_sub(1)];
            tar.read_at(buffer, run.tar_offset + (offset - run.file_offset))
        };
        let written = self.tar.append_sparse_file(path, metadata, content.size, &runs, read);
        written.map_err(failed(self.stop))
    }
}
