//! What docker-registry serves arrives as it is: digests, formats, platforms, layers that are known.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use image::{ImageManifest, media_type};
use registry::{Options, Trust};
use serde_json::Value;
use store::Store;

use crate::docker_registry::{Registry, Setup};
use crate::fixture::{Layout, Recorder, hash, options, pull, reference, text};

fn registry() -> Registry {
    Registry::start(Setup::default())
}

fn skopeo(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("skopeo").args(arguments).output().expect("skopeo is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A layout without `tare/`, with an index of two platforms in it.
fn push_index(registry: &Registry, image: &str) -> Value {
    let source = Layout::new();
    let entry = |platform: &str, size| {
        let found = source.image(platform, &[size]);
        let (os, architecture) = platform.split_once('/').unwrap();
        serde_json::json!({
            "mediaType": media_type::MANIFEST, "digest": found.digest().to_string(),
            "size": found.size(), "platform": {"os": os, "architecture": architecture},
        })
    };
    let entries = [entry("linux/amd64", 1000), entry("linux/arm64", 2000)];
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": entries,
    });
    let blob = source.store.put_blob(media_type::INDEX, index.to_string().as_bytes()).unwrap();
    source.store.tag(&"index".parse().unwrap(), &blob).unwrap();
    registry.push(source.path(), image, &["--all"]);
    index
}

#[test]
fn an_image_arrives_with_its_digest_and_skopeo_reads_it() {
    let registry = registry();
    let (source, image) = Layout::with_image("linux/amd64", &[100, 3_000_000, 0]);
    registry.push(source.path(), "team/app:1", &[]);
    let store = Layout::new();
    let name = registry.name("team/app:1");
    let pulled = pull(&store, &name, &options()).unwrap();
    assert_eq!(hash(&pulled.manifest), hash(&image));
    assert_eq!(pulled.platform.to_string(), "linux/amd64");
    store.check(1);
    assert_eq!(store.named(&name).unwrap().digest(), image.digest());
    let raw = skopeo(&["inspect", "--raw", &format!("oci:{}:{name}", store.path().display())]);
    assert_eq!(raw, source.blob(&image));
    skopeo_accepts_all_blobs(store.path(), &name);
}

/// skopeo checks every digest that it copies.
fn skopeo_accepts_all_blobs(layout: &Path, name: &str) {
    let copy = tempfile::tempdir().unwrap();
    let (from, to) =
        (format!("oci:{}:{name}", layout.display()), format!("dir:{}", copy.path().display()));
    skopeo(&["copy", "--quiet", &from, &to]);
}

#[test]
fn docker_schema_2_stays_as_it_is() {
    let registry = registry();
    let (source, _) = Layout::with_image("linux/amd64", &[500]);
    registry.push(source.path(), "app:docker", &["--format=v2s2"]);
    let store = Layout::new();
    let name = registry.name("app:docker");
    let pulled = pull(&store, &name, &options()).unwrap();
    assert_eq!(pulled.manifest.media_type().as_ref(), media_type::DOCKER_MANIFEST);
    let remote = skopeo(&["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")]);
    assert_eq!(store.blob(&pulled.manifest), remote);
    store.check(1);
}

#[test]
fn an_index_gives_the_image_of_the_platform() {
    let registry = registry();
    let index = push_index(&registry, "multi:1");
    for (number, platform) in ["linux/amd64", "linux/arm64"].into_iter().enumerate() {
        let store = Layout::new();
        let wanted = Options { platform: Some(platform.parse().unwrap()), ..options() };
        let pulled = pull(&store, &registry.name("multi:1"), &wanted).unwrap();
        assert_eq!(pulled.manifest.digest().to_string(), index["manifests"][number]["digest"]);
        assert_eq!(pulled.platform.to_string(), platform);
        store.check(1);
    }
    let wanted = Options { platform: Some("linux/s390x".parse().unwrap()), ..options() };
    let store = Layout::new();
    let error = pull(&store, &registry.name("multi:1"), &wanted).unwrap_err();
    assert!(text(&error).contains("no image for linux/s390x, only for linux/amd64, linux/arm64"));
    assert!(error.hint().unwrap().contains("--platform"));
    store.check(0);
}

