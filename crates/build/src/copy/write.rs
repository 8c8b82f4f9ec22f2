//! A copy's layer: each file is read once, hashed on the way where its digest is not known yet.

use std::collections::BTreeMap;
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};
use tree::{Entry, EntryKind, LayerPath, LayerSink, LayerWriter};

use super::{Placed, Sources};
use crate::source::{File, Item, ItemKind, Source};
use crate::{Error, Interrupt};

/// Writes what was placed, in order.
pub(crate) fn write<W: LayerSink>(
    placed: &BTreeMap<LayerPath, Placed>,
    sources: &Sources<'_>,
    out: &mut LayerWriter<W>,
    interrupt: &Interrupt,
) -> Result<(), Error> {
    for placed in placed.values() {
        let from = sources.at(placed.place)?;
        item(&placed.item, &from, out, interrupt)?;
    }
    Ok(())
}

fn item<W: LayerSink>(
    item: &Item,
    source: &Source<'_>,
    out: &mut LayerWriter<W>,
    interrupt: &Interrupt,
) -> Result<(), Error> {
    let kind = match &item.kind {
        ItemKind::File(of) => return file(item, of, source, out, interrupt),
        ItemKind::Directory => EntryKind::Directory,
        ItemKind::Symlink(target) => EntryKind::Symlink(target.clone()),
        ItemKind::HardLink(to) => EntryKind::HardLink(to.clone()),
        ItemKind::CharDevice(device) => EntryKind::CharDevice(*device),
        ItemKind::BlockDevice(device) => EntryKind::BlockDevice(*device),
        ItemKind::Fifo => EntryKind::Fifo,
    };
    out.append(&Entry { path: item.path.clone(), kind, metadata: item.metadata.clone() })?;
    Ok(())
}

fn file<W: LayerSink>(
    item: &Item,
    file: &File,
    source: &Source<'_>,
    out: &mut LayerWriter<W>,
    interrupt: &Interrupt,
) -> Result<(), Error> {
    let mut reading = source.open(file)?;
    let hasher = file.digest.get().is_none().then(Sha256::new);
    let mut teed = Tee { reader: &mut reading, hasher, interrupt };
    let written = out.append_file(&item.path, &item.metadata, file.size, &mut teed);
    if interrupt.is_set() {
        return Err(Error::Interrupted);
    }
    let digest: Option<[u8; 32]> = teed.hasher.take().map(|hasher| hasher.finalize().into());
    written?;
    let Some(digest) = digest else { return Ok(()) };
    let _ = file.digest.set(digest);
    if let Source::Directory(directory) = source {
        directory.remember(&reading, digest);
    }
    Ok(())
}

/// Hashes what goes by, and stops when the build is to stop.
struct Tee<'a, R> {
    reader: R,
    hasher: Option<Sha256>,
    interrupt: &'a Interrupt,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.interrupt.is_set() {
            return Err(io::Error::other("interrupted"));
        }
        let count = self.reader.read(buffer)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..count]);
        }
        Ok(count)
    }
}
