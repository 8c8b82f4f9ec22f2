//! Walking a context directory: one statx per file, in two threads where there is enough to see.
//!
//! Directories are opened one after the other and closed before the next, so that neither the stack
//! nor the table of open files grows with their depth.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use dockerfile::Descent;
use rustix::fs::{AtFlags, FileType, OFlags, Statx, StatxFlags, statx};
use tree::{Device, LayerPath, Metadata};

use super::directory::{Directory, file_type, join, metadata};
use super::{Item, ItemKind};
use crate::Error;

/// From this many directories on, a second thread is worth its start.
const ENOUGH: usize = 8;

/// How deep the walk looks for that many.
const LEVELS: usize = 4;

/// What a walk has found, in order: something done, or a directory that is still to be looked into.
enum Slot {
    Item(Item),
    Folder(LayerPath, Metadata),
}

/// All that is at and below `path`, sorted, what is ignored left out. A directory that is ignored but
/// may hold what is not is there, too: see [`super::prune`].
pub(super) fn walk(directory: &Directory, path: &LayerPath) -> Result<Vec<Item>, Error> {
    let file = directory.open_beneath(path, OFlags::PATH | OFlags::NOFOLLOW)?;
    let stat = statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
        .map_err(|error| Error::io("look at", directory.host_path(path), error))?;
    let walk = Walk { directory, prefix: path.as_bytes().len() };
    if file_type(&stat) != FileType::Directory {
        let folder =
            directory.open_beneath(&path.parent().unwrap_or_default(), OFlags::DIRECTORY)?;
        let name = path.name().unwrap_or_default();
        return Ok(walk.leaf(&folder, name, path.clone(), &stat)?.into_iter().collect());
    }
    let mut slots = vec![Slot::Folder(path.clone(), metadata(&stat))];
    for _ in 0..LEVELS {
        if (1..ENOUGH).contains(&folders(&slots)) {
            slots = walk.expanded(slots)?;
        }
    }
    walk.finish(slots)
}

fn folders(slots: &[Slot]) -> usize {
    slots.iter().filter(|slot| matches!(slot, Slot::Folder(..))).count()
}

#[derive(Clone, Copy)]
struct Walk<'a> {
    directory: &'a Directory,
    /// The length of the walked root's own path.
    prefix: usize,
}