#[test]
fn a_lone_image_of_another_platform_is_taken_only_where_none_was_asked_for() {
    let registry = registry();
    let (source, _) = Layout::with_image("linux/s390x", &[10]);
    registry.push(source.path(), "foreign", &[]);
    let store = Layout::new();
    let error = pull(&store, &registry.name("foreign"), &options()).unwrap_err();
    assert!(text(&error).contains("the image is for linux/s390x, not for linux/amd64"));
    store.check(0);
    let any = Options { platform: None, ..options() };
    let pulled = pull(&store, &registry.name("foreign"), &any).unwrap();
    assert_eq!(pulled.platform.to_string(), "linux/s390x");
    store.check(1);
}

#[test]
fn a_digest_pins_the_image_and_beats_the_tag() {
    let registry = registry();
    let (old, pinned) = Layout::with_image("linux/amd64", &[10]);
    registry.push(old.path(), "app:1", &[]);
    let (new, _) = Layout::with_image("linux/amd64", &[20]);
    registry.push(new.path(), "app:1", &[]);
    for name in [format!("app@{}", pinned.digest()), format!("app:1@{}", pinned.digest())] {
        let store = Layout::new();
        let name = registry.name(&name);
        let pulled = pull(&store, &name, &options()).unwrap();
        assert_eq!(pulled.manifest.digest(), pinned.digest());
        assert_eq!(store.named(&name).unwrap().digest(), pinned.digest());
        store.check(1);
    }
}

#[test]
fn what_the_store_has_is_not_asked_for() {
    let registry = registry();
    let source = Layout::new();
    let small = source.image("linux/amd64", &[1000, 2000]);
    source.store.tag(&"small".parse().unwrap(), &small).unwrap();
    registry.push(source.path(), "app:1", &[]);
    source.store.untag("small").unwrap();
    let large = source.image("linux/amd64", &[1000, 2000, 3000]);
    source.store.tag(&"large".parse().unwrap(), &large).unwrap();
    registry.push(source.path(), "app:2", &[]);
    let store = Layout::new();
    let events = |name: &str| {
        let recorder = Recorder::default();
        let name = reference(&registry.name(name));
        registry::pull(&store.store, &name, &options(), &recorder, &AtomicBool::new(false))
            .unwrap();
        (recorder.count("Known"), recorder.count("Started"), recorder.count("Done"))
    };
    assert_eq!(events("app:1"), (0, 3, 3));
    assert_eq!(events("app:2"), (2, 2, 2));
    assert_eq!(events("app:2"), (4, 0, 0));
    store.check(2);
}

#[test]
fn a_layer_that_stands_twice_in_the_manifest_is_fetched_once() {
    let registry = registry();
    let (source, image) = Layout::with_image("linux/amd64", &[700, 700, 700]);
    let manifest: ImageManifest = serde_json::from_slice(&source.blob(&image)).unwrap();
    assert_eq!(manifest.layers().len(), 3);
    registry.push(source.path(), "app", &[]);
    let (store, recorder) = (Layout::new(), Recorder::default());
    let name = reference(&registry.name("app"));
    registry::pull(&store.store, &name, &options(), &recorder, &AtomicBool::new(false)).unwrap();
    assert_eq!(recorder.count("Started"), 2);
    store.check(1);
}

#[test]
fn tls_is_spoken_with_a_known_authority_and_refused_without() {
    let registry = Registry::start(Setup { tls: true, ..Setup::default() });
    let (source, image) = Layout::with_image("linux/amd64", &[2000]);
    registry.push(source.path(), "app", &[]);
    let name = registry.name("app");
    let store = Layout::new();
    let error = pull(&store, &name, &options()).unwrap_err();
    assert!(text(&error).contains("certificate"), "{}", text(&error));
    assert!(
        error.hint().unwrap().contains("/etc/containers/certs.d/127.0.0.1:"),
        "{:?}",
        error.hint()
    );
    store.check(0);
    for trust in [Trust::Authorities(vec![registry.authority()]), Trust::Anybody] {
        let store = Layout::new();
        let pulled = pull(&store, &name, &Options { trust, ..options() }).unwrap();
        assert_eq!(pulled.manifest.digest(), image.digest());
        store.check(1);
    }
}

