//! What becomes of Dockerfiles, compared with what BuildKit made of them.
//!
//! Each folder in `dockerfile/` is a case: `Dockerfile`, perhaps `context.sh` that makes the context
//! in the folder where it runs (with what many share, from `contexts/`), perhaps `args` for the command
//! line, in which `@` is the context's folder. `expected.json` has BuildKit's result, or why and at which
//! line it refuses the Dockerfile; `scripts/golden` writes it. Where ours is meant to differ,
//! `differs.json` is what to change in that result (a JSON merge patch, RFC 7386), and
//! `conformance/dockerfile-reasons/tare` says why. `ARG` entries of the history are left out: what they
//! hold differs between BuildKit's versions. `CASES='env label' cargo test …` tries those alone.
//!
//! In an ordinary user's namespace (`scripts/test-rootless`) those alone are tried that run a command, without
//! the ones that need what nobody has there: `conformance/dockerfile-reasons/rootless`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test is told what to try by its environment")]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use conformance::{BASE, Machine, succeed};
use serde_json::{Map, Value, json};

#[test]
fn images_are_as_buildkit_makes_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dockerfile");
    let mut cases: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 300, "the cases are missing");
    if let Ok(only) = std::env::var("CASES") {
        cases.retain(|case| only.split(' ').any(|name| case.ends_with(name)));
    }
    if is_rootless() {
        cases.retain(|case| runs(case) && !explained("rootless", name(case)));
    }
    let machine = Machine::new();
    let base = base(&machine);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let found = catch_unwind(|| differences(&machine, case, &base));
            wrong.extend(found.unwrap_or_else(|_| vec![format!("{}: see above", case.display())]));
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

fn differences(machine: &Machine, case: &Path, base: &Base) -> Vec<String> {
    let name = name(case);
    let mut expected = golden(&case.join("expected.json"));
    if case.join("differs.json").exists() {
        assert!(
            explained("tare", name),
            "{name}: dockerfile-reasons/tare does not say why it differs"
        );
        patch(&mut expected, golden(&case.join("differs.json")));
    }
    let mut actual = built(machine, case, name, base);
    leave_out_volumes(&mut actual, &expected);
    leave_out_messages(&mut actual, &expected);
    let mut wrong = Vec::new();
    compare(name, &expected, &actual, &mut wrong);
    wrong
}

fn golden(file: &Path) -> Value {
    let text = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn name(case: &Path) -> &str {
    case.file_name().unwrap().to_str().unwrap()
}

/// Whether the Dockerfile runs a command: the rest is the same for every user.
fn runs(case: &Path) -> bool {
    let text = fs::read(case.join("Dockerfile")).unwrap();
    text.split(|&byte| byte == b'\n').any(|line| line.starts_with(b"RUN"))
}

/// Whether all this is in another user namespace than the machine's own, which has all ids.
fn is_rootless() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    !map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Whether a line `case case …: reason` of the file of reasons names the case.
fn explained(reasons: &str, name: &str) -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dockerfile-reasons");
    let file = folder.join(reasons);
    let text = fs::read_to_string(file).unwrap();
    let mut cases = text.lines().filter_map(|line| line.split_once(": "));
    cases.any(|(cases, _)| cases.split(' ').any(|case| case == name))
}

