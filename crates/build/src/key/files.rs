//! The content of files: what the result of a copy depends on.

use tree::Metadata;

use super::{Hash, Key};
use crate::copy::Piece;
use crate::source::{File, Item, ItemKind};

/// Everything but the bytes of files: names, types, modes, owners, sizes. Two copies with different
/// shapes have different contents, which is told without reading a file.
pub(crate) fn shape(pieces: &[Piece]) -> Key {
    let mut hash = Hash::new("shape/2");
    each(pieces, &mut hash, |_, _| {});
    hash.key()
}

/// The shape and the bytes. `None` while a file's digest is unknown.
pub(crate) fn content(pieces: &[Piece]) -> Option<Key> {
    let mut hash = Hash::new("content/2");
    let mut complete = true;
    each(pieces, &mut hash, |hash, file| match file.digest.get() {
        Some(digest) => hash.add("digest", digest),
        None => complete = false,
    });
    complete.then(|| hash.key())
}

fn each(pieces: &[Piece], hash: &mut Hash, mut file: impl FnMut(&mut Hash, &File)) {
    for piece in pieces {
        hash.add("piece", &piece.name);
        hash.add("directory", &[piece.directory, piece.unpack].map(u8::from));
        for item in &piece.items {
            // A directory whose contents are copied gives nothing of itself.
            if !(piece.directory && item.path.is_root()) {
                add(item, hash);
            }
            if let ItemKind::File(of) = &item.kind {
                file(hash, of);
            }
        }
    }
}

fn add(item: &Item, hash: &mut Hash) {
    let Metadata { mode, uid, gid, mtime: _, xattrs } = &item.metadata;
    let mut numbers = [0_u8; 10];
    numbers[..2].copy_from_slice(&mode.to_le_bytes());
    numbers[2..6].copy_from_slice(&uid.to_le_bytes());
    numbers[6..].copy_from_slice(&gid.to_le_bytes());
    hash.add("path", item.path.as_bytes());
    hash.add("mode", &numbers);
    for (name, value) in xattrs {
        hash.add("xattr", name);
        hash.add("value", value);
    }
    let device = |device: &tree::Device| {
        ((u64::from(device.major) << 32) | u64::from(device.minor)).to_le_bytes()
    };
    match &item.kind {
        ItemKind::Directory => hash.add("folder", b""),
        ItemKind::File(file) => hash.add("file", &file.size.to_le_bytes()),
        ItemKind::Symlink(target) => hash.add("symlink", target),
        ItemKind::HardLink(to) => hash.add("link", to.as_bytes()),
        ItemKind::CharDevice(of) => hash.add("char", &device(of)),
        ItemKind::BlockDevice(of) => hash.add("block", &device(of)),
        ItemKind::Fifo => hash.add("fifo", b""),
    }
}
