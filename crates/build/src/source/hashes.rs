//! Which bytes a file of the build context had when it was last read, so that it is not read again.
//!
//! As git's index does, a file is taken to be unchanged while its device, inode, size, modification
//! time and change time are. One file per context directory, in the store's build folder:
//!
//! ```text
//! "TAREHSH2"  checksum of the rest (u64)  entries of 80 bytes, sorted by device and inode
//! ```
//!
//! It is a cache: unreadable or damaged content counts as empty. Builds at the same time each
//! replace it by rename; the last one wins and nothing breaks. A file that changed in the last
//! moments before it was read is not remembered, for it could change again within the same tick of
//! the clock ("racy" in git's words).

use std::cmp::Ordering;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::Hasher as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::fs::Statx;
use rustix::time::{ClockId, clock_gettime};

const MAGIC: &[u8; 8] = b"TAREHSH2";
const HEAD: usize = 16;
const ENTRY: usize = 80;

/// The kernel stamps files with a clock that ticks every 1 to 10 ms; twice that is safe.
const RACY_NANOSECONDS: i128 = 20_000_000;

/// The caches of this many contexts are kept.
const MAX_CONTEXTS: usize = 256;

/// Unseen entries are kept until they outnumber the seen ones by this many.
const UNSEEN_KEPT: usize = 65_536;

/// What must stay the same for a file to count as unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, u32),
    changed: (i64, u32),
}

impl Identity {
    pub(crate) fn of(stat: &Statx) -> Self {
        Self {
            device: (u64::from(stat.stx_dev_major) << 32) | u64::from(stat.stx_dev_minor),
            inode: stat.stx_ino,
            size: stat.stx_size,
            modified: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            changed: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
        }
    }

    /// Which file this is, whatever its names.
    pub(crate) fn inode(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Whether the file could have changed after `now` without showing it.
    fn racy_at(&self, now: i128) -> bool {
        let at = |(seconds, nanoseconds): (i64, u32)| {
            i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
        };
        at(self.changed) + RACY_NANOSECONDS > now
    }
}

/// SHA-256 of a file's bytes.
pub(crate) type Sha256 = [u8; 32];

/// The cache of one context directory. Read when first asked, written by [`FileHashes::save`].
pub(crate) struct FileHashes {
    path: PathBuf,
    old: OnceLock<Vec<u8>>,
    new: Mutex<Vec<[u8; ENTRY]>>,
}

impl FileHashes {
    /// The cache that `path` holds, or will hold.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, old: OnceLock::new(), new: Mutex::default() }
    }

    /// The clock to read before a file is opened to be hashed.
    pub(crate) fn now() -> i128 {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec)
    }

    /// What was remembered of the file with this identity.
    pub(crate) fn get(&self, identity: &Identity) -> Option<Sha256> {
        let entries = self.old.get_or_init(|| load(&self.path).unwrap_or_default());
        let (entries, _) = entries.as_chunks::<ENTRY>();
        let wanted = encode(identity, &[0; 32]);
        let found = entries.binary_search_by(|entry| by_inode(entry, &wanted)).ok()?;
        let entry = &entries[found];
        let same = entry[..48] == wanted[..48];
        same.then(|| entry[48..].try_into().expect("32 bytes"))
    }

    /// Remembers a file that was read after `clock`, unless it was changed too recently to be sure.
    pub(crate) fn put(&self, identity: &Identity, digest: Sha256, clock: i128) {
        if !identity.racy_at(clock) {
            self.lock_new().push(encode(identity, &digest));
        }
    }

    /// Writes what is new. Without news nothing is written.
    ///
    /// # Errors
    /// Those of writing; the cache on disk is then as before.
    pub(crate) fn save(&self) -> io::Result<()> {
        let mut new = std::mem::take(&mut *self.lock_new());
        if new.is_empty() {
            return Ok(());
        }
        new.sort_by(by_inode);
        new.dedup_by(|later, earlier| by_inode(later, earlier) == Ordering::Equal);
        let old = self.old.get().map(Vec::as_slice).unwrap_or_default();
        let (old, _) = old.as_chunks::<ENTRY>();
        let unseen_limit = new.len().saturating_mul(4) + UNSEEN_KEPT;
        let old = if old.len() > unseen_limit { &[] } else { old };
        write(&self.path, &merge(old, &new))
    }

    fn lock_new(&self) -> std::sync::MutexGuard<'_, Vec<[u8; ENTRY]>> {
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn encode(identity: &Identity, digest: &Sha256) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        entry[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(&identity.device.to_be_bytes());
    put(&identity.inode.to_be_bytes());
    put(&identity.size.to_be_bytes());
    put(&identity.modified.0.to_be_bytes());
    put(&identity.modified.1.to_be_bytes());
    put(&identity.changed.0.to_be_bytes());
    put(&identity.changed.1.to_be_bytes());
    put(digest);
    entry
}

