//! What the steps of a build are found by, gathered on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::key::Key;
use crate::record::Record;

/// The records of a build's steps, done or from the cache: the same either way, so that a rebuild takes
/// along what the build did.
#[derive(Default)]
pub(crate) struct Collected(Mutex<Found>);

#[derive(Default)]
struct Found {
    records: BTreeMap<Key, Record>,
    shapes: BTreeSet<Key>,
}

impl Collected {
    /// A step is found by this key; and by the one that its record names.
    pub(crate) fn record(&self, key: Key, record: &Record) {
        let mut found = self.lock();
        if let Some(content) = record.content {
            let own = Record { content: None, ..record.clone() };
            found.records.entry(content).or_insert(own);
        }
        found.records.insert(key, record.clone());
    }

    /// Contents of this shape are copied.
    pub(crate) fn shape(&self, shape: Key) {
        self.lock().shapes.insert(shape);
    }

    /// All records, by their keys.
    pub(super) fn records(&self) -> Vec<(Key, Record)> {
        self.lock().records.iter().map(|(key, record)| (*key, record.clone())).collect()
    }

    pub(super) fn shapes(&self) -> Vec<Key> {
        self.lock().shapes.iter().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
