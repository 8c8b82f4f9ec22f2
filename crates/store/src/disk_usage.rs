//! How much room files take on a disk.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Adds up bytes on disk. A file with several names counts once, under the first that is met.
#[derive(Debug, Default)]
pub struct DiskUsage {
    /// The files that have several names: by device and inode.
    seen: HashSet<(u64, u64)>,
}

impl DiskUsage {
    /// Bytes of a file, or of a directory with all below it that is on the same file system: what is
    /// mounted there takes room elsewhere. What cannot be read counts nothing.
    pub fn add(&mut self, path: &Path) -> u64 {
        let Ok(metadata) = path.symlink_metadata() else { return 0 };
        self.counted(path, &metadata, metadata.dev())
    }

    fn counted(&mut self, path: &Path, metadata: &Metadata, device: u64) -> u64 {
        let is_other = metadata.dev() != device;
        let has_names = metadata.nlink() > 1 && !metadata.is_dir();
        if is_other || has_names && !self.seen.insert((device, metadata.ino())) {
            return 0;
        }
        let own = room(metadata);
        if !metadata.is_dir() {
            return own;
        }
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let below = entries.map(|entry| match entry.metadata() {
            Ok(metadata) => self.counted(&entry.path(), &metadata, device),
            Err(_) => 0,
        });
        own + below.sum::<u64>()
    }
}

/// Bytes that one file takes.
pub(crate) fn room(metadata: &Metadata) -> u64 {
    metadata.blocks() * 512
}
