//! What the cache remembers of how a step came about.
//!
//! ```text
//! <store>/tare/build/traces/KEY          what the key of the step was made from (JSON)
//! <store>/tare/build/traces/KEY.files    the files that a copy reads (JSON, zstd)
//! ```
//!
//! Traces are only for people: one that is missing or damaged costs an explanation, never a build.
//! Beyond a number those go that no build has met for longest, and all go with the build cache.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Table;
use crate::key::{Fields, Key};

/// Traces are kept of so many steps.
const MAX_TRACES: usize = 2000;

/// A table that is larger, in bytes, is not read whole.
const MAX_SIZE: u64 = 64 << 20;

/// How a step came about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trace {
    pub(crate) key: Key,
    #[serde(flatten)]
    pub(crate) place: Place,
    /// What the key was made from.
    pub(crate) fields: Vec<(String, String)>,
    /// When a build last met it.
    #[serde(skip)]
    pub(crate) met: Option<SystemTime>,
}

/// Where a step stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// What is built: the context.
    pub(crate) context: String,
    pub(crate) stage: String,
    /// Among the steps of the stage.
    pub(crate) number: usize,
    /// The instruction, variables expanded; empty for what only helps a step.
    pub(crate) text: String,
    /// The image that the stage, or the stage that it starts from, starts from.
    pub(crate) base: Option<BaseImage>,
}

/// A base image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BaseImage {
    pub(crate) name: String,
    pub(crate) digest: String,
}

impl Trace {
    /// The trace of a step with this key, which was made from these fields.
    pub(crate) fn new(key: Key, fields: Fields, place: Place) -> Self {
        let shown = |(name, value): (String, Vec<u8>)| {
            let value = match &*name {
                "env" => hidden(text(&value)),
                _ => text(&value),
            };
            (name, value)
        };
        Self { key, place, fields: fields.into_iter().map(shown).collect(), met: None }
    }

    /// The values of a field.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(field, _)| field == name).map(|(_, value)| &**value)
    }

    /// The value of a field that comes once.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }
}

