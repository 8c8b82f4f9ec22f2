//! Caches that are taken along: in a directory, in the image, in a registry.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../tare-store/tests/docker_registry/mod.rs"]
mod docker_registry;
mod machine;

use std::fs;
use std::path::{Path, PathBuf};

use docker_registry::Registry;
use machine::{Machine, Said};
use serde_json::Value;

const DOCKERFILE: &str = "\
FROM busybox:base AS made
COPY list.txt /
RUN wc -c < /list.txt > /count; echo x > /other
FROM busybox:base
WORKDIR /srv
COPY --from=made /count /count
COPY --link list.txt /again
RUN cat /count > /copy
";

/// So many steps, FROM left out.
const STEPS: usize = 6;

fn app() -> Machine {
    let machine = Machine::new();
    machine.file("list.txt", "a\n");
    machine
}

/// Another machine with the same context, on which nothing was built.
fn fresh() -> Machine {
    app()
}

fn cached(said: &Said) -> usize {
    assert_eq!(said.code, Some(0), "{}", said.err);
    // The FROM of each of two stages is no step of its own.
    said.cached() - 2
}

fn local(path: &Path, rest: &str) -> String {
    format!("type=local,{rest}={}", path.display())
}

fn blobs(cache: &Path) -> Vec<PathBuf> {
    fs::read_dir(cache.join("blobs/sha256")).unwrap().map(|it| it.unwrap().path()).collect()
}

#[test]
fn through_a_directory_to_another_machine() {
    let machine = app();
    let cache = machine.path("cache");
    let to = local(&cache, "dest");
    for (mode, hits) in [("max", STEPS), ("min", STEPS - 2)] {
        for compression in ["", ",compression=zstd"] {
            let to = format!("{to},mode={mode}{compression}");
            let said = machine.build(DOCKERFILE, &["--cache-to", &to]);
            assert_eq!(said.code, Some(0), "{}", said.err);
            let other = fresh();
            let from = local(&cache, "src");
            let again = other.build(DOCKERFILE, &["--cache-from", &from]);
            assert_eq!(cached(&again), hits, "{mode}{compression}: {}", again.err);
            assert!(!again.err.contains("warning"), "{}", again.err);
            // The layers are those files, compressed or not.
            let check = format!("{DOCKERFILE}RUN test $(cat /copy) = 2\n");
            assert_eq!(cached(&other.build(&check, &[])), STEPS);
            if compression.is_empty() && mode == "max" {
                let layers = machine.layers(said.out.trim());
                assert_eq!(other.layers(again.out.trim()), layers);
            }
            other.assert_clean();
        }
    }
}

/// An export replaces the one before, and what nothing names any more goes.
#[test]
fn a_directory_does_not_grow() {
    let machine = app();
    let cache = machine.path("cache");
    let to = local(&cache, "dest") + ",mode=max";
    machine.built(DOCKERFILE, &["--cache-to", &to]);
    let first = blobs(&cache);
    for text in ["b\n", "c\n", "d\n"] {
        machine.file("list.txt", text);
        machine.built(DOCKERFILE, &["--cache-to", &to]);
        assert_eq!(blobs(&cache).len(), first.len(), "{text}");
    }
    machine.built(DOCKERFILE, &["--cache-to", &(to.clone() + ",tag=other")]);
    machine.built("FROM busybox:base\nRUN true\n", &["--cache-to", &to]);
    let other = fresh();
    other.file("list.txt", "d\n");
    let from = local(&cache, "src") + ",tag=other";
    assert_eq!(cached(&other.build(DOCKERFILE, &["--cache-from", &from])), STEPS);
    let left = fs::read_dir(&cache).unwrap().map(|it| it.unwrap().file_name());
    let mut left: Vec<_> = left.map(|name| name.into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["blobs", "index.json", "oci-layout"]);
}

/// Whoever changed a blob, or cut it off: it is refused by its digest, and the build does without.
#[test]
fn what_is_not_what_it_says_is_refused() {
    let machine = app();
    for name in ["poisoned", "truncated"] {
        for number in 0..4 {
            let cache = machine.path(&format!("{name}{number}"));
            let to = local(&cache, "dest") + ",mode=max";
            machine.built(DOCKERFILE, &["--cache-to", &to]);
            let mut blobs = blobs(&cache);
            blobs.sort();
            let blob = &blobs[number * blobs.len() / 4];
            let mut bytes = fs::read(blob).unwrap();
            match name {
                "poisoned" => *bytes.last_mut().unwrap() ^= 1,
                _ => bytes.truncate(bytes.len() / 2),
            }
            fs::write(blob, bytes).unwrap();
            let other = fresh();
            let from = local(&cache, "src");
            let said = other.build(DOCKERFILE, &["--cache-from", &from]);
            assert_eq!(cached(&said), 0, "{}", said.err);
            assert!(
                said.err.contains(&format!("no cache from {}", cache.display())),
                "{}",
                said.err
            );
            let digest = blob.file_name().unwrap().to_str().unwrap();
            assert!(said.err.contains(digest), "{digest} is not named: {}", said.err);
            assert_eq!(other.cat(said.out.trim(), "copy"), "2\n");
        }
    }
}

