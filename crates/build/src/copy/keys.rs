//! What the result of a copy depends on: the definition of `COPY` keys, see [`crate::key`].

use tree::Metadata;

use super::{Piece, Place, Sources};
use crate::key::{Definition, Key};
use crate::source::{Directory, File, Item, ItemKind, Source, digest_of};
use crate::{Error, Interrupt};

/// Everything but the bytes of files: names, types, modes, owners, sizes. Two copies with different
/// shapes have different contents, which is told without reading a file.
pub(crate) fn shape(pieces: &[Piece]) -> Key {
    let mut definition = Definition::new("shape/2");
    each(pieces, &mut definition, |_, _| {});
    definition.key()
}

/// The shape and the bytes. `None` while a file's digest is unknown.
pub(crate) fn content(pieces: &[Piece]) -> Option<Key> {
    let mut definition = Definition::new("content/2");
    let mut complete = true;
    each(pieces, &mut definition, |definition, file| match file.digest.get() {
        Some(digest) => definition.add("digest", digest),
        None => complete = false,
    });
    complete.then(|| definition.key())
}

fn each(
    pieces: &[Piece],
    definition: &mut Definition,
    mut file: impl FnMut(&mut Definition, &File),
) {
    for piece in pieces {
        definition.add("piece", &piece.name);
        definition.add("directory", &[piece.directory, piece.unpack].map(u8::from));
        for item in &piece.items {
            // A directory whose contents are copied gives nothing of itself.
            if !(piece.directory && item.path.is_root()) {
                add(item, definition);
            }
            if let ItemKind::File(of) = &item.kind {
                file(definition, of);
            }
        }
    }
}

fn add(item: &Item, definition: &mut Definition) {
    let Metadata { mode, uid, gid, mtime: _, xattrs } = &item.metadata;
    let mut numbers = [0_u8; 10];
    numbers[..2].copy_from_slice(&mode.to_le_bytes());
    numbers[2..6].copy_from_slice(&uid.to_le_bytes());
    numbers[6..].copy_from_slice(&gid.to_le_bytes());
    definition.add("path", item.path.as_bytes());
    definition.add("mode", &numbers);
    for (name, value) in xattrs {
        definition.add("xattr", name);
        definition.add("value", value);
    }
    let device = |device: &tree::Device| {
        ((u64::from(device.major) << 32) | u64::from(device.minor)).to_le_bytes()
    };
    match &item.kind {
        ItemKind::Directory => definition.add("folder", b""),
        ItemKind::File(file) => definition.add("file", &file.size.to_le_bytes()),
        ItemKind::Symlink(target) => definition.add("symlink", target),
        ItemKind::HardLink(to) => definition.add("link", to.as_bytes()),
        ItemKind::CharDevice(of) => definition.add("char", &device(of)),
        ItemKind::BlockDevice(of) => definition.add("block", &device(of)),
        ItemKind::Fifo => definition.add("fifo", b""),
    }
}

/// Reads the files whose digests are unknown, side by side, and remembers them.
pub(crate) fn hash_missing(
    pieces: &[Piece],
    sources: &Sources<'_>,
    interrupt: &Interrupt,
) -> Result<(), Error> {
    let unknown =
        |item: &&Item| matches!(&item.kind, ItemKind::File(file) if file.digest.get().is_none());
    let missing: Vec<(&Item, Place)> = pieces
        .iter()
        .flat_map(|piece| piece.items.iter().filter(unknown).map(|item| (item, piece.place)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let share = missing.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let workers: Vec<_> = missing
            .chunks(share)
            .map(|chunk| {
                let mut chunk = chunk.iter();
                scope.spawn(move || {
                    chunk.try_for_each(|(item, place)| hash(item, sources.at(*place)?, interrupt))
                })
            })
            .collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Result<(), Error>>| {
            worker.join().unwrap_or_else(|_| Err(Error::internal("a thread that hashes ended")))
        };
        workers.into_iter().try_for_each(join)
    })
}

fn hash(item: &Item, source: Source<'_>, interrupt: &Interrupt) -> Result<(), Error> {
    let xattrs = !item.metadata.xattrs.is_empty();
    let ItemKind::File(file) = &item.kind else { return Ok(()) };
    let mut reading = source.open(file)?;
    let digest = digest_of(&mut reading, &|| interrupt.is_set())
        .map_err(|error| Error::io("read", reading.name(), error))?;
    let Some(digest) = digest else { return Err(Error::Interrupted) };
    if let Source::Directory(directory) = source {
        Directory::remember(directory, &reading, digest, xattrs);
    }
    let _ = file.digest.set(digest);
    Ok(())
}
