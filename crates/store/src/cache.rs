//! Build cache records: a key, some bytes, and what they keep alive. One small file each.
//!
//! ```text
//! {"key":…,"blobs":[…],"crc":…,"size":…}\n VALUE
//! ```
//!
//! Records are not synced: after a power loss one may be cut off. Its checksum tells, and it counts as
//! absent. What it refers to was synced before.

use std::path::PathBuf;

use image::Digest;
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
    /// The value that was put under `key`, or `None`.
    ///
    /// # Errors
    /// The record is there and cannot be read.
    pub fn cache_get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let bytes = files::read_optional(&self.record_path(key), MAX_RECORD)?;
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
        if files::read_optional(&path, MAX_RECORD)?.as_ref() == Some(&bytes) {
            return Ok(());
        }
        self.write_file(&path, &bytes, false)
    }

    /// What each whole record keeps alive.
    pub(crate) fn cache_holds(&self) -> Result<Vec<Digest>, Error> {
        let directory = self.tare("build/records");
        let mut holds = Vec::new();
        for name in files::names(&directory)? {
            if let Some(bytes) = files::read_optional(&directory.join(name), MAX_RECORD)? {
                holds.extend(split(&bytes).into_iter().flat_map(|(header, _)| header.blobs));
            }
        }
        Ok(holds)
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
    let mut crc = flate2::Crc::new();
    crc.update(value);
    crc.sum()
}
