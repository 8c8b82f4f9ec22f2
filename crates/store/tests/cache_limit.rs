//! What goes of the build cache, and in which order, where there is a limit of size or age.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod fixture;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fixture::{Fixture, tar_of};
use image::manifest;
use rustix::fs::{FlockOperation, flock};
use store::{CacheLimit, GarbageKind, GcOptions, GcReport, Holder, Store};

const HOUR: Duration = Duration::from_secs(60 * 60);
const MIB: u64 = 1 << 20;

/// A store whose records were last used some hours ago.
struct Aged(Fixture);

impl Aged {
    fn new() -> Self {
        Self(Fixture::new())
    }

    /// A record of a layer of one MiB, last used so many hours ago.
    fn record(&self, key: &str, hours: u32) {
        let content = [key.as_bytes(), &vec![0x5a; MIB as usize]].concat();
        let (blob, _, _) = self.0.store.import_layer(&tar_of(&[(key, &content)])[..]).unwrap();
        let holds = [manifest::digest(&blob).unwrap()];
        self.0.store.cache_put(key, b"value", &holds).unwrap();
        age(&self.record_path(key), hours);
    }

    fn record_path(&self, key: &str) -> PathBuf {
        self.0.path("tare/build/records").join(image::Digest::of(key).hex())
    }

    fn has(&self, key: &str) -> bool {
        self.record_path(key).exists()
    }

    /// Which of these are left.
    fn left<'a>(&self, keys: &[&'a str]) -> Vec<&'a str> {
        keys.iter().copied().filter(|key| self.has(key)).collect()
    }

    fn mount(&self, name: &str, hours: u32) -> PathBuf {
        let path = self.0.path("tare/build/mounts").join(name).join("1");
        fs::create_dir_all(path.join("files")).unwrap();
        fs::write(path.join("files/data"), vec![1; MIB as usize]).unwrap();
        age(&path, hours);
        path
    }

    fn repository(&self, name: &str, hours: u32) -> PathBuf {
        let path = self.0.path("tare/build/git").join(name);
        fs::create_dir_all(path.join("repo")).unwrap();
        fs::write(path.join("repo/pack"), vec![1; MIB as usize]).unwrap();
        fs::write(path.join("lock"), "").unwrap();
        age(&path.join("lock"), hours);
        path
    }

    /// Changes a number of the last measurement.
    fn measured(&self, name: &str, value: u64) {
        let path = self.0.path("tare/build/measured");
        let mut measured: serde_json::Value =
            serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        measured[name] = value.into();
        fs::write(&path, measured.to_string()).unwrap();
    }

    fn prune(&self, limit: CacheLimit) -> GcReport {
        self.0.store.gc(GcOptions { dry_run: false, build_cache: &[limit] }).unwrap()
    }
}

fn age(path: &Path, hours: u32) {
    File::open(path).unwrap().set_modified(SystemTime::now() - HOUR * hours).unwrap();
}

#[test]
fn the_least_recently_used_goes_until_the_rest_fits() {
    let aged = Aged::new();
    for (key, hours) in [("middle", 2), ("oldest", 3), ("young", 1)] {
        aged.record(key, hours);
    }
    let limit = CacheLimit { max_used: Some(5 * MIB / 2), ..CacheLimit::default() };
    let options = GcOptions { dry_run: true, build_cache: &[limit] };
    let dry = aged.0.store.gc(options).unwrap();
    assert!(aged.has("oldest"), "a dry run takes nothing");
    let report = aged.prune(limit);
    assert_eq!(report, dry);
    assert_eq!(aged.left(&["oldest", "middle", "young"]), ["middle", "young"]);
    assert!((MIB..MIB + MIB / 4).contains(&report.freed_bytes), "{report:?}");
    assert_eq!(aged.prune(limit).removed, vec![]);
    // A record is as young as its last use.
    assert!(Store::open(aged.0.store.root()).unwrap().cache_get("middle").unwrap().is_some());
    aged.prune(CacheLimit { max_used: Some(3 * MIB / 2), ..limit });
    assert_eq!(aged.left(&["middle", "young"]), ["middle"]);
}

#[test]
fn age_alone_and_age_with_something_kept() {
    let aged = Aged::new();
    for (key, hours) in [("a", 50), ("b", 40), ("c", 2)] {
        aged.record(key, hours);
    }
    let day = CacheLimit { unused_for: HOUR * 24, ..CacheLimit::default() };
    aged.prune(CacheLimit { reserved: 5 * MIB / 2, ..day });
    assert_eq!(aged.left(&["a", "b", "c"]), ["b", "c"]);
    aged.prune(day);
    assert_eq!(aged.left(&["b", "c"]), ["c"]);
    aged.prune(CacheLimit::default());
    assert!(!aged.has("c"));
}

