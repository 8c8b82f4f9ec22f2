//! How much of the build cache goes: what was not used for longest, until the rest is within a limit.
//!
//! What an image or a running process holds takes no room of the cache's own. What several records
//! hold goes with the last of them. Of what one build used last, the later steps go before those that
//! they are made from.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use image::Digest;

use super::mark::Marked;
use super::survey::{Survey, Unit};
use crate::disk_usage::room;
use crate::{Error, Store, files};

/// A bound of the build cache, in the terms of BuildKit's. That of default takes all whose layers no
/// image has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheLimit {
    /// Only what was not used for so long goes.
    pub unused_for: Duration,
    /// No more goes than is needed for the cache to take at most so many bytes.
    pub max_used: Option<u64>,
    /// No more goes than is needed to have so many bytes free on the file system.
    pub min_free: Option<u64>,
    /// So many bytes of the cache stay in any case. Alone, it is what the cache is brought down to.
    pub reserved: u64,
    /// Records of layers that an image has go, too. That frees next to nothing.
    pub shared: bool,
}

impl CacheLimit {
    /// No limit at all: everything goes.
    pub const ALL: Self = Self {
        unused_for: Duration::ZERO,
        max_used: None,
        min_free: None,
        reserved: 0,
        shared: true,
    };

    /// How many bytes of `used` may stay, with so many free ones.
    fn keep(&self, used: u64, free: u64) -> u64 {
        let excess = self.min_free.unwrap_or(0).saturating_sub(free);
        let mut keep = self.max_used;
        if self.min_free.is_some() {
            let spare = used.saturating_sub(excess);
            keep = Some(keep.map_or(spare, |keep| keep.min(spare)));
        }
        keep.unwrap_or(0).max(self.reserved)
    }
}

/// Which units go, and how many bytes the cache takes that is left.
pub(super) fn apply(
    cache: &Survey,
    marked: &Marked,
    limits: &[CacheLimit],
    store: &Store,
) -> Result<(BTreeSet<usize>, u64), Error> {
    let mut account = Account::of(cache, marked, store)?;
    let free = store.space()?.free;
    for limit in limits {
        account.apply(cache, marked, limit, free);
    }
    Ok((account.victims, account.used))
}

/// Who holds what, and what it takes.
struct Account {
    /// Of what nobody but records holds: how many of them, and how many bytes it takes.
    held: HashMap<Digest, (usize, u64)>,
    victims: BTreeSet<usize>,
    /// What all that is left takes, in bytes on disk.
    used: u64,
}

impl Account {
    fn of(cache: &Survey, marked: &Marked, store: &Store) -> Result<Self, Error> {
        let mut held: HashMap<Digest, (usize, u64)> = HashMap::new();
        let own = |digest: &&Digest| !marked.digests.contains(digest);
        for digest in cache.units.iter().flat_map(|unit| &unit.holds).filter(own) {
            held.entry(*digest).or_default().0 += 1;
        }
        let layers = by_digest(store)?;
        for (digest, (_, size)) in &mut held {
            *size = taken(store, digest, layers.get(digest).map_or(&[], Vec::as_slice));
        }
        let used = cache.units.iter().map(|unit| unit.size).sum::<u64>()
            + held.values().map(|(_, size)| size).sum::<u64>();
        Ok(Self { held, victims: BTreeSet::new(), used })
    }

    fn apply(&mut self, cache: &Survey, marked: &Marked, limit: &CacheLimit, free: u64) {
        let keep = limit.keep(self.used, free);
        let oldest = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let oldest = oldest.tv_sec.saturating_sub_unsigned(limit.unused_for.as_secs());
        let may_go = |unit: &Unit| {
            let is_shared = !unit.holds.is_empty() && unit.holds.is_subset(&marked.digests);
            let is_old = limit.unused_for.is_zero() || unit.used.0 < oldest;
            is_old && !marked.is_young(unit.changed) && (limit.shared || !is_shared)
        };
        let units = cache.units.iter().enumerate();
        let mut order: Vec<(usize, &Unit)> = units.filter(|(_, unit)| may_go(unit)).collect();
        order.sort_by_key(|(_, unit)| (unit.used, Reverse(unit.changed)));
        for (index, unit) in order {
            if self.used <= keep && keep > 0 {
                return;
            }
            // Asked of those alone that are to go: the asking takes the lock for a moment.
            if unit.lock().is_some() && self.victims.insert(index) {
                self.used -= unit.size + self.let_go(&unit.holds);
            }
        }
    }

    /// What is free when one less holds these, in bytes.
    fn let_go(&mut self, holds: &HashSet<Digest>) -> u64 {
        let mut freed = 0;
        for digest in holds {
            if let Some((holders, size)) = self.held.get_mut(digest) {
                *holders -= 1;
                freed += if *holders == 0 { *size } else { 0 };
            }
        }
        freed
    }
}

/// The files of layers, and of stacks of them, by what they belong to.
fn by_digest(store: &Store) -> Result<HashMap<Digest, Vec<String>>, Error> {
    let mut found: HashMap<Digest, Vec<String>> = HashMap::new();
    for name in files::names(&store.tare("layers"))? {
        let stem = name.split_once('.').map_or(name.as_str(), |(stem, _)| stem);
        if let Ok(digest) = Digest::from_hex(stem) {
            found.entry(digest).or_default().push(name);
        }
    }
    Ok(found)
}

/// Bytes on disk of a blob, and of the layer of that digest; a file with both names counts once.
fn taken(store: &Store, digest: &Digest, layers: &[String]) -> u64 {
    let layers = layers.iter().map(|name| store.tare("layers").join(name));
    let mut seen = HashSet::new();
    let room = |path: std::path::PathBuf| {
        let metadata = fs::symlink_metadata(path).ok()?;
        seen.insert(metadata.ino()).then(|| room(&metadata))
    };
    std::iter::once(store.blob_path(digest)).chain(layers).filter_map(room).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_much_stays() {
        let limit = |max_used, min_free, reserved| CacheLimit {
            max_used,
            min_free,
            reserved,
            ..CacheLimit::default()
        };
        for (limit, used, free, keep) in [
            (CacheLimit::ALL, 100, 5, 0),
            (limit(Some(40), None, 0), 100, 5, 40),
            (limit(None, None, 60), 100, 5, 60),
            (limit(None, Some(20), 0), 100, 5, 85),
            (limit(None, Some(20), 0), 100, 30, 100),
            (limit(Some(90), Some(20), 0), 100, 5, 85),
            (limit(Some(40), Some(20), 0), 100, 5, 40),
            (limit(None, Some(200), 30), 100, 5, 30),
        ] {
            assert_eq!(limit.keep(used, free), keep, "{limit:?}");
        }
    }
}