impl Walk<'_> {
    /// One level deeper.
    fn expanded(&self, slots: Vec<Slot>) -> Result<Vec<Slot>, Error> {
        let mut deeper = Vec::with_capacity(slots.len());
        for slot in slots {
            match slot {
                Slot::Item(item) => deeper.push(Slot::Item(item)),
                Slot::Folder(path, metadata) => self.folder(&path, metadata, &mut deeper)?,
            }
        }
        Ok(deeper)
    }

    /// Looks into what is left, side by side where that pays.
    fn finish(&self, slots: Vec<Slot>) -> Result<Vec<Item>, Error> {
        let next = AtomicUsize::new(0);
        let work = || self.work(&slots, &next);
        let (mut found, second) = match folders(&slots) >= ENOUGH {
            false => (work()?, Vec::new()),
            true => std::thread::scope(|scope| {
                let other = scope.spawn(work);
                let mine = work();
                let panicked = |_| Err(Error::internal("a thread that walks ended"));
                Ok::<_, Error>((mine?, other.join().unwrap_or_else(panicked)?))
            })?,
        };
        found.extend(second);
        found.sort_unstable_by_key(|(index, _)| *index);
        let mut found = found.into_iter().map(|(_, items)| items);
        let mut items = Vec::new();
        for slot in slots {
            match slot {
                Slot::Item(item) => items.push(item),
                Slot::Folder(..) => items.extend(found.next().unwrap_or_default()),
            }
        }
        Ok(items)
    }

    /// Takes directories until none is left: what is in each, by its place among the slots.
    fn work(&self, slots: &[Slot], next: &AtomicUsize) -> Result<Vec<(usize, Vec<Item>)>, Error> {
        let mut found = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            match slots.get(index) {
                Some(Slot::Folder(path, metadata)) => {
                    found.push((index, self.all_below(path, metadata.clone())?));
                }
                Some(Slot::Item(_)) => {}
                None => return Ok(found),
            }
        }
    }

    fn all_below(&self, path: &LayerPath, metadata: Metadata) -> Result<Vec<Item>, Error> {
        let mut items = Vec::new();
        // The next one is at the end.
        let mut open = vec![Slot::Folder(path.clone(), metadata)];
        let mut level = Vec::new();
        while let Some(slot) = open.pop() {
            match slot {
                Slot::Item(item) => items.push(item),
                Slot::Folder(path, metadata) => {
                    self.folder(&path, metadata, &mut level)?;
                    open.extend(level.drain(..).rev());
                }
            }
        }
        Ok(items)
    }

    /// A directory itself, and what is right in it.
    fn folder(
        &self,
        path: &LayerPath,
        metadata: Metadata,
        out: &mut Vec<Slot>,
    ) -> Result<(), Error> {
        let folder = self.directory.open_beneath(path, OFlags::DIRECTORY)?;
        let item = Item { path: self.below(path)?, metadata, kind: ItemKind::Directory };
        out.push(Slot::Item(item));
        for name in self.directory.names(&folder, path)? {
            out.extend(self.child(&folder, &name, path)?);
        }
        Ok(())
    }

    fn child(
        &self,
        folder: &OwnedFd,
        name: &[u8],
        parent: &LayerPath,
    ) -> Result<Option<Slot>, Error> {
        let Some(stat) = self.directory.stat(folder, name, parent)? else { return Ok(None) };
        let path = join(parent, name)?;
        let ignored = &self.directory.ignored;
        if file_type(&stat) != FileType::Directory {
            if !ignored.is_empty() && ignored.matches(path.as_bytes()) {
                return Ok(None);
            }
            return Ok(self.leaf(folder, name, path, &stat)?.map(Slot::Item));
        }
        let skipped = !ignored.is_empty() && ignored.directory(path.as_bytes()) == Descent::Skip;
        Ok((!skipped).then(|| Slot::Folder(path, metadata(&stat))))
    }

    /// Anything but a directory. A socket is nothing: it means nothing without its process.
    fn leaf(
        &self,
        folder: &OwnedFd,
        name: &[u8],
        path: LayerPath,
        stat: &Statx,
    ) -> Result<Option<Item>, Error> {
        let device = Device { major: stat.stx_rdev_major, minor: stat.stx_rdev_minor };
        let kind = match file_type(stat) {
            FileType::RegularFile => ItemKind::File(self.directory.file(&path, stat)),
            FileType::Symlink => ItemKind::Symlink(self.directory.link(folder, name, &path)?),
            FileType::CharacterDevice => ItemKind::CharDevice(device),
            FileType::BlockDevice => ItemKind::BlockDevice(device),
            FileType::Fifo => ItemKind::Fifo,
            _ => return Ok(None),
        };
        let metadata = metadata(stat);
        Ok(Some(Item { path: self.below(&path)?, metadata, kind }))
    }

    /// The path below the walked root.
    fn below(&self, path: &LayerPath) -> Result<LayerPath, Error> {
        LayerPath::new(&path.as_bytes()[self.prefix..]).map_err(|error| Error::path(path, error))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use dockerfile::IgnorePatterns;

    use super::*;

    /// Whatever the number of directories, and so of threads, the order is that of a layer.
    #[test]
    fn sorted_and_complete() {
        for folders in [0, 1, 7, 8, 40] {
            let dir = tempfile::tempdir().unwrap();
            let caches = tempfile::tempdir().unwrap();
            let mut want = vec![LayerPath::root()];
            for number in 0..folders {
                let deep = dir.path().join(format!("{number}/a/b"));
                fs::create_dir_all(&deep).unwrap();
                fs::write(deep.join("file"), "x").unwrap();
                for path in ["", "/a", "/a/b", "/a/b/file"] {
                    want.push(LayerPath::new(format!("{number}{path}")).unwrap());
                }
                fs::write(dir.path().join(format!("{number}-file")), "x").unwrap();
                want.push(LayerPath::new(format!("{number}-file")).unwrap());
            }
            want.sort();
            let context =
                Directory::open_at(dir.path(), IgnorePatterns::default(), caches.path()).unwrap();
            let items = walk(&context, &LayerPath::root()).unwrap();
            let got: Vec<LayerPath> = items.into_iter().map(|item| item.path).collect();
            assert_eq!(got, want, "{folders} folders");
        }
    }

    #[test]
    fn deep_directories_need_no_stack_and_few_descriptors() {
        let dir = tempfile::tempdir().unwrap();
        let caches = tempfile::tempdir().unwrap();
        let depth = 1500;
        let mut at = rustix::fs::open(
            dir.path(),
            OFlags::DIRECTORY | OFlags::RDONLY,
            rustix::fs::Mode::empty(),
        )
        .unwrap();
        for _ in 0..depth {
            rustix::fs::mkdirat(&at, "d", rustix::fs::Mode::RWXU).unwrap();
            let flags = OFlags::DIRECTORY | OFlags::RDONLY;
            at = rustix::fs::openat(&at, "d", flags, rustix::fs::Mode::empty()).unwrap();
        }
        let context =
            Directory::open_at(dir.path(), IgnorePatterns::default(), caches.path()).unwrap();
        assert_eq!(walk(&context, &LayerPath::root()).unwrap().len(), depth + 1);
        drop(context);
        rootfs::remove(&dir.path().join("d")).unwrap();
    }
}