fn patch(value: &mut Value, change: Value) {
    let Value::Object(change) = change else {
        *value = change;
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    let members = value.as_object_mut().unwrap();
    for (name, change) in change {
        match change {
            Value::Null => drop(members.remove(&name)),
            change => patch(members.entry(name).or_insert(Value::Null), change),
        }
    }
}

/// Both may refuse a Dockerfile in their own words. Where BuildKit names a line, so must we.
fn leave_out_messages(actual: &mut Value, expected: &Value) {
    if expected.get("refused").is_some() && actual.get("refused").is_some() {
        actual["refused"] = expected["refused"].clone();
        if expected.get("line").is_none() {
            actual.as_object_mut().unwrap().remove("line");
        }
    }
}

/// A bundle has the directories of volumes, which the image need not have.
fn leave_out_volumes(actual: &mut Value, expected: &Value) {
    let Some(volumes) = expected["config"]["Volumes"].as_object() else { return };
    let leads_to = |path: &String| {
        volumes.keys().any(|volume| Path::new("/").join(volume).starts_with(format!("/{path}")))
    };
    let known = &expected["files"];
    let Some(files) = actual["files"].as_object_mut() else { return };
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

fn built(machine: &Machine, case: &Path, name: &str, base: &Base) -> Value {
    let context = machine.path(&format!("contexts/{name}"));
    fs::create_dir_all(&context).unwrap();
    fs::copy(case.join("Dockerfile"), context.join("Dockerfile")).unwrap();
    if case.join("context.sh").exists() {
        let shared = case.parent().unwrap().with_file_name("contexts");
        let mut script = Command::new("bash");
        script.arg("-eu").arg(case.join("context.sh")).env("CONTEXTS", shared);
        succeed(script.current_dir(&context));
    }
    let args = fs::read_to_string(case.join("args")).unwrap_or_default();
    let folder = context.to_str().unwrap();
    let mut words = vec!["-q".to_owned(), "-t".to_owned(), name.to_owned(), folder.to_owned()];
    words.extend(args.lines().map(|line| with_folder(line, folder)));
    let output = machine.any("tare-build", words);
    if !output.status.success() {
        return refusal(&output);
    }
    let digest = String::from_utf8(output.stdout).unwrap().trim_end().to_owned();
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
    let nothing = Base::new();
    let (files, removed) = changes(machine, name, if scratch { &nothing } else { base });
    let mut set = config["config"].as_object().cloned().unwrap_or_default();
    set.retain(|_, value| ![json!([]), json!({}), json!(""), Value::Null].contains(value));
    json!({"config": set, "files": files, "history": texts, "removed": removed})
}

/// An argument whose `@`, at the start or behind `=`, stands for the context's folder.
fn with_folder(argument: &str, folder: &str) -> String {
    match argument.strip_prefix('@') {
        Some(rest) => format!("{folder}{rest}"),
        None => argument.replace("=@", &format!("={folder}")),
    }
}

/// The error, and the line of the Dockerfile that it points to.
fn refusal(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    let mut refusal = json!({ "refused": said });
    if output.status.code() != Some(1) {
        refusal["status"] = json!(output.status.to_string());
    }
    let place = said.lines().find_map(|line| line.split_once("ockerfile:"));
    let number: String =
        place.iter().flat_map(|(_, rest)| rest.chars()).take_while(char::is_ascii_digit).collect();
    if let Ok(line) = number.parse::<u64>() {
        refusal["line"] = json!(line);
    }
    refusal
}

fn blob(machine: &Machine, digest: &Value) -> Value {
    let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
    let bytes = fs::read(machine.store().join("blobs/sha256").join(hex)).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// The files of the base, each with the metadata that tells at once that it was left alone.
type Base = HashMap<String, (Mark, Value)>;

/// What tells a file that was left alone.
#[derive(PartialEq, Eq)]
struct Mark {
    mode: u32,
    owner: (u32, u32),
    size: u64,
    time: (i64, i64),
}

impl Mark {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            size: metadata.size(),
            time: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// Mounts an image, and hands out its root, its files' paths and their metadata.
fn mounted<T>(
    machine: &Machine,
    image: &str,
    see: impl FnOnce(&Path, &[(String, fs::Metadata)]) -> T,
) -> T {
    let bundle = machine.text(&format!("bundles/{image}"));
    fs::create_dir_all(machine.path("bundles")).unwrap();
    machine.ok("tare-store", ["bundle", "-u", "0", image, &bundle, "true"]);
    let root = Path::new(&bundle).join("rootfs");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    let listed: Vec<_> =
        paths.iter().map(|path| (name(path), fs::symlink_metadata(path).unwrap())).collect();
    let seen = see(&root, &listed);
    machine.ok("tare-store", ["unbundle", &bundle]);
    seen
}

fn base(machine: &Machine) -> Base {
    machine.build("empty", &format!("FROM {BASE}\nENV NOTHING=\n"), &[]);
    mounted(machine, "empty", |root, files| {
        let known =
            |path: &String, metadata| (Mark::of(metadata), file(&root.join(path), metadata));
        files.iter().map(|(path, metadata)| (path.clone(), known(path, metadata))).collect()
    })
}

/// The files in which an image differs from its base, and the paths that the base alone has.
fn changes(machine: &Machine, image: &str, base: &Base) -> (Map<String, Value>, Vec<String>) {
    mounted(machine, image, |root, files| {
        let mut first: HashMap<u64, &str> = HashMap::new();
        let mut changed = Map::new();
        for (path, metadata) in files {
            let (known, before) = (*first.entry(metadata.ino()).or_insert(path), base.get(path));
            if known != path {
                changed.insert(path.clone(), json!({ "link": known }));
            } else if before.is_none_or(|(mark, _)| *mark != Mark::of(metadata)) {
                let now = file(&root.join(path), metadata);
                if before.is_none_or(|(_, before)| *before != now) {
                    changed.insert(path.clone(), now);
                }
            }
        }
        let there: HashSet<&str> = files.iter().map(|(path, _)| &**path).collect();
        let removed = base.keys().filter(|path| !there.contains(&***path));
        let mut removed: Vec<String> = removed.cloned().collect();
        removed.sort();
        (changed, removed)
    })
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
    let attributes = attributes(path);
    if !attributes.is_empty() {
        file["xattrs"] = attributes.into();
    }
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

/// The extended attributes by name, in hexadecimal digits.
fn attributes(path: &Path) -> Map<String, Value> {
    let mut names = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(path, &mut names).unwrap_or(0);
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let attribute = |name: &[u8]| {
        let name = String::from_utf8(name.to_vec()).unwrap();
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(path, &*name, &mut value).unwrap();
        let digits: String = value[..length].iter().map(|byte| format!("{byte:02x}")).collect();
        (name, json!(digits))
    };
    names.map(attribute).collect()
}
