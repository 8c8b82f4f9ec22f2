//! Cache keys: each is the SHA-256 of a definition, and all definitions stand in this module. Pure.
//!
//! A key says everything that a step's result depends on, and nothing else. Fields are written as
//! *name length, name, value length, value* (lengths as 8 bytes, little endian), so that no two
//! definitions have the same bytes. The first field names the kind of step and its version: whoever
//! changes what a step does raises that number, and old records are never met again.
//!
//! ```text
//! base image      chain ID of its layers                          (the configuration is in what follows)
//! RUN             parent × arguments × environment × user × working directory × network × mounts
//! COPY, ADD       parent × destination × owner × mode × flags × content of what is copied
//! COPY --from     found first by the key of the stage it reads, which costs nothing to know;
//!                 named by content like every COPY, so a stage rebuilt to the same bytes is a hit
//! COPY --link     as COPY, without the parent; what follows is keyed by parent × the copy's key
//! WORKDIR         parent × path × owner
//! ```
//!
//! The parent is the key of the step before. A result is remembered under a second key as well, in
//! which the chain ID of the layers so far stands for the parent, and for each stage that is mounted
//! the content of what is seen of it: a step that was done again and changed nothing costs nothing
//! after it.
//!
//! `SOURCE_DATE_EPOCH`, where it is set, is part of every key, because it is in the files' times.
//! Proxies, volumes of the host and the content of cache mounts are in none: they may help a command,
//! but must not change what it makes.
//!
//! The content of a file is its path, type, mode, owner, extended attributes, size and bytes, or its
//! link target. Its times are not.

mod files;
mod run;
mod steps;

use std::fmt;

pub(crate) use run::{Surroundings, cache_mount, run};
use sha2::{Digest as _, Sha256};
pub(crate) use steps::{
    Remote, content, copy, image, link, of_content, of_files, of_remotes, of_shape, scratch, shape,
    workdir,
};

/// A cache key. Displays as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 32]);

impl Key {
    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// A definition that is being written. What it says is kept, to tell two steps apart in words: see
/// [`crate::explain`].
#[derive(Clone)]
pub struct Definition {
    hash: Hash,
    fields: Fields,
}

/// What a definition says, in order: names and values.
pub(crate) type Fields = Vec<(String, Vec<u8>)>;

impl Definition {
    /// Starts the definition of a step of this kind.
    pub fn new(kind: &str) -> Self {
        Self { hash: Hash::default(), fields: Vec::new() }.field("kind", kind)
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.add(name, value.as_ref());
        self
    }

    /// Adds a field of several values; their number is part of it.
    #[must_use]
    pub fn list<T: AsRef<[u8]>>(mut self, name: &str, values: impl IntoIterator<Item = T>) -> Self {
        let mut count = 0_u64;
        for value in values {
            self.add(name, value.as_ref());
            count += 1;
        }
        self.hash.add(name, &count.to_le_bytes());
        self
    }

    /// Adds a field in place.
    pub fn add(&mut self, name: &str, value: &[u8]) {
        self.hash.add(name, value);
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    /// The key of the definition.
    pub fn key(self) -> Key {
        self.hash.key()
    }

    /// The key, and what it was made from.
    pub(crate) fn parts(self) -> (Key, Fields) {
        (self.hash.key(), self.fields)
    }
}

/// The hash of fields that are too many to be kept.
#[derive(Clone, Default)]
struct Hash(Sha256);

impl Hash {
    fn new(kind: &str) -> Self {
        let mut hash = Self::default();
        hash.add("kind", kind.as_bytes());
        hash
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        for bytes in [name.as_bytes(), value] {
            self.0.update((bytes.len() as u64).to_le_bytes());
            self.0.update(bytes);
        }
    }

    fn key(self) -> Key {
        Key(self.0.finalize().into())
    }
}

impl serde::Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| serde::de::Error::custom("a key is 64 hex digits"))
    }
}

fn parse(text: &str) -> Option<Key> {
    let mut key = [0; 32];
    let digits = text.as_bytes();
    (digits.len() == 64 && text.is_ascii()).then_some(())?;
    for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(Key(key))
}

#[cfg(test)]
mod pinned;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_run_into_each_other() {
        let keys = [
            Definition::new("x").field("a", "bc").key(),
            Definition::new("x").field("ab", "c").key(),
            Definition::new("x").field("a", "b").field("c", "").key(),
            Definition::new("x").list("a", ["b", "c"]).key(),
            Definition::new("x").list("a", ["bc"]).key(),
            Definition::new("x").list("a", ["b"]).list("a", ["c"]).key(),
        ];
        let different: std::collections::BTreeSet<Key> = keys.into_iter().collect();
        assert_eq!(different.len(), keys.len());
    }

    #[test]
    fn text_and_back() {
        let key = Definition::new("x").key();
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<Key>(&json).unwrap(), key);
        for wrong in ["\"\"", "\"zz\"", "\"+1+1\""] {
            serde_json::from_str::<Key>(wrong).expect_err(wrong);
        }
    }
}