#[test]
fn a_registry_that_wants_to_see_a_certificate_is_shown_ours() {
    let setup = Setup { tls: true, client_certificates: true, ..Setup::default() };
    let registry = Registry::start(setup);
    let trust = Trust::Authorities(vec![registry.authority()]);
    let unknown = Options { trust, ..options() };
    let (store, name) = (Layout::new(), registry.name("app"));
    let error = text(&pull(&store, &name, &unknown).unwrap_err());
    assert!(error.contains("ertificate"), "{error}");

    let certs_d = registry.certs_d();
    let known = Options { certs_d: vec![certs_d.clone()], ..options() };
    let error = text(&pull(&store, &name, &known).unwrap_err());
    assert!(error.contains("404 Not Found"), "it lets us in: {error}");

    let key = certs_d.join(format!("127.0.0.1:{}/client.key", registry.port));
    std::fs::copy(certs_d.with_file_name("server.key"), &key).unwrap();
    let error = text(&pull(&store, &name, &known).unwrap_err());
    assert!(error.contains("cannot use the client certificate"), "{error}");
    std::fs::write(&key, "no key").unwrap();
    let error = text(&pull(&store, &name, &known).unwrap_err());
    assert!(error.contains("client.key: it is no private key"), "{error}");
}

#[test]
fn certificates_that_cannot_be_read_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let (empty, missing) =
        (directory.path().join("empty.pem"), directory.path().join("missing.pem"));
    std::fs::write(&empty, "nothing here").unwrap();
    for (file, want) in [(empty, "none in it"), (missing, "No such file")] {
        let trust = Trust::Authorities(vec![file.clone()]);
        let error =
            pull(&Layout::new(), "quay.io/a/b", &Options { trust, ..options() }).unwrap_err();
        let text = text(&error);
        assert!(text.contains(want) && text.contains(file.to_str().unwrap()), "{text}");
    }
}

#[test]
fn what_is_not_there_is_named_with_the_registrys_own_words() {
    let registry = registry();
    let (source, _) = Layout::with_image("linux/amd64", &[10]);
    registry.push(source.path(), "app:1", &[]);
    let store = Layout::new();
    for (image, words) in [("app:2", "manifest unknown"), ("nothing:1", "MANIFEST_UNKNOWN")] {
        let error = pull(&store, &registry.name(image), &options()).unwrap_err();
        let text = text(&error);
        let repository = image.split(':').next().unwrap();
        for part in [words, "404 Not Found", repository, &format!("127.0.0.1:{}", registry.port)] {
            assert!(text.contains(part), "{text} / {part}");
        }
        let hint = error.hint().unwrap();
        assert!(
            hint.contains(&format!("tare-store list-tags {}", registry.name(repository))),
            "{hint}"
        );
    }
    store.check(0);
}

#[test]
fn a_blob_that_is_damaged_in_the_registry_is_refused() {
    let registry = registry();
    let (source, image) = Layout::with_image("linux/amd64", &[50_000]);
    registry.push(source.path(), "app", &[]);
    let manifest: ImageManifest = serde_json::from_slice(&source.blob(&image)).unwrap();
    let layer = manifest.layers()[0].digest().to_string();
    let file = registry.blob_file(&layer);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[25_000] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let store = Layout::new();
    let error = pull(&store, &registry.name("app"), &options()).unwrap_err();
    let text = text(&error);
    assert!(text.contains("its digest is") && text.contains(&layer), "{text}");
    store.check(0);
}

#[test]
fn two_pulls_of_one_image_at_once_are_one_image() {
    let registry = registry();
    let (source, image) = Layout::with_image("linux/amd64", &[2_000_000, 1_000_000]);
    registry.push(source.path(), "app", &[]);
    let (store, name) = (Layout::new(), registry.name("app"));
    std::thread::scope(|scope| {
        let pulls = [(); 3].map(|()| {
            scope.spawn(|| {
                let own = Store::open(store.path()).unwrap();
                let never = AtomicBool::new(false);
                registry::pull(&own, &reference(&name), &options(), &(), &never).unwrap()
            })
        });
        for pull in pulls {
            assert_eq!(pull.join().unwrap().manifest.digest(), image.digest());
        }
    });
    store.check(1);
}
