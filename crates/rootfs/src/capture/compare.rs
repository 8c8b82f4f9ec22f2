//! Whether a file in an upper directory is what the lower tree has anyway.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::Stat;
use tree::{Entry, EntryKind, FileContent, Metadata, Node, NodeKind};

use crate::xattrs::belongs_in_layer;
use crate::{Error, LayerTar};

/// Bytes that are compared at a time.
const CHUNK: usize = 64 << 10;

/// Whether all but the time agrees. The time of a directory changes with each file that comes and
/// goes in it; nobody means that as a change of the image.
pub(super) fn same_directory(a: &Metadata, b: &Metadata) -> bool {
    (a.mode, a.uid, a.gid) == (b.mode, b.uid, b.gid) && same_xattrs(a, b)
}

/// Whether a symbolic link, device or pipe is the same as the node.
pub(super) fn same_special(entry: &Entry, node: &Node) -> bool {
    let same_kind = match (&entry.kind, &node.kind) {
        (EntryKind::Symlink(a), NodeKind::Symlink(b)) => a == b,
        (EntryKind::CharDevice(a), NodeKind::CharDevice(b))
        | (EntryKind::BlockDevice(a), NodeKind::BlockDevice(b)) => a == b,
        (EntryKind::Fifo, NodeKind::Fifo) => true,
        _ => false,
    };
    same_kind && same_metadata(&entry.metadata, &node.metadata)
}

/// Whether two looks at an open file show the same state of the same file.
pub(super) fn same_state(a: &Stat, b: &Stat) -> bool {
    let state = |stat: &Stat| {
        let mtime = (stat.st_mtime, stat.st_mtime_nsec);
        let ctime = (stat.st_ctime, stat.st_ctime_nsec);
        (stat.st_dev, stat.st_ino, stat.st_mode, stat.st_size, mtime, ctime)
    };
    state(a) == state(b)
}

/// Whether all agrees, the time included.
pub(super) fn same_metadata(a: &Metadata, b: &Metadata) -> bool {
    a.mtime == b.mtime && same_directory(a, b)
}

fn same_xattrs(a: &Metadata, b: &Metadata) -> bool {
    // The lower tree may have what a mount does not show, or what never goes into a layer.
    let kept = |metadata: &Metadata| -> Vec<(Vec<u8>, Vec<u8>)> {
        let all = metadata.xattrs.iter().filter(|(name, _)| belongs_in_layer(name));
        all.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    a.xattrs == b.xattrs || kept(a) == kept(b)
}

/// A file of the lower tree, to compare with.
pub(super) struct Comparison<'a> {
    pub(super) layers: &'a [LayerTar],
    pub(super) node: &'a Node,
}

impl Comparison<'_> {
    /// Whether a file is the same, its content included: times are set back by many a tool, so that
    /// they prove nothing.
    pub(super) fn same_file(
        &self,
        file: &File,
        metadata: &Metadata,
        size: u64,
    ) -> Result<bool, Error> {
        match &self.node.kind {
            NodeKind::File { layer, content }
                if content.size == size && same_metadata(metadata, &self.node.metadata) =>
            {
                let tar = self.layers.get(*layer as usize).ok_or(Error::MissingLayer(*layer))?;
                let compare = || same_content(file, &File::open(&tar.path)?, content);
                compare().map_err(Error::io("compare with", &tar.path))
            }
            _ => Ok(false),
        }
    }
}

fn same_content(file: &File, tar: &File, content: &FileContent) -> io::Result<bool> {
    let (mut upper, mut lower) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut offset = 0;
    while offset < content.size {
        let length = (content.size - offset).min(CHUNK as u64) as usize;
        file.read_exact_at(&mut upper[..length], offset)?;
        let read = |part: &mut [u8], from| tar.read_exact_at(part, from);
        content.read_at(offset, &mut lower[..length], read)?;
        if upper[..length] != lower[..length] {
            return Ok(false);
        }
        offset += length as u64;
    }
    Ok(true)
}
