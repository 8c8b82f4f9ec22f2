//! Build cache records: a key, some bytes, and what they keep alive. One small file each.
//!
//! ```text
//! {"key":…,"blobs":[…],"crc":…,"size":…}\n VALUE
//! ```
//!
//! Records are not synced: after a power loss one may be cut off. Its checksum tells, and it counts as
//! absent. What it refers to was synced before.
//!
//! A record's time of modification says when a process last wanted it: that at which the process had
//! opened the store, so that what one build uses is of one age. Its time of change is that of the last
//! use itself: gc leaves to processes at work what they have found.

use std::path::{Path, PathBuf};

use image::Digest;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
use serde::{Deserialize, Serialize};

use crate::{Error, Store, files};

/// The largest record, in bytes.
const MAX_RECORD: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
struct Header {
    key: String,
    blobs: Vec<Digest>,
    crc: u32,
    size: usize,
}

impl Store {
    /// The value that was put under `key`, or `None`. A process that holds a lease keeps what it gets
    /// here, and all that the record refers to.
    ///
    /// # Errors
    /// The record is there and cannot be read.
    pub fn cache_get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = self.record_path(key);
        // gc sees the use of a record, or is over with it. Where nothing may be written there is no gc.
        let _names = self.lock_names().ok();
        self.note_use(&path);
        let bytes = files::read_optional(&path, MAX_RECORD)?;
        Ok(bytes.and_then(|bytes| {
            let (header, start) = split(&bytes)?;
            (header.key == key).then(|| bytes[start..].to_vec())
        }))
    }

    /// Puts `value` under `key`, in place of what is there. As long as the record is there, gc keeps
    /// `blobs`: blobs, layers by diff ID, stacks by chain ID; manifests with all they refer to.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn cache_put(&self, key: &str, value: &[u8], blobs: &[Digest]) -> Result<(), Error> {
        let header = Header {
            key: key.to_owned(),
            blobs: blobs.to_vec(),
            crc: checksum(value),
            size: value.len(),
        };
        let mut bytes = serde_json::to_vec(&header)
            .map_err(|source| Error::Serialize { media_type: "cache record".to_owned(), source })?;
        bytes.push(b'\n');
        bytes.extend_from_slice(value);
        let path = self.record_path(key);
        // Replacing a file costs a hundred times as much as reading it.
        if files::read_optional(&path, MAX_RECORD)?.as_ref() != Some(&bytes) {
            self.write_file(&path, &bytes)?;
        }
        self.note_use(&path);
        Ok(())
    }

    /// What a record keeps alive; one that is not whole, nothing.
    pub(crate) fn record_holds(path: &Path) -> Result<Vec<Digest>, Error> {
        let bytes = files::read_optional(path, MAX_RECORD)?.unwrap_or_default();
        Ok(split(&bytes).map(|(header, _)| header.blobs).unwrap_or_default())
    }

    /// Only where that fails, because of a store that may not be written, the record seems older.
    fn note_use(&self, path: &Path) {
        let same = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps { last_access: same, last_modification: self.opened };
        let _ = utimensat(CWD, path, &times, AtFlags::empty());
    }

    fn record_path(&self, key: &str) -> PathBuf {
        self.tare("build/records").join(Digest::of(key).hex())
    }
}

/// The header of a whole record, and where the value starts.
fn split(bytes: &[u8]) -> Option<(Header, usize)> {
    let start = bytes.iter().position(|&byte| byte == b'\n')? + 1;
    let header: Header = serde_json::from_slice(&bytes[..start]).ok()?;
    let value = &bytes[start..];
    (header.size == value.len() && header.crc == checksum(value)).then_some((header, start))
}

fn checksum(value: &[u8]) -> u32 {
    crc32fast::hash(value)
}
