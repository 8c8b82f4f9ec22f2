//! Compressed layers, kept for the next time.
//!
//! ```text
//! tare/layers/DIFF.gzip-5        the compressed layer
//! tare/layers/DIFF.gzip-5.json   { digest, size }: there when the other is whole
//! ```
//!
//! They go with the layer: gc removes what begins with a diff ID that nobody names.

use std::fs::{self, File};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use image::media_type::Compression;
use image::{DiffId, Digest};
use serde::{Deserialize, Serialize};

use super::compress::compress;
use super::{Content, Recipe, Watch};
use crate::blob::Hash;
use crate::temp::Temp;
use crate::{Error, Layer, Store, files};

/// The largest record, in bytes.
const MAX_RECORD: u64 = 1 << 16;

#[derive(Serialize, Deserialize)]
struct Record {
    digest: String,
    size: u64,
}

impl Store {
    /// The layer compressed by this recipe, if that was done before.
    pub(super) fn remembered(
        &self,
        diff_id: &DiffId,
        recipe: Recipe,
    ) -> Result<Option<(Digest, u64)>, Error> {
        let path = self.layer_path(diff_id, &recipe.extension());
        let record = path.with_extension(format!("{}.json", recipe.extension()));
        let Some(bytes) = files::read_optional(&record, MAX_RECORD)? else { return Ok(None) };
        let record: Option<Record> = serde_json::from_slice(&bytes).ok();
        Ok(record.and_then(|record| {
            let whole = fs::metadata(&path).is_ok_and(|it| it.len() == record.size);
            Some((record.digest.parse().ok()?, record.size)).filter(|_| whole)
        }))
    }

    /// The digests that a layer has compressed, in every form that is remembered.
    pub(super) fn remembered_forms(&self, diff_id: &DiffId) -> Result<Vec<Digest>, Error> {
        let mut digests = Vec::new();
        for (compression, levels) in [(Compression::Gzip, 0..=9), (Compression::Zstd, 1..=22)] {
            for level in levels {
                let recipe = Recipe::new(compression, Some(level)).ok();
                let found = recipe.map(|recipe| self.remembered(diff_id, recipe)).transpose()?;
                digests.extend(found.flatten().map(|(digest, _)| digest));
            }
        }
        Ok(digests)
    }

    /// The layer in a recipe's form: the tar itself, what is remembered, or what is made now.
    pub(super) fn pressed(
        &self,
        layer: &Layer,
        recipe: Recipe,
        watch: &Watch<'_>,
    ) -> Result<Content, Error> {
        if recipe.compression() == Compression::None {
            let digest = *layer.diff_id.digest();
            return Ok(Content { digest, size: layer.size, path: layer.tar.clone() });
        }
        let path = self.layer_path(&layer.diff_id, &recipe.extension());
        let (digest, size) = match self.remembered(&layer.diff_id, recipe)? {
            Some(found) => found,
            None => self.press(layer, recipe, watch)?,
        };
        Ok(Content { digest, size, path })
    }

    fn press(
        &self,
        layer: &Layer,
        recipe: Recipe,
        watch: &Watch<'_>,
    ) -> Result<(Digest, u64), Error> {
        let _session = self.session()?;
        let path = self.layer_path(&layer.diff_id, &recipe.extension());
        (watch.hear)(super::Event::Compressing { diff_id: layer.diff_id, size: layer.size });
        let tar = File::open(&layer.tar).map_err(Error::io("open", &layer.tar))?;
        let mut target = Target { temp: self.temp()?, hash: Hash::new(), size: 0 };
        let heed = |bytes| {
            (watch.hear)(super::Event::Compressed { diff_id: layer.diff_id, bytes });
            check(watch.stop)
        };
        compress(tar, &mut target, recipe, &heed).map_err(|source| {
            if watch.stop.load(Ordering::Relaxed) {
                return Error::Stopped;
            }
            Error::io("compress", &layer.tar)(source)
        })?;
        let Target { temp, hash, size } = target;
        let digest = hash.finish();
        temp.sync()?;
        {
            let _names = self.lock_names()?;
            temp.publish(&path)?;
        }
        let record = Record { digest: digest.to_string(), size };
        let bytes = serde_json::to_vec(&record)
            .map_err(|source| Error::Serialize { media_type: "record".to_owned(), source })?;
        let extension = format!("{}.json", recipe.extension());
        self.write_file(&path.with_extension(extension), &bytes)?;
        (watch.hear)(super::Event::CompressedAll { diff_id: layer.diff_id, size });
        Ok((digest, size))
    }
}

fn check(stop: &AtomicBool) -> io::Result<()> {
    match stop.load(Ordering::Relaxed) {
        true => Err(io::Error::other("stopped")),
        false => Ok(()),
    }
}

/// A file in the making, hashed as it grows.
struct Target {
    temp: Temp,
    hash: Hash,
    size: u64,
}

impl io::Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write_all(&mut self.temp.file(), bytes)?;
        self.temp.write_early(self.size, self.size + bytes.len() as u64);
        self.size += bytes.len() as u64;
        self.hash.data(bytes.to_vec().into());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
