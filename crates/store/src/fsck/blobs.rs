//! Files against the digests in their names, on all cores.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::num::NonZero;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use image::Digest;
use sha2::{Digest as _, Sha256};
use tree::Changeset;

use super::Check;
use crate::layer::MAX_TOC;
use crate::{Error, files};

/// What is wrong with a blob.
pub(super) type Damaged = HashMap<Digest, String>;

/// A file that should have a digest.
struct Named {
    path: PathBuf,
    want: Digest,
    inode: (u64, u64),
}

impl Check<'_> {
    /// Checks the blobs, and the layers' tars with them: most are the same files. Gives the damaged.
    pub(super) fn blobs(&mut self) -> Result<Damaged, Error> {
        let directory = self.store.root().join("blobs/sha256");
        let mut named = Vec::new();
        let mut damaged = Damaged::new();
        for name in files::names(&directory)? {
            let path = directory.join(&name);
            self.report.files += 1;
            match self.named(&path, &name) {
                Ok(file) => named.push(file),
                Err(what) => {
                    if let Ok(digest) = Digest::from_hex(&name) {
                        damaged.insert(digest, what.clone());
                    }
                    self.worthless(path, what)?;
                }
            }
        }
        self.add_layers(&mut named)?;
        if !self.options.quick {
            for (file, fault) in self.differing(named)? {
                let (path, what) = match fault {
                    Fault::Table(toc) => (toc, "it is not the table of its layer".to_owned()),
                    Fault::Bytes(got) => {
                        (file.path.clone(), format!("its bytes have the digest {got}"))
                    }
                };
                if path.starts_with(&directory) {
                    damaged.insert(file.want, what.clone());
                    self.twin(&file, &what)?;
                }
                self.worthless(path, what)?;
            }
        }
        Ok(damaged)
    }

    /// A blob that is a regular file with a digest for a name.
    fn named(&self, path: &Path, name: &str) -> Result<Named, String> {
        let want = Digest::from_hex(name).map_err(|_| "its name is no digest".to_owned())?;
        let found = fs::symlink_metadata(path).map_err(|error| error.to_string())?;
        match found.is_file() {
            true => Ok(Named { path: path.to_owned(), want, inode: (found.dev(), found.ino()) }),
            false => Err("it is no regular file".to_owned()),
        }
    }

    /// The tars of layers that are not the same file as a blob of that digest.
    fn add_layers(&mut self, named: &mut Vec<Named>) -> Result<(), Error> {
        let directory = self.store.tare("layers");
        let known: HashMap<_, _> = named.iter().map(|file| (file.inode, file.want)).collect();
        for name in files::names(&directory)? {
            let Some(hex) = name.strip_suffix(".tar") else { continue };
            let path = directory.join(&name);
            self.report.files += 1;
            match self.named(&path, hex) {
                Ok(file) if known.get(&file.inode) == Some(&file.want) => {}
                Ok(file) => named.push(file),
                Err(what) => self.worthless(path, what)?,
            }
        }
        Ok(())
    }

    /// A damaged blob that is a layer's tar by another name.
    fn twin(&mut self, blob: &Named, what: &str) -> Result<(), Error> {
        let tar = self.store.tare("layers").join(format!("{}.tar", blob.want.hex()));
        match fs::symlink_metadata(&tar) {
            Ok(found) if (found.dev(), found.ino()) == blob.inode => self.worthless(tar, what),
            _ => Ok(()),
        }
    }

    /// Reads the files; each that is wrong with what is. One that is gone meanwhile is nobody's.
    fn differing(&self, named: Vec<Named>) -> Result<Vec<(Named, Fault)>, Error> {
        let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
        let found: Vec<_> = named.iter().map(|_| Mutex::new(None)).collect();
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = named.get(number).filter(|_| !self.stopped()) else { return };
                match self.read(file) {
                    Ok(fault) => *locked(&found[number]) = fault,
                    Err(error) if files::is_absent(&error) => {}
                    Err(error) => {
                        locked(&failure).get_or_insert(Error::io("read", &file.path)(error));
                        return;
                    }
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..thread::available_parallelism().map_or(1, NonZero::get) {
                scope.spawn(work);
            }
            work();
        });
        if let Some(error) = locked(&failure).take() {
            return Err(error);
        }
        if self.stopped() {
            return Err(Error::Stopped);
        }
        let found = found.into_iter().map(|slot| locked(&slot).take());
        Ok(named.into_iter().zip(found).filter_map(|(file, fault)| Some((file, fault?))).collect())
    }

    /// Reads a file once: its digest, and where it is a layer with a table of contents, what it has.
    fn read(&self, file: &Named) -> io::Result<Option<Fault>> {
        let toc = self.store.tare("layers").join(format!("{}.toc", file.want.hex()));
        let table = files::read_optional(&toc, MAX_TOC).ok().flatten();
        let table = table.and_then(|bytes| Changeset::decode(&bytes).ok());
        let mut input = Hashed { file: files::open(&file.path)?, sha: Sha256::new(), check: self };
        let read = table
            .as_ref()
            .map(|_| Changeset::read_tar(BufReader::with_capacity(BUFFER, &mut input)).ok());
        io::copy(&mut BufReader::with_capacity(BUFFER, &mut input), &mut io::sink())?;
        let got = Digest::from_bytes(input.sha.finalize().into());
        if got != file.want {
            return Ok(Some(Fault::Bytes(got)));
        }
        Ok(read.filter(|read| *read != table).map(|_| Fault::Table(toc)))
    }
}

/// What is wrong with a file that was read.
enum Fault {
    /// It has another digest than its name.
    Bytes(Digest),
    /// The table of contents beside it is another layer's.
    Table(PathBuf),
}

/// How much is read at once, in bytes.
const BUFFER: usize = 256 << 10;

/// A file whose bytes are hashed and counted as they are read.
struct Hashed<'a> {
    file: File,
    sha: Sha256,
    check: &'a Check<'a>,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.check.stopped() {
            return Ok(0); // Who asks for the digest is told.
        }
        let count = self.file.read(buffer)?;
        self.sha.update(&buffer[..count]);
        if let Some(read) = self.check.options.read {
            read.fetch_add(count as u64, Ordering::Relaxed);
        }
        Ok(count)
    }
}

fn locked<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
