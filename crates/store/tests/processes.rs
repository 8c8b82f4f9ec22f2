//! Many processes at one store, and processes that are killed in the middle.
//!
//! This program is the test and, with arguments, one of its processes: `processes child JOB STORE
//! NUMBER`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use fixture::{gzip, tar_of};
use image::manifest::{self, Descriptor};
use image::{DiffId, Digest, Platform, Reference, media_type};
use store::{Error, GcOptions, Store};

const PROCESSES: usize = 24;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, child, job, root, number] = &arguments[..]
        && child == "child"
    {
        work(job, Path::new(root), number);
        return;
    }
    many_open_a_store_that_is_not_there();
    many_tag_at_once();
    many_unpack_the_same_layer();
    gc_runs_between_writers();
    a_killed_writer_leaves_a_valid_store();
    killed_in_the_middle_of_anything();
}

/// What a child does.
fn work(job: &str, root: &Path, number: &str) {
    let store = Store::open(root).unwrap();
    match job {
        "open" => assert_eq!(store.references().unwrap(), vec![]),
        "tag" => drop(import(&store, &format!("app:{number}"), number.as_bytes())),
        "unpack" => {
            let layer = store.layer(&same_layer_blob(), &same_layer().1).unwrap();
            assert_eq!(std::fs::read(layer.tar).unwrap(), same_layer().0);
        }
        "write" => {
            let mut writer = store.blob_writer().unwrap();
            loop {
                std::io::Write::write_all(&mut writer, &[7; 4096]).unwrap();
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        "churn" => {
            for round in 0.. {
                import(
                    &store,
                    &format!("app{number}:{}", round % 3),
                    format!("{round}").as_bytes(),
                );
                store.cache_put(&format!("{round}"), b"value", &[]).unwrap();
            }
        }
        "images" => {
            for round in 0..20 {
                import(
                    &store,
                    &format!("app{number}:{round}"),
                    format!("{number}-{round}").as_bytes(),
                );
            }
        }
        other => panic!("no job {other}"),
    }
}

/// An image of one compressed layer, named and unpacked.
fn import(store: &Store, name: &str, content: &[u8]) -> Descriptor {
    let tar = tar_of(&[("file", content), ("big", &[9; 50_000])]);
    let layer = store.put_blob(media_type::LAYER_GZIP, &gzip(&tar)).unwrap();
    let diff_id = DiffId::new(Digest::of(&tar));
    store.layer(&layer, &diff_id).unwrap();
    let mut config = image::ImageConfig::empty(&Platform::host());
    config.rootfs.diff_ids.push(diff_id);
    let config = store.put_json(media_type::CONFIG, &config).unwrap();
    let image = store.put_manifest(&manifest::manifest(config, vec![layer])).unwrap();
    store.tag(&name.parse::<Reference>().unwrap(), &image).unwrap();
    image
}

fn same_layer() -> (Vec<u8>, DiffId) {
    let tar = tar_of(&[("same", &[5; 300_000])]);
    let diff_id = DiffId::new(Digest::of(&tar));
    (tar, diff_id)
}

fn same_layer_blob() -> Descriptor {
    let bytes = gzip(&same_layer().0);
    manifest::descriptor(media_type::LAYER_GZIP, Digest::of(&bytes), bytes.len() as u64)
}

/// A child that is killed and waited for, however the test ends.
struct Process(Child);

impl Process {
    fn start(job: &str, root: &Path, number: usize) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command.args(["child", job]).arg(root).arg(number.to_string());
        Self(command.spawn().unwrap())
    }

    fn succeed(mut self) {
        let status = self.0.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn directory() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("store");
    (directory, root)
}

fn all(job: &str, root: &Path) {
    let children: Vec<_> = (0..PROCESSES).map(|number| Process::start(job, root, number)).collect();
    children.into_iter().for_each(Process::succeed);
}

/// Asks until the answer is yes.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn temporary_bytes(root: &Path) -> u64 {
    let entries = std::fs::read_dir(root.join("tare/tmp")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// Everything that the index names is there, whole, and can be unpacked; all that is in `tare/layers`
/// is what its name says.
fn assert_valid(root: &Path) -> usize {
    let store = Store::open(root).unwrap();
    let references = store.references().unwrap();
    for (name, descriptor) in &references {
        let image = store.image(descriptor, &Platform::host()).unwrap();
        for (blob, diff_id) in image.layers() {
            store.open_blob(&blob).unwrap().finish().unwrap();
            let layer = store.layer(&blob, &diff_id).unwrap();
            assert_eq!(layer.changeset().unwrap().len(), 2, "{name:?}");
        }
    }
    for entry in std::fs::read_dir(root.join("tare/layers")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "tar") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            assert_eq!(Digest::of(std::fs::read(&path).unwrap()).hex(), name);
        }
    }
    references.len()
}

fn many_open_a_store_that_is_not_there() {
    for _ in 0..5 {
        let (_directory, root) = directory();
        all("open", &root);
        assert_eq!(assert_valid(&root), 0);
    }
}

fn many_tag_at_once() {
    let (_directory, root) = directory();
    all("tag", &root);
    assert_eq!(assert_valid(&root), PROCESSES);
}

fn many_unpack_the_same_layer() {
    let (_directory, root) = directory();
    Store::open(&root).unwrap().put_blob(media_type::LAYER_GZIP, &gzip(&same_layer().0)).unwrap();
    all("unpack", &root);
    assert_eq!(temporary_bytes(&root), 0);
}

fn gc_runs_between_writers() {
    let (_directory, root) = directory();
    let writers: Vec<_> = (0..4).map(|number| Process::start("images", &root, number)).collect();
    let collector = Store::open(&root).unwrap();
    let mut writers = writers;
    wait_until("the end of all writers", || {
        collector.gc(GcOptions::default()).unwrap();
        writers.iter_mut().all(|writer| writer.0.try_wait().unwrap().is_some())
    });
    writers.into_iter().for_each(Process::succeed);
    assert_eq!(assert_valid(&root), 4 * 20);
    collector.gc(GcOptions::default()).unwrap();
    assert_eq!(assert_valid(&root), 4 * 20);
}

fn a_killed_writer_leaves_a_valid_store() {
    let (_directory, root) = directory();
    let store = Store::open(&root).unwrap();
    import(&store, "kept", b"kept");
    let writer = Process::start("write", &root, 0);
    wait_until("half a blob", || temporary_bytes(&root) > 300_000);
    let before = store.gc(GcOptions::default()).unwrap();
    assert_eq!(before.removed, vec![], "the writer lives");
    drop(writer);
    let after = store.gc(GcOptions::default()).unwrap();
    assert_eq!(after.removed.len(), 1, "{after:?}");
    assert!(after.freed_bytes > 300_000);
    assert_eq!((temporary_bytes(&root), assert_valid(&root)), (0, 1));
}

fn killed_in_the_middle_of_anything() {
    let (_directory, root) = directory();
    for round in 0..12 {
        let pair = [Process::start("churn", &root, 0), Process::start("churn", &root, 1)];
        wait_until("the first images", || {
            Store::open(&root).and_then(|store| store.references()).is_ok_and(|all| all.len() >= 2)
        });
        std::thread::sleep(Duration::from_micros(1700 * round));
        drop(pair);
        assert!(assert_valid(&root) >= 2);
    }
    let store = Store::open(&root).unwrap();
    store.gc(GcOptions { build_cache: &[store::CacheLimit::ALL], ..GcOptions::default() }).unwrap();
    assert!(assert_valid(&root) >= 2);
    assert_eq!(store.gc(GcOptions::default()).unwrap().removed, vec![]);
    let missing = manifest::descriptor(media_type::MANIFEST, Digest::of("missing"), 7);
    assert!(matches!(store.read_blob(&missing), Err(Error::MissingBlob { .. })));
}
