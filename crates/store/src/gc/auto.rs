//! The bound of the build cache that holds without being asked for.
//!
//! ```text
//! tare/build/measured     {"at", "used", "free", "grown"}: when it was measured, what the cache took, what
//!                         was free on the file system, and what builds have written since
//! ```
//!
//! To measure the cache costs a look at every record. So it is done where it may be beyond its bound, by
//! what was written or by what the file system has lost, and once a day.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::{CacheLimit, GcOptions, GcReport};
use crate::{Error, Store, lock};

/// The cache is brought down to this many hundredths of its bound, so that not each build has to.
const TARGET: u64 = 90;
/// What was not used for so long goes in any case.
const MAX_AGE: Duration = Duration::from_secs(60 * 24 * 60 * 60);
/// A measurement counts for so long.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Without a bound of the user's it is this part of the file system, but neither less nor more than these.
const PART: u64 = 10;
const LEAST: u64 = 2_000_000_000;
const MOST: u64 = 100_000_000_000;

#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    /// In seconds since 1970.
    at: u64,
    /// In bytes on disk.
    used: u64,
    /// In bytes.
    free: u64,
    /// In bytes.
    grown: u64,
}

impl Store {
    /// The usual bound of the build cache here, in bytes: a tenth of the file system, at least 2 GB and
    /// at most 100 GB.
    pub fn cache_bound(&self) -> Result<u64, Error> {
        Ok((self.space()?.total / PART).clamp(LEAST, MOST))
    }

    /// Keeps the build cache within `bound` bytes, and what was not used for 60 days out of it; what
    /// goes takes with it what nobody names. Mostly there is nothing to do, which costs a few system
    /// calls: then it is `None`.
    ///
    /// # Errors
    /// As [`Store::gc`].
    pub fn bound_cache(&self, bound: u64) -> Result<Option<GcReport>, Error> {
        let free = self.space()?.free;
        if self.is_within(bound, free)? {
            return Ok(None);
        }
        let collect = |limit| self.collect(GcOptions { dry_run: false, build_cache: &[limit] });
        let mut collected = collect(CacheLimit { unused_for: MAX_AGE, ..CacheLimit::ALL })?;
        if collected.used_bytes > bound {
            let target = Some(bound / 100 * TARGET);
            let more = collect(CacheLimit { max_used: target, ..CacheLimit::ALL })?;
            collected.add(more);
        }
        self.written.store(0, Ordering::Relaxed);
        let (used, free) = (collected.used_bytes, free + collected.report.freed_bytes);
        self.measurements()?.write(&Measured { at: now(), used, free, grown: 0 })?;
        Ok(Some(collected.report))
    }

    /// Whether the cache cannot have grown beyond its bound since it was measured.
    fn is_within(&self, bound: u64, free: u64) -> Result<bool, Error> {
        let mut measurements = self.measurements()?;
        let Some(mut then) = measurements.read() else { return Ok(false) };
        then.grown += self.written.swap(0, Ordering::Relaxed);
        let lost = then.free.saturating_sub(free);
        if then.used + then.grown.max(lost) > bound {
            return Ok(false);
        }
        measurements.write(&then)?;
        Ok(true)
    }

    fn measurements(&self) -> Result<Measurements, Error> {
        let path = self.build_dir().join("measured");
        let options =
            File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(Error::io("open", &path))?;
        lock::wait(&file, FlockOperation::LockExclusive).map_err(Error::sys("lock", &path))?;
        Ok(Measurements { file, path })
    }
}

/// The file of the last measurement, locked. It is written in place: what is cut off is no measurement.
struct Measurements {
    file: File,
    path: PathBuf,
}

impl Measurements {
    /// The measurement, if it still counts.
    fn read(&mut self) -> Option<Measured> {
        let mut text = String::new();
        (&self.file).take(1 << 12).read_to_string(&mut text).ok()?;
        let measured: Measured = serde_json::from_str(&text).ok()?;
        (now().abs_diff(measured.at) < DAY.as_secs()).then_some(measured)
    }

    fn write(&mut self, measured: &Measured) -> Result<(), Error> {
        let text = serde_json::to_vec(measured)
            .map_err(|source| Error::Serialize { media_type: "measurement".to_owned(), source })?;
        let written = self.file.set_len(0).and_then(|()| {
            self.file.rewind()?;
            self.file.write_all(&text)
        });
        written.map_err(Error::io("write", &self.path))
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
