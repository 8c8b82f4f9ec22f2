//! The digests of files that are to be copied, as far as they are not known yet.

use super::{Piece, Place, Sources};
use crate::source::{Directory, Item, ItemKind, Source, digest_of};
use crate::{Error, Interrupt};

/// How many bytes there are to copy.
pub(crate) fn size(pieces: &[Piece]) -> u64 {
    let size = |item: &Item| if let ItemKind::File(file) = &item.kind { file.size } else { 0 };
    pieces.iter().flat_map(|piece| &piece.items).map(size).sum()
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
    let ItemKind::File(file) = &item.kind else { return Ok(()) };
    let mut reading = source.open(file)?;
    let digest = digest_of(&mut reading, &|| interrupt.is_set())
        .map_err(|error| Error::io("read", reading.name(), error))?;
    let Some(digest) = digest else { return Err(Error::Interrupted) };
    if let Source::Directory(directory) = source {
        Directory::remember(directory, &reading, digest);
    }
    let _ = file.digest.set(digest);
    Ok(())
}