#[test]
fn of_one_build_the_later_steps_go_first() {
    let aged = Aged::new();
    let store = Store::open(aged.0.store.root()).unwrap();
    for key in ["first", "second", "third"] {
        aged.record(key, 9);
    }
    for key in ["first", "second", "third"] {
        store.cache_get(key).unwrap().unwrap();
        // The clock that stamps files ticks slowly.
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(store);
    aged.prune(CacheLimit { max_used: Some(3 * MIB / 2), ..CacheLimit::default() });
    assert_eq!(aged.left(&["first", "second", "third"]), ["first"]);
}

#[test]
fn what_an_image_has_takes_no_room_of_the_cache() {
    let aged = Aged::new();
    let image = aged.0.image(b"in an image", "linux/amd64");
    aged.0.store.tag(&"app".parse().unwrap(), &image).unwrap();
    let layers = aged.0.store.image(&image, &image::Platform::host()).unwrap().layers();
    let layer = manifest::digest(&layers[0].0).unwrap();
    aged.0.store.cache_put("shared", b"", &[layer]).unwrap();
    age(&aged.record_path("shared"), 9);
    aged.record("own", 1);
    aged.prune(CacheLimit::default());
    assert_eq!(aged.left(&["shared", "own"]), ["shared"]);
    aged.prune(CacheLimit::ALL);
    assert!(!aged.has("shared"));
    assert!(aged.0.store.blob_path(&layer).exists(), "the image has its layer");
}

#[test]
fn what_a_process_at_work_has_found_stays() {
    let aged = Aged::new();
    aged.record("found", 9);
    aged.record("other", 8);
    std::thread::sleep(Duration::from_millis(20));
    let build = Store::open(aged.0.store.root()).unwrap();
    let at_work = build.lease(&[], Holder::Process).unwrap();
    assert!(build.cache_get("found").unwrap().is_some());
    let report = aged.prune(CacheLimit::ALL);
    assert_eq!(aged.left(&["found", "other"]), ["found"]);
    assert!(report.freed_bytes >= MIB, "{report:?}");
    assert!(build.cache_get("other").unwrap().is_none());
    drop(at_work);
    aged.prune(CacheLimit::ALL);
    assert!(!aged.has("found"));
}

#[test]
fn cache_mounts_and_repositories_go_unless_they_are_in_use() {
    let aged = Aged::new();
    let (old, held) = (aged.mount("a", 5), aged.mount("b", 9));
    let (repository, fetching) = (aged.repository("c", 5), aged.repository("d", 9));
    let lock = File::open(&held).unwrap();
    flock(&lock, FlockOperation::LockShared).unwrap();
    let fetch = File::open(fetching.join("lock")).unwrap();
    flock(&fetch, FlockOperation::LockExclusive).unwrap();
    let report = aged.prune(CacheLimit { unused_for: HOUR * 4, ..CacheLimit::default() });
    let kinds: Vec<GarbageKind> = report.removed.iter().map(|garbage| garbage.kind).collect();
    assert_eq!(kinds, [GarbageKind::CacheMount, GarbageKind::Repository]);
    assert!(report.freed_bytes >= 2 * MIB);
    assert_eq!(
        [&old, &held, &repository, &fetching].map(|it| it.exists()),
        [false, true, false, true]
    );
    aged.0.assert_no_temporary_files();
}

#[test]
fn the_usual_bound_is_kept_and_mostly_costs_nothing() {
    let aged = Aged::new();
    let keys = ["a", "b", "c", "d", "e"];
    for (key, hours) in keys.iter().zip((1..=5).rev()) {
        aged.record(key, hours);
    }
    let bound = 4 * MIB;
    let report = aged.0.store.bound_cache(bound).unwrap().unwrap();
    assert_eq!(aged.left(&keys), ["c", "d", "e"], "some room is made for the next builds");
    assert!(report.freed_bytes >= 2 * MIB);
    // As where nobody else, not even another test, has taken room of the file system.
    aged.measured("free", 0);
    assert_eq!(aged.0.store.bound_cache(bound).unwrap(), None, "nothing has grown");
    aged.measured("free", u64::MAX / 2);
    assert!(
        aged.0.store.bound_cache(bound).unwrap().is_some(),
        "there is much less room than before"
    );
    aged.record("ancient", 24 * 61);
    aged.measured("at", 0);
    aged.0.store.bound_cache(bound).unwrap().unwrap();
    assert_eq!(aged.left(&["c", "d", "e", "ancient"]), ["c", "d", "e"]);
    assert!(aged.0.store.cache_bound().unwrap() >= 2_000_000_000);
}
