//! Inodes, with what stands right behind them.

use tree::{Device, Names, Node, NodeKind, Tree};

use crate::layout::{Body, INODE, Layout, Place};
use crate::{BLOCK, chunks, directory, put, xattrs};

/// The first bit of the format: an extended inode.
const EXTENDED: u16 = 1;

/// How the content is kept, in the next three bits.
const PLAIN: u16 = 0;
const INLINE: u16 = 2;
const CHUNKS: u16 = 4;

/// Writes the inode at `place` with its attributes and its data.
pub(crate) fn write(image: &mut [u8], tree: &Tree, layout: &Layout, place: &Place) {
    let node = tree.node(place.id);
    let at = place.at as usize;
    write_inode(&mut image[at..], tree, layout, place);
    let after = at + INODE as usize;
    let end = after + place.xattrs as usize;
    if place.xattrs > 0 {
        xattrs::write(&mut image[after..end], &node.metadata.xattrs);
    }
    match &place.body {
        Body::Empty => {}
        Body::Inline(length) => {
            let data = &mut image[end..end + *length as usize];
            write_data(data, tree, layout, place);
        }
        Body::Blocks(at, length) => {
            let at = *at as usize;
            write_data(&mut image[at..at + *length as usize], tree, layout, place);
        }
        Body::Chunks(shape) => {
            if let NodeKind::File { layer, content } = &node.kind {
                let at = chunks::table(end as u64) as usize;
                chunks::write(image, at, shape, content, *layer);
            }
        }
    }
}

fn write_inode(inode: &mut [u8], tree: &Tree, layout: &Layout, place: &Place) {
    let node = tree.node(place.id);
    let (kept, size, detail) = match &place.body {
        Body::Empty => (PLAIN, 0, device_number(&node.kind)),
        Body::Inline(length) => (INLINE, *length, 0),
        Body::Blocks(at, length) => (PLAIN, *length, (at / BLOCK) as u32),
        Body::Chunks(shape) => (CHUNKS, file_size(&node.kind), shape.format()),
    };
    let metadata = &node.metadata;
    put(inode, 0x00, (EXTENDED | kept << 1).to_le_bytes());
    put(inode, 0x02, xattrs::count(place.xattrs).to_le_bytes());
    put(inode, 0x04, (type_bits(&node.kind) | metadata.mode).to_le_bytes());
    put(inode, 0x08, size.to_le_bytes());
    put(inode, 0x10, detail.to_le_bytes());
    put(inode, 0x14, (layout.numbers[place.id.index()] as u32).to_le_bytes());
    put(inode, 0x18, metadata.uid.to_le_bytes());
    put(inode, 0x1c, metadata.gid.to_le_bytes());
    put(inode, 0x20, metadata.mtime.seconds.to_le_bytes());
    put(inode, 0x28, metadata.mtime.nanoseconds.to_le_bytes());
    put(inode, 0x2c, links(tree, node).to_le_bytes());
}

fn write_data(data: &mut [u8], tree: &Tree, layout: &Layout, place: &Place) {
    match &tree.node(place.id).kind {
        NodeKind::Symlink(target) => data.copy_from_slice(target),
        NodeKind::Directory(names) => {
            let own = layout.numbers[place.id.index()];
            let numbers = directory::Numbers { own, parent: place.parent };
            directory::write(data, names, &numbers, layout, |id| &tree.node(id).kind);
        }
        _ => {}
    }
}

fn links(tree: &Tree, node: &Node) -> u32 {
    match &node.kind {
        NodeKind::Directory(names) => 2 + subdirectories(tree, names),
        _ => node.links,
    }
}

fn subdirectories(tree: &Tree, names: &Names) -> u32 {
    names.values().filter(|&&id| tree.node(id).is_directory()).count() as u32
}

fn file_size(kind: &NodeKind) -> u64 {
    match kind {
        NodeKind::File { content, .. } => content.size,
        _ => 0,
    }
}

/// The type in the mode (inode(7)).
fn type_bits(kind: &NodeKind) -> u16 {
    match kind {
        NodeKind::Fifo => 0o010_000,
        NodeKind::CharDevice(_) => 0o020_000,
        NodeKind::Directory(_) => 0o040_000,
        NodeKind::BlockDevice(_) => 0o060_000,
        NodeKind::File { .. } => 0o100_000,
        NodeKind::Symlink(_) => 0o120_000,
    }
}

/// A device number as the kernel keeps it on disk (`new_encode_dev`): the low byte of the minor
/// number, the major number, the rest of the minor number.
fn device_number(kind: &NodeKind) -> u32 {
    match *kind {
        NodeKind::CharDevice(Device { major, minor })
        | NodeKind::BlockDevice(Device { major, minor }) => {
            (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
        }
        _ => 0,
    }
}