fn by_inode(one: &[u8; ENTRY], other: &[u8; ENTRY]) -> Ordering {
    one[..16].cmp(&other[..16])
}

/// Both sorted lists as one; where both have an inode, `new` is right.
fn merge(old: &[[u8; ENTRY]], new: &[[u8; ENTRY]]) -> Vec<u8> {
    let mut merged = Vec::with_capacity((old.len() + new.len()) * ENTRY);
    let mut old = old.iter().peekable();
    for entry in new {
        while let Some(earlier) = old.next_if(|o| by_inode(o, entry) == Ordering::Less) {
            merged.extend_from_slice(earlier);
        }
        old.next_if(|o| by_inode(o, entry) == Ordering::Equal);
        merged.extend_from_slice(entry);
    }
    old.for_each(|entry| merged.extend_from_slice(entry));
    merged
}

fn load(path: &std::path::Path) -> Option<Vec<u8>> {
    let mut bytes = fs::read(path).ok()?;
    let sound = bytes.len() >= HEAD
        && (bytes.len() - HEAD).is_multiple_of(ENTRY)
        && &bytes[..8] == MAGIC
        && bytes[8..HEAD] == checksum(&bytes[HEAD..]);
    sound.then(|| bytes.split_off(HEAD))
}

fn write(path: &std::path::Path, entries: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    let temporary = path.with_extension(format!("{}", crate::names::unique()));
    let written = fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(MAGIC)?;
        file.write_all(&checksum(entries))?;
        file.write_all(entries)
    });
    let renamed = written.and_then(|()| fs::rename(&temporary, path));
    match renamed {
        Ok(()) => prune(folder),
        Err(_) => drop(fs::remove_file(&temporary)),
    }
    renamed
}

/// Contexts come and go; of their caches the youngest are kept.
fn prune(folder: &std::path::Path) {
    let age = |entry: &fs::DirEntry| entry.metadata().and_then(|metadata| metadata.modified()).ok();
    let mut caches: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().collect();
    if caches.len() > MAX_CONTEXTS {
        caches.sort_by_cached_key(age);
        for old in &caches[..caches.len() - MAX_CONTEXTS] {
            let _ = fs::remove_file(old.path());
        }
    }
}

/// Against torn writes, not against attackers: whoever can write here owns the store.
fn checksum(bytes: &[u8]) -> [u8; 8] {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(inode: u64, size: u64) -> Identity {
        Identity { device: 1, inode, size, modified: (5, 6), changed: (7, 8) }
    }

    fn known(byte: u8) -> Sha256 {
        [byte; 32]
    }

    #[test]
    fn remembers_across_saves() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hashes/x");
        let first = FileHashes::at(path.clone());
        for inode in [9, 3, 7] {
            assert_eq!(first.get(&identity(inode, 1)), None);
            first.put(&identity(inode, 1), known(inode as u8), FileHashes::now());
        }
        first.save().unwrap();
        let second = FileHashes::at(path.clone());
        assert_eq!(second.get(&identity(7, 1)), Some(known(7)));
        assert_eq!(second.get(&identity(7, 2)), None, "another size is another file");
        second.put(&identity(7, 2), known(8), FileHashes::now());
        second.save().unwrap();
        let third = FileHashes::at(path);
        assert_eq!(third.get(&identity(7, 2)), Some(known(8)));
        assert_eq!(third.get(&identity(3, 1)), Some(known(3)));
        assert_eq!(third.get(&identity(9, 1)), Some(known(9)));
    }

    #[test]
    fn a_file_changed_just_now_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let hashes = FileHashes::at(folder.path().join("x"));
        let changed_at = 7 * 1_000_000_000 + 8;
        hashes.put(&identity(1, 1), known(1), changed_at + 1_000_000);
        hashes.save().unwrap();
        assert!(!folder.path().join("x").exists());
    }

    #[test]
    fn damage_counts_as_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let hashes = FileHashes::at(path.clone());
        hashes.put(&identity(1, 1), known(1), FileHashes::now());
        hashes.save().unwrap();
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(FileHashes::at(path).get(&identity(1, 1)), None);
    }
}
