//! `tare-store fsck`: what it finds in a damaged store, what it mends, and what it leaves alone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use support::{World, sh};

/// A store with two images.
fn world() -> World {
    let world = World::with_image();
    sh(
        &world,
        "mkdir other; echo other >other/file; tar -C other -cf other.tar .; tare-store import -q other.tar other",
    );
    world
}

fn problems(world: &World, flags: &[&str]) -> (i32, Vec<Value>) {
    let said = world.run(&[&["fsck", "--json"], flags].concat());
    let report: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}", said.err));
    (said.code, report["Problems"].as_array().unwrap().clone())
}

/// The files of one kind in the store, sorted.
fn files(world: &World, folder: &str, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(world.path("store").join(folder)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_str().unwrap().ends_with(end));
    paths.sort();
    paths
}

/// The blob of an image's first layer.
fn layer(world: &World, image: &str) -> PathBuf {
    let digest = &world.json(&["inspect", image])["Layers"][0]["Digest"];
    world.path("store/blobs/sha256").join(&digest.as_str().unwrap()[7..])
}

/// Writes to a file that others have by other names, as a bad disk does.
fn damage(path: &PathBuf) {
    let times = fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
    fs::File::options().append(true).open(path).unwrap().set_modified(times).unwrap();
}

#[test]
fn a_sound_store_has_no_problems() {
    let world = world();
    let said = world.run(&["fsck"]);
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{}", said.err);
    assert!(said.err.ends_with(": all right\n"), "{}", said.err);
    assert_eq!(problems(&world, &["--quick"]), (0, vec![]));
}

#[test]
fn a_changed_byte_is_found_and_the_blob_dropped() {
    let world = world();
    let blob = layer(&world, "box");
    damage(&blob);
    assert_eq!(problems(&world, &["--quick"]), (0, vec![]), "it looks only at names and sizes");
    let (code, found) = problems(&world, &[]);
    let found = found.iter().find(|it| it["Path"] == blob.to_str().unwrap()).unwrap();
    assert_eq!(code, 1);
    assert!(found["Problem"].as_str().unwrap().starts_with("its bytes have the digest sha256:"));
    assert_eq!(found["Images"], serde_json::json!(["docker.io/library/box:latest"]));
    assert!(blob.exists(), "without --repair nothing goes");
    let (code, found) = problems(&world, &["--repair"]);
    assert_eq!(code, 1, "the image is not whole");
    assert!(found.iter().all(|it| it["Dropped"] == true), "{found:?}");
    assert!(!blob.exists());
    // The other image is as it was, and what is lost comes back by getting it again.
    assert_eq!(world.ok(&["cat", "other", "file"]), "other");
    world.import("box");
    assert_eq!(world.run(&["fsck"]).code, 0);
    assert_eq!(world.ok(&["cat", "box", "etc/motd"]), "welcome");
}

#[test]
fn missing_blobs_are_told_with_their_images() {
    let world = world();
    let blob = layer(&world, "other");
    fs::remove_file(&blob).unwrap();
    let (code, found) = problems(&world, &["--quick"]);
    assert_eq!(code, 1);
    let found = found.iter().find(|it| it["Path"] == blob.to_str().unwrap()).unwrap();
    assert_eq!((&found["Problem"], &found["Dropped"]), (&"it is missing".into(), &false.into()));
    assert_eq!(found["Images"], serde_json::json!(["docker.io/library/other:latest"]));
}

#[test]
fn caches_are_dropped_and_made_again() {
    let world = world();
    let tocs = files(&world, "tare/layers", ".toc");
    fs::write(&tocs[0], "no table").unwrap();
    fs::copy(&tocs[1], world.path("kept")).unwrap();
    let (code, found) = problems(&world, &[]);
    assert_eq!((code, found.len()), (1, 1), "{found:?}");
    assert!(found[0]["Problem"].as_str().unwrap().starts_with("it is no table of contents"));
    let (code, found) = problems(&world, &["--repair"]);
    assert_eq!((code, found[0]["Dropped"].as_bool()), (0, Some(true)));
    assert_eq!(world.run(&["fsck"]).code, 0);
    assert_eq!(world.ok(&["cat", "box", "etc/motd"]), "welcome");
    assert_eq!(world.ok(&["cat", "other", "file"]), "other");
    // A table that can be read, but is another layer's.
    let tocs = files(&world, "tare/layers", ".toc");
    let other = fs::read(&tocs[0]).unwrap();
    fs::write(&tocs[1], other).unwrap();
    let (_, found) = problems(&world, &["--repair"]);
    assert_eq!(found[0]["Problem"], "it is not the table of its layer");
    assert_eq!(problems(&world, &[]).0, 0);
}

#[test]
fn what_has_no_business_there_is_told_and_dropped() {
    let world = world();
    let blobs = world.path("store/blobs/sha256");
    fs::write(blobs.join("stray"), "").unwrap();
    rustix_fifo(&blobs.join("0".repeat(64)));
    std::os::unix::fs::symlink("/etc/passwd", blobs.join("1".repeat(64))).unwrap();
    let (code, found) = problems(&world, &["--repair"]);
    assert_eq!((code, found.len()), (0, 3), "{found:?}");
    assert_eq!(problems(&world, &[]), (0, vec![]));
    assert!(fs::exists("/etc/passwd").unwrap());
}

fn rustix_fifo(path: &std::path::Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn images_that_contradict_themselves_are_told() {
    let world = world();
    // A configuration with fewer diff IDs than the manifest has layers, by another tool.
    sh(
        &world,
        r#"python3 - <<'END'
import hashlib, json, os
store = "store"
index = json.load(open(f"{store}/index.json"))
def blob(digest): return f"{store}/blobs/sha256/{digest[7:]}"
def put(value):
    data = json.dumps(value).encode()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    open(blob(digest), "wb").write(data)
    return digest, len(data)
entry = index["manifests"][0]
manifest = json.load(open(blob(entry["digest"])))
config = json.load(open(blob(manifest["config"]["digest"])))
config["rootfs"]["diff_ids"] = []
manifest["config"]["digest"], manifest["config"]["size"] = put(config)
entry["digest"], entry["size"] = put(manifest)
json.dump(index, open(f"{store}/index.json", "w"))
END"#,
    );
    let (code, found) = problems(&world, &["--repair"]);
    assert_eq!((code, found.len()), (1, 1), "{found:?}");
    assert_eq!(found[0]["Problem"], "it names 0 layers, and the manifest 1");
}

#[test]
fn an_index_that_cannot_be_read_is_an_error_and_stays() {
    let world = world();
    fs::write(world.path("store/index.json"), "{\"manifests\": [").unwrap();
    let said = world.run(&["fsck", "--repair"]);
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    assert!(said.err.contains("index.json"), "{}", said.err);
    assert_eq!(fs::read_to_string(world.path("store/index.json")).unwrap(), "{\"manifests\": [");
}
