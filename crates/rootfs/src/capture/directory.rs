//! A plain directory, which was an image's files, as a layer over that image.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::fstat;
use tree::{Entry, EntryKind, LayerPath, LayerSink, LayerWriter, Metadata};

use super::scan::{self, Found, Scan, What};
use super::{Lower, compare, content, list};
use crate::{Error, Unpacked, open};

/// Writes what was changed in `directory` since `lower` was unpacked into it, to `out`, sorted by path. The time of
/// a directory is a change, too. Sockets are left out, since no layer can hold them.
///
/// # Errors
/// What the disk says, a mount inside, a name that no layer can hold, a file that changes meanwhile, or what the
/// writer says. The layer is then unfinished.
pub fn capture_directory<W: LayerSink>(
    directory: &Path,
    lower: &Lower<'_>,
    unpacked: &Unpacked,
    out: &mut LayerWriter<W>,
) -> Result<(), Error> {
    let root = open::directory(directory)?;
    let Scan { found, inodes } = scan::scan(directory, &root, lower, unpacked)?;
    let mut writer =
        Writer { directory, root, out, inodes, written: HashMap::new(), parents: Vec::new() };
    found.into_iter().try_for_each(|found| writer.take(found))
}

struct Writer<'a, W: LayerSink> {
    directory: &'a Path,
    root: OwnedFd,
    out: &'a mut LayerWriter<W>,
    /// The file of a name that may be one of several.
    inodes: HashMap<LayerPath, u64>,
    /// The name under which such a file is in the layer.
    written: HashMap<u64, LayerPath>,
    /// The directories from the root to the last one, and what is still to be written of them.
    parents: Vec<(LayerPath, Option<Metadata>)>,
}

impl<W: LayerSink> Writer<'_, W> {
    fn take(&mut self, found: Found) -> Result<(), Error> {
        let Found { path, what, changed, .. } = found;
        while self.parents.last().is_some_and(|(parent, _)| !path.starts_with(parent)) {
            self.parents.pop();
        }
        if let What::Directory(metadata) = what {
            // The root is no change of its own accord: a layer need not have it.
            let wanted = changed || !path.is_root();
            self.parents.push((path, wanted.then_some(metadata)));
            return if changed { self.write_parents() } else { Ok(()) };
        }
        if !changed {
            return Ok(());
        }
        self.write_parents()?;
        match what {
            What::Gone => self.append(path, EntryKind::Whiteout, Metadata::default()),
            What::Special(kind, metadata) => match self.first_name(&path) {
                Some(first) => self.append(path, EntryKind::HardLink(first), metadata),
                None => self.append(path, kind, metadata),
            },
            What::File(metadata, stat) => match self.first_name(&path) {
                Some(first) => self.append(path, EntryKind::HardLink(first), metadata),
                None => self.file(&path, &metadata, &stat),
            },
            What::Directory(_) => Ok(()),
        }
    }

    /// Writes the entries of the open directories that have none yet.
    fn write_parents(&mut self) -> Result<(), Error> {
        for (path, metadata) in &mut self.parents {
            if let Some(metadata) = metadata.take() {
                let kind = EntryKind::Directory;
                self.out.append(&Entry { path: path.clone(), kind, metadata })?;
            }
        }
        Ok(())
    }

    /// The name that a file has in the layer already; the first is noted.
    fn first_name(&mut self, path: &LayerPath) -> Option<LayerPath> {
        let inode = *self.inodes.get(path)?;
        let first = self.written.get(&inode).cloned();
        if first.is_none() {
            self.written.insert(inode, path.clone());
        }
        first
    }

    fn append(
        &mut self,
        path: LayerPath,
        kind: EntryKind,
        metadata: Metadata,
    ) -> Result<(), Error> {
        Ok(self.out.append(&Entry { path, kind, metadata })?)
    }

    fn file(
        &mut self,
        path: &LayerPath,
        metadata: &Metadata,
        stat: &rustix::fs::Stat,
    ) -> Result<(), Error> {
        let failed =
            |verb, error| Error::io(verb, &list::on_disk(self.directory, path, b""))(error);
        let file = open::file(&self.root, path.as_bytes()).map_err(|e| failed("open", e))?;
        let file = File::from(file);
        let now = fstat(&file).map_err(|e| failed("read", e))?;
        if !compare::same_state(&now, stat) {
            return Err(Error::Changed(path.clone()));
        }
        content::append(self.out, path, metadata, &file, stat, failed)
    }
}
