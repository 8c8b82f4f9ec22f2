//! What becomes of Dockerfiles, compared with what BuildKit made of them.
//!
//! Each folder in `dockerfile/` is a case: `Dockerfile`, perhaps `context.sh` that makes the context
//! in the folder where it runs, perhaps `args` for the command line. `expected.json` has BuildKit's
//! result; `scripts/golden.py` writes it. `ARG` entries of the history are left out: what they hold
//! differs between BuildKit's versions.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use conformance::{BASE, Machine, succeed};
use serde_json::{Map, Value, json};

#[test]
fn images_are_as_buildkit_makes_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dockerfile");
    let mut cases: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 50, "the cases are missing");
    let machine = Machine::new();
    machine.build("empty", &format!("FROM {BASE}\nENV NOTHING=\n"), &[]);
    let base = files(&machine, "empty");
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            wrong.extend(differences(&machine, case, &base));
        }
        wrong
    };
    let wrong = std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let mut wrong = work();
        wrong.extend(other.join().unwrap());
        wrong
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn differences(machine: &Machine, case: &Path, base: &Map<String, Value>) -> Vec<String> {
    let name = case.file_name().unwrap().to_str().unwrap();
    let text = fs::read(case.join("expected.json")).unwrap_or_else(|e| panic!("{name}: {e}"));
    let expected: Value = serde_json::from_slice(&text).unwrap();
    let mut actual = built(machine, case, name, base);
    leave_out_volumes(&mut actual, &expected);
    let mut wrong = Vec::new();
    compare(name, &expected, &actual, &mut wrong);
    wrong
}

/// A bundle has the directories of volumes, which the image need not have.
fn leave_out_volumes(actual: &mut Value, expected: &Value) {
    let Some(volumes) = expected["config"]["Volumes"].as_object() else { return };
    let leads_to = |path: &String| {
        volumes.keys().any(|volume| Path::new("/").join(volume).starts_with(format!("/{path}")))
    };
    let known = &expected["files"];
    let files = actual["files"].as_object_mut().unwrap();
    files.retain(|path, _| known.get(path).is_some() || !leads_to(path));
}

/// One line for each leaf in which the two differ.
fn compare(at: &str, expected: &Value, actual: &Value, wrong: &mut Vec<String>) {
    if let (Value::Object(expected), Value::Object(actual)) = (expected, actual) {
        let names =
            expected.keys().chain(actual.keys().filter(|name| !expected.contains_key(*name)));
        for name in names {
            let of = |map: &Map<String, Value>| map.get(name).cloned().unwrap_or_default();
            compare(&format!("{at}: {name}"), &of(expected), &of(actual), wrong);
        }
    } else if expected != actual {
        wrong.push(format!("{at}\n    BuildKit {expected}\n    here     {actual}"));
    }
}

fn built(machine: &Machine, case: &Path, name: &str, base: &Map<String, Value>) -> Value {
    let context = machine.path(&format!("contexts/{name}"));
    fs::create_dir_all(&context).unwrap();
    fs::copy(case.join("Dockerfile"), context.join("Dockerfile")).unwrap();
    if case.join("context.sh").exists() {
        succeed(Command::new("bash").arg("-eu").arg(case.join("context.sh")).current_dir(&context));
    }
    let args = fs::read_to_string(case.join("args")).unwrap_or_default();
    let mut words = vec!["-q", "-t", name, context.to_str().unwrap()];
    words.extend(args.lines());
    let digest = machine.ok("tare-build", words).out;
    let config = blob(machine, &blob(machine, &json!(digest))["config"]["digest"]);
    let history = config["history"].as_array().cloned().unwrap_or_default();
    let own = |entry: &&Value| entry["comment"] == "buildkit.dockerfile.v0";
    let scratch = history.iter().all(|entry| own(&entry));
    let texts = history
        .iter()
        .filter(own)
        .map(|entry| json!([entry["created_by"], entry["empty_layer"].as_bool().unwrap_or(false)]));
    let texts: Vec<Value> =
        texts.filter(|entry| !entry[0].as_str().unwrap().starts_with("ARG ")).collect();
    let before = if scratch { Map::new() } else { base.clone() };
    let after = files(machine, name);
    let removed: Vec<&String> = before.keys().filter(|path| !after.contains_key(*path)).collect();
    let removed = json!(removed);
    let mut set = config["config"].as_object().cloned().unwrap_or_default();
    set.retain(|_, value| ![json!([]), json!({}), json!(""), Value::Null].contains(value));
    let changed: Map<String, Value> =
        after.into_iter().filter(|(path, file)| before.get(path) != Some(file)).collect();
    json!({"config": set, "files": changed, "history": texts, "removed": removed})
}

fn blob(machine: &Machine, digest: &Value) -> Value {
    let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
    let bytes = fs::read(machine.store().join("blobs/sha256").join(hex)).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// The files of an image, as it is mounted.
fn files(machine: &Machine, image: &str) -> Map<String, Value> {
    let bundle = machine.text(&format!("bundles/{image}"));
    fs::create_dir_all(machine.path("bundles")).unwrap();
    machine.ok("tare-store", ["bundle", "-u", "0", image, &bundle, "true"]);
    let root = Path::new(&bundle).join("rootfs");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    let name = |path: &PathBuf| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    paths.sort();
    let mut first: HashMap<u64, String> = HashMap::new();
    let mut listed = Map::new();
    for path in &paths {
        let metadata = fs::symlink_metadata(path).unwrap();
        let known = first.entry(metadata.ino()).or_insert_with(|| name(path));
        let linked = *known != name(path);
        listed.insert(
            name(path),
            if linked { json!({ "link": known }) } else { file(path, &metadata) },
        );
    }
    machine.ok("tare-store", ["unbundle", &bundle]);
    listed
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        paths.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), paths);
        }
    }
}

fn file(path: &Path, metadata: &fs::Metadata) -> Value {
    let kind = metadata.file_type();
    let mut file = json!({
        "mode": format!("{:o}", metadata.mode() & 0o7777),
        "owner": format!("{}:{}", metadata.uid(), metadata.gid()),
    });
    let device = || format!("{}:{}", metadata.rdev() >> 8 & 0xfff, metadata.rdev() & 0xff);
    file["type"] = json!(if kind.is_dir() {
        "d"
    } else if kind.is_symlink() {
        file["to"] = json!(fs::read_link(path).unwrap());
        "l"
    } else if kind.is_fifo() {
        "p"
    } else if kind.is_char_device() {
        file["device"] = json!(device());
        "c"
    } else if kind.is_block_device() {
        file["device"] = json!(device());
        "b"
    } else {
        let content = fs::read(path).unwrap();
        match String::from_utf8(content) {
            Ok(text) if text.len() <= 400 && text.is_ascii() => file["text"] = json!(text),
            _ => file["size"] = json!(metadata.len()),
        }
        "f"
    });
    file
}
