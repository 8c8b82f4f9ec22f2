//! Where each inode goes, and what follows it. All places are known before anything is written, since
//! a directory names its entries by their places.

use tree::{FileContent, Node, NodeId, NodeKind, Tree};

use crate::{BLOCK, Fault, chunks, directory, xattrs};

/// Inodes lie at multiples of this, and are named by them.
const SLOT: u64 = 32;

/// The size of an extended inode.
pub(crate) const INODE: u64 = 64;

/// Data that follows its inode must not cross a block; up to this length a place can always be found.
const MAX_INLINE: u64 = BLOCK - SLOT;

pub(crate) struct Layout {
    /// All inodes in the order of their places.
    pub(crate) places: Vec<Place>,
    /// Inode numbers by [`NodeId::index`].
    pub(crate) numbers: Vec<u64>,
    /// The size of the image, in bytes: whole blocks.
    pub(crate) end: u64,
}

pub(crate) struct Place {
    pub(crate) id: NodeId,
    /// The inode's place in the image, in bytes.
    pub(crate) at: u64,
    /// The size of the extended attributes, in bytes.
    pub(crate) xattrs: u64,
    pub(crate) body: Body,
    /// The inode number of a directory's parent.
    pub(crate) parent: u64,
}

/// The content of a file, as the inode says it.
pub(crate) enum Body {
    /// None.
    Empty,
    /// So many bytes right behind the inode and its attributes.
    Inline(u64),
    /// So many bytes in blocks of the index itself, from this byte on; until all inodes have their
    /// places, from the start of those blocks.
    Blocks(u64, u64),
    /// A table of chunks behind the inode.
    Chunks(chunks::Shape),
}

/// Finds a place for every node, the first at `start`; or tells what is wrong with which node.
pub(crate) fn plan(tree: &Tree, devices: &[u64], start: u64) -> Result<Layout, (NodeId, Fault)> {
    let mut planner = Planner {
        tree,
        devices,
        start,
        layout: Layout {
            places: Vec::with_capacity(tree.len()),
            numbers: vec![UNPLACED; tree.slots()],
            end: start,
        },
        blocks: 0,
    };
    planner.place(tree.root(), 0)?;
    // A directory's entries are placed together, so that listing it with metadata reads few blocks.
    let mut next = 0;
    let mut directories = vec![tree.root()];
    while let Some(&directory) = directories.get(next) {
        next += 1;
        let number = planner.layout.numbers[directory.index()];
        for &id in tree.node(directory).names().into_iter().flat_map(|names| names.values()) {
            if planner.layout.numbers[id.index()] == UNPLACED {
                planner.place(id, number)?;
                if tree.node(id).is_directory() {
                    directories.push(id);
                }
            }
        }
    }
    Ok(planner.finish())
}

const UNPLACED: u64 = u64::MAX;

struct Planner<'t> {
    tree: &'t Tree,
    devices: &'t [u64],
    start: u64,
    layout: Layout,
    /// How many bytes of blocks go behind the inodes.
    blocks: u64,
}

impl Planner<'_> {
    fn place(&mut self, id: NodeId, parent: u64) -> Result<(), (NodeId, Fault)> {
        let node = self.tree.node(id);
        let xattrs = xattrs::size(&node.metadata.xattrs).map_err(|fault| (id, fault))?;
        let body = self.body(node).map_err(|fault| (id, fault))?;
        let head = INODE + xattrs;
        let mut at = self.layout.end.next_multiple_of(SLOT);
        let end = match &body {
            Body::Inline(length) => {
                if (at + head) % BLOCK + length > BLOCK {
                    at = ((at + head).next_multiple_of(BLOCK) - head).next_multiple_of(SLOT);
                }
                at + head + length
            }
            Body::Chunks(shape) => chunks::table(at + head) + shape.table_size(),
            Body::Empty | Body::Blocks(..) => at + head,
        };
        self.layout.numbers[id.index()] = (at - self.start) / SLOT;
        self.layout.places.push(Place { id, at, xattrs, body, parent });
        self.layout.end = end;
        Ok(())
    }

    fn body(&mut self, node: &Node) -> Result<Body, Fault> {
        Ok(match &node.kind {
            NodeKind::Directory(names) => self.data(directory::size(names)),
            NodeKind::Symlink(target) => self.data(target.len() as u64),
            NodeKind::File { layer, content } => self.file(*layer, content)?,
            NodeKind::CharDevice(_) | NodeKind::BlockDevice(_) | NodeKind::Fifo => Body::Empty,
        })
    }

    fn file(&self, layer: u32, content: &FileContent) -> Result<Body, Fault> {
        if content.size == 0 {
            return Ok(Body::Empty);
        }
        let device = self.devices.get(layer as usize).ok_or(Fault::Outside(layer))?;
        Ok(Body::Chunks(chunks::shape(content, layer, *device)?))
    }

    fn data(&mut self, length: u64) -> Body {
        if length <= MAX_INLINE {
            return Body::Inline(length);
        }
        let body = Body::Blocks(self.blocks, length);
        self.blocks += length.next_multiple_of(BLOCK);
        body
    }

    fn finish(mut self) -> Layout {
        let blocks = self.layout.end.next_multiple_of(BLOCK);
        for place in &mut self.layout.places {
            if let Body::Blocks(at, _) = &mut place.body {
                *at += blocks;
            }
        }
        self.layout.end = blocks + self.blocks;
        self.layout
    }
}
