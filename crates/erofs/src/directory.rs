//! Directories: blocks of fixed records, then the names that these point to. The records are sorted
//! by name over all blocks, `.` and `..` among them, since the kernel searches by halving.

use tree::{Names, NodeId, NodeKind};

use crate::layout::Layout;
use crate::{BLOCK, put};

const RECORD: usize = 12;

/// A directory's type in a record.
const TYPE_DIRECTORY: u8 = 2;

/// The size of the directory in bytes. All blocks but the last count in full.
pub(crate) fn size(names: &Names) -> u64 {
    let (mut full, mut used) = (0, 0);
    for name in with_dots(names) {
        let length = RECORD + name.len();
        if used + length > BLOCK as usize {
            (full, used) = (full + 1, 0);
        }
        used += length;
    }
    full * BLOCK + used as u64
}

/// Where a directory and its parent are.
pub(crate) struct Numbers {
    pub(crate) own: u64,
    pub(crate) parent: u64,
}

/// Writes the directory into `data`, which has the right size; `kind_of` gives a node's kind.
pub(crate) fn write<'t>(
    data: &mut [u8],
    names: &Names,
    numbers: &Numbers,
    layout: &Layout,
    kind_of: impl Fn(NodeId) -> &'t NodeKind,
) {
    let target = |name: &[u8]| match name {
        b"." => (numbers.own, TYPE_DIRECTORY),
        b".." => (numbers.parent, TYPE_DIRECTORY),
        name => {
            let id = names[name];
            (layout.numbers[id.index()], file_type(kind_of(id)))
        }
    };
    let mut names = with_dots(names).peekable();
    for block in data.chunks_mut(BLOCK as usize) {
        let (mut group, mut used) = (Vec::with_capacity(16), 0);
        while let Some(name) = names.next_if(|name| used + RECORD + name.len() <= BLOCK as usize) {
            used += RECORD + name.len();
            group.push(name);
        }
        write_block(block, &group, target);
    }
}

fn write_block(block: &mut [u8], group: &[&[u8]], target: impl Fn(&[u8]) -> (u64, u8)) {
    let mut name_at = group.len() * RECORD;
    for (index, name) in group.iter().enumerate() {
        let record = &mut block[index * RECORD..];
        let (number, file_type) = target(name);
        put(record, 0, number.to_le_bytes());
        put(record, 8, (name_at as u16).to_le_bytes());
        record[10] = file_type;
        block[name_at..name_at + name.len()].copy_from_slice(name);
        name_at += name.len();
    }
}

/// The names with the two that the tree does not have, in order.
fn with_dots(names: &Names) -> impl Iterator<Item = &[u8]> {
    let mut names = names.keys().map(|name| &name[..]).peekable();
    let mut dots = [&b"."[..], b".."].into_iter().peekable();
    std::iter::from_fn(move || match dots.peek() {
        Some(&dot) => names.next_if(|&name| name < dot).or_else(|| dots.next()),
        None => names.next(),
    })
}

/// The kernel's types of directory records (`include/linux/fs_types.h`).
fn file_type(kind: &NodeKind) -> u8 {
    match kind {
        NodeKind::File { .. } => 1,
        NodeKind::Directory(_) => TYPE_DIRECTORY,
        NodeKind::CharDevice(_) => 3,
        NodeKind::BlockDevice(_) => 4,
        NodeKind::Fifo => 5,
        NodeKind::Symlink(_) => 7,
    }
}