/// A layer that is whole but not the one that the configuration says.
#[test]
fn a_layer_under_a_false_name_is_refused() {
    let machine = app();
    let cache = machine.path("cache");
    machine.built(DOCKERFILE, &["--cache-to", &(local(&cache, "dest") + ",mode=max")]);
    let read = |path: &Path| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
    let blob = |digest: &str| cache.join("blobs/sha256").join(&digest["sha256:".len()..]);
    let store = |value: &Value| {
        let path = machine.path("new");
        fs::write(&path, serde_json::to_vec(value).unwrap()).unwrap();
        let sum = std::process::Command::new("sha256sum").arg(&path).output().unwrap();
        let hex = String::from_utf8(sum.stdout).unwrap()[..64].to_owned();
        let size = fs::metadata(&path).unwrap().len();
        fs::rename(path, cache.join("blobs/sha256").join(&hex)).unwrap();
        (format!("sha256:{hex}"), size)
    };
    let mut index = read(&cache.join("index.json"));
    let mut manifest = read(&blob(index["manifests"][0]["digest"].as_str().unwrap()));
    let mut config = read(&blob(manifest["config"]["digest"].as_str().unwrap()));
    config["rootfs"]["diff_ids"].as_array_mut().unwrap().reverse();
    let renamed = |value: &Value, place: &mut Value| {
        let (digest, size) = store(value);
        place["digest"] = digest.into();
        place["size"] = size.into();
    };
    renamed(&config, &mut manifest["config"]);
    renamed(&manifest, &mut index["manifests"][0]);
    fs::write(cache.join("index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
    let other = fresh();
    let said = other.build(DOCKERFILE, &["--cache-from", &local(&cache, "src")]);
    assert_eq!(cached(&said), 0, "{}", said.err);
    assert!(said.err.contains("no cache from"), "{}", said.err);
}

/// The image has its cache in it, and a rebuild that does nothing gives the same image.
#[test]
fn inline_in_the_image() {
    let machine = app();
    let said = machine.build(DOCKERFILE, &["--cache-to", "type=inline"]);
    let again = machine.build(DOCKERFILE, &["--build-arg", "BUILDKIT_INLINE_CACHE=1"]);
    assert_eq!(again.out, said.out, "{}", again.err);
    assert!(machine.config(said.out.trim())["tare.cache.v1"]["records"].is_array());
    let plain = machine.built(DOCKERFILE, &[]);
    assert!(machine.config(&plain)["tare.cache.v1"].is_null());
    // Whoever has the image has the cache: here by copying it as a layout.
    let other = fresh();
    let store = machine.path("store");
    let from = format!("type=local,src={},digest={}", store.display(), said.out.trim());
    let built = other.build(DOCKERFILE, &["--cache-from", &from, "--cache-to", "type=inline"]);
    assert_eq!(cached(&built), STEPS - 2, "{}", built.err);
    assert_eq!(
        machine.manifest(said.out.trim())["layers"],
        other.manifest(built.out.trim())["layers"]
    );
}

/// Docker's own registry keeps it, and an image that was pushed has its cache with it.
#[test]
fn through_a_registry() {
    let registry = Registry::start();
    let machine = app();
    let name = registry.name("app:cache");
    let to = format!("type=registry,ref={name},mode=max");
    machine.built(DOCKERFILE, &["--cache-to", &to]);
    assert_eq!(machine.names().len(), 1, "the cache has no name here");
    let other = fresh();
    let built = other.build(DOCKERFILE, &["--cache-from", &name]);
    assert_eq!(cached(&built), STEPS, "{}", built.err);
    assert_eq!(other.names().len(), 1);
    let image = registry.name("app:1");
    machine.built(DOCKERFILE, &["-t", &image, "--cache-to", "type=inline"]);
    machine::assert_ok(&machine.command("tare-store").args(["push", &image]).output().unwrap());
    let other = fresh();
    let built = other.build(DOCKERFILE, &["--cache-from", &format!("type=registry,ref={image}")]);
    assert_eq!(cached(&built), STEPS - 2, "{}", built.err);
    let gone = "type=registry,ref=127.0.0.1:9/x";
    machine
        .build(DOCKERFILE, &["--cache-to", gone])
        .refused(&["export the cache to 127.0.0.1:9/x"]);
}

#[test]
fn what_is_no_cache_is_a_warning() {
    let machine = app();
    let nothing = local(&machine.path("nothing"), "src");
    let store = local(&machine.path("store"), "src");
    let args = ["--cache-from", &nothing, "--cache-from", &store, "--cache-from", "127.0.0.1:9/x"];
    let said = machine.build(DOCKERFILE, &args);
    assert_eq!(said.code, Some(0), "{}", said.err);
    for why in ["there is no cache of that name", "127.0.0.1:9/x", "without a build cache"] {
        assert!(said.err.contains(why), "{why:?} is not in: {}", said.err);
    }
    let file = machine.file("file", "");
    let into = local(&file, "dest");
    machine.build(DOCKERFILE, &["--cache-to", &into]).refused(&["write the cache to"]);
    let said = machine.build(DOCKERFILE, &["--cache-to", &(into + ",ignore-error=true")]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.contains("warning"), "{}", said.err);
}