/// Text as it is, anything else in hexadecimal.
fn text(value: &[u8]) -> String {
    let plain = |text: &&str| !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t');
    match std::str::from_utf8(value).ok().filter(plain) {
        Some(text) => text.to_owned(),
        None => value.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// What stands for the value of a variable that may be a secret: too little to find it by.
pub(super) const HIDDEN: char = '\u{1}';

fn hidden(entry: String) -> String {
    match entry.split_once('=') {
        Some((name, value)) if dockerfile::lint::tells_of_a_secret(name) => {
            let [first, second, ..] = Sha256::digest(value)[..] else { return entry };
            format!("{name}={HIDDEN}{first:02x}{second:02x}")
        }
        _ => entry,
    }
}

/// The traces of a store.
pub(crate) struct Traces {
    folder: PathBuf,
    /// Those of this build: it is not compared with itself.
    own: Mutex<BTreeSet<Key>>,
}

impl Traces {
    /// The traces that are kept in `folder`.
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder, own: Mutex::default() }
    }

    /// Keeps a trace. A failure costs an explanation at some later build, nothing else.
    pub(crate) fn put(&self, trace: &Trace, table: Option<&Table>) {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).insert(trace.key);
        let _ = self.try_put(trace, table);
    }

    fn try_put(&self, trace: &Trace, table: Option<&Table>) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        if let Some(table) = table {
            let json = serde_json::to_vec(table)?;
            self.write(&self.files(&trace.key), &zstd::encode_all(&json[..], 1)?)?;
        }
        self.write(&self.path(&trace.key), &serde_json::to_vec(trace)?)
    }

    /// Notes that a build has met a step, so that its trace stays.
    pub(crate) fn touch(&self, key: &Key) {
        use rustix::fs::{AtFlags, CWD, Timestamps, UTIME_NOW, utimensat};
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        let _ = utimensat(CWD, self.path(key), &times, AtFlags::empty());
    }

    /// Whether a step was done before this build.
    pub(crate) fn has(&self, key: &Key) -> bool {
        !self.is_own(key) && self.path(key).exists()
    }

    /// The files of a copy. The key is as a trace's fields have it.
    pub(crate) fn table(&self, key: &str) -> Option<Table> {
        let is_key = key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        let file = File::open(self.folder.join(format!("{key}.files"))).ok().filter(|_| is_key)?;
        let json = io::Read::take(zstd::Decoder::new(file).ok()?, MAX_SIZE);
        serde_json::from_reader(io::BufReader::new(json)).ok()
    }

    /// All that earlier builds left, in no order.
    pub(crate) fn all(&self) -> Vec<Trace> {
        let names = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let steps = names.filter(|entry| entry.path().extension().is_none());
        let trace = |entry: fs::DirEntry| {
            let mut trace = read(&entry.path())?;
            trace.met = entry.metadata().and_then(|metadata| metadata.modified()).ok();
            Some(trace)
        };
        steps.filter_map(trace).filter(|trace| !self.is_own(&trace.key)).collect()
    }

    /// Lets those go that were not met for longest, where there are too many.
    pub(crate) fn prune(&self) {
        if self.own.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return;
        }
        let all = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let (mut steps, others): (Vec<_>, Vec<_>) =
            all.partition(|entry| entry.path().extension().is_none());
        // Whoever was writing such a file was killed.
        let is_new = |entry: &&fs::DirEntry| entry.path().extension() == Some("new".as_ref());
        for left in others.iter().filter(is_new).filter(|entry| crate::scratch::is_old(entry)) {
            let _ = fs::remove_file(left.path());
        }
        if steps.len() > MAX_TRACES {
            steps.sort_by_cached_key(|entry| entry.metadata().and_then(|it| it.modified()).ok());
            for old in &steps[..steps.len() - MAX_TRACES] {
                let _ = fs::remove_file(old.path());
                let _ = fs::remove_file(old.path().with_extension("files"));
            }
        }
    }

    fn is_own(&self, key: &Key) -> bool {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(key.to_string())
    }

    fn files(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{key}.files"))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.folder.join(format!("{}.new", crate::names::unique()));
        let file = File::options().write(true).create_new(true).mode(0o600).open(&temporary);
        let written = file.and_then(|mut file| file.write_all(bytes));
        let named = written.and_then(|()| fs::rename(&temporary, path));
        if named.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        named
    }
}

fn read(path: &Path) -> Option<Trace> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_may_be_secret_are_not_kept() {
        let key = crate::key::scratch();
        let field = |name: &str, value: &[u8]| (name.to_owned(), value.to_owned());
        let fields = vec![
            field("env", b"NPM_TOKEN=hunter2"),
            field("env", b"PATH=/bin"),
            field("args", b"echo hello"),
            field("network", &[1]),
        ];
        let folder = tempfile::tempdir().unwrap();
        let traces = Traces::at(folder.path().join("x"));
        traces.put(&Trace::new(key, fields, Place::default()), None);
        let traces = Traces::at(folder.path().join("x"));
        let [trace] = &traces.all()[..] else { panic!("{:?}", traces.all()) };
        let env: Vec<&str> = trace.values("env").collect();
        assert!(env[0].starts_with("NPM_TOKEN=\u{1}") && env[0].len() == 15, "{env:?}");
        assert_eq!(env[1], "PATH=/bin");
        assert_eq!((trace.value("args"), trace.value("network")), ("echo hello", "01"));
        let stored = fs::read_to_string(traces.path(&key)).unwrap();
        assert!(!stored.contains("hunter2"), "{stored}");
        assert!(traces.has(&key));
        traces.put(trace, None);
        assert!(!traces.has(&key) && traces.all().is_empty(), "its own are not earlier ones");
    }
}
