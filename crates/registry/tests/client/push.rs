//! Pushes that should work, read back by skopeo and by ourselves.

use std::process::Command;

use image::manifest::{digest, index};
use image::media_type::{self, Compression};
use image::{Descriptor, ImageConfig, ImageIndex, ImageManifest, Platform};
use registry::{Credentials, Options, Parcel, Trust};
use serde_json::Value;
use store::{LayerForm, Recipe};

use crate::docker_registry::{PASSWORD, Registry, Setup};
use crate::fixture::{Layout, hash, options, parcel, pull, push};

/// What skopeo finds under a name: the bytes of the manifest.
fn skopeo_raw(registry: &Registry, image: &str) -> Vec<u8> {
    let name = format!("docker://{}", registry.name(image));
    let output = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false", &name])
        .output()
        .expect("skopeo is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Has skopeo fetch an image with all its blobs, which checks every digest.
fn skopeo_copies(registry: &Registry, image: &str) {
    let target = tempfile::tempdir().unwrap();
    let output = Command::new("skopeo")
        .args(["copy", "--quiet", "--all", "--src-tls-verify=false"])
        .arg(format!("docker://{}", registry.name(image)))
        .arg(format!("oci:{}:x", target.path().display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn manifest_of(bytes: &[u8]) -> ImageManifest {
    serde_json::from_slice(bytes).unwrap()
}

fn types(manifest: &ImageManifest) -> Vec<String> {
    manifest.layers().iter().map(|layer| layer.media_type().to_string()).collect()
}

/// Reads all layers of a pulled image: each must be the tar that its configuration names.
fn layers_are_whole(store: &Layout, image: &Descriptor) {
    let read = store.store.image(image, &"linux/amd64".parse().unwrap()).unwrap();
    for (layer, diff_id) in read.layers() {
        let layer = store.store.layer(&layer, &diff_id).unwrap();
        assert_eq!(layer.changeset().unwrap().len(), 1);
    }
}

#[test]
fn what_was_built_is_compressed_once_and_pushing_again_sends_nothing() {
    let registry = Registry::start(Setup::default());
    let store = Layout::new();
    let image = store.built("linux/amd64", &[("a", 3_000_000), ("b", 70_000), ("c", 0)]);
    store.store.tag(&"app".parse().unwrap(), &image).unwrap();
    let name = registry.name("team/app:1");

    let (pushed, heard) = push(&store, parcel(&image), &name, &options()).unwrap();
    assert_eq!(heard.count("Compressing"), 3);
    assert_eq!((heard.count("Started"), heard.count("Known")), (4, 0));
    let raw = skopeo_raw(&registry, "team/app:1");
    assert_eq!(image::Digest::of(&raw).to_string(), pushed.manifest.digest().to_string());
    assert_eq!(types(&manifest_of(&raw)), [media_type::LAYER_GZIP; 3]);
    skopeo_copies(&registry, "team/app:1");
    store.check(1);

    let (again, heard) = push(&store, parcel(&image), &name, &options()).unwrap();
    assert_eq!(again.manifest, pushed.manifest);
    assert_eq!(
        [heard.count("Compressing"), heard.count("Started"), heard.count("Known")],
        [0, 0, 4]
    );

    let fresh = Layout::new();
    let pulled = pull(&fresh, &name, &options()).unwrap();
    assert_eq!(pulled.manifest.digest(), pushed.manifest.digest());
    layers_are_whole(&fresh, &pulled.manifest);
}

#[test]
fn what_was_pulled_is_pushed_byte_for_byte_and_mounted_where_it_can_be() {
    let registry = Registry::start(Setup::default());
    let (source, image) = Layout::with_image("linux/amd64", &[500_000, 10]);
    registry.push(source.path(), "base:1", &[]);
    let store = Layout::new();
    let pulled = pull(&store, &registry.name("base:1"), &options()).unwrap();

    let target = registry.name("other/app:2");
    let (pushed, heard) = push(&store, parcel(&pulled.manifest), &target, &options()).unwrap();
    assert_eq!(pushed.manifest.digest(), image.digest());
    // The configuration is no layer: it is small, and sent.
    assert_eq!((heard.count("Mounted"), heard.count("Started")), (2, 1));
    assert_eq!(skopeo_raw(&registry, "other/app:2"), source.blob(&image));
    skopeo_copies(&registry, "other/app:2");
}

#[test]
fn compressed_layers_are_known_in_other_repositories_too() {
    let registry = Registry::start(Setup::default());
    let store = Layout::new();
    let image = store.built("linux/amd64", &[("a", 100_000)]);
    let first = registry.name("first:1");
    store.store.tag(&first.parse().unwrap(), &image).unwrap();
    push(&store, parcel(&image), &first, &options()).unwrap();
    let second = registry.name("second:1");
    let (_, heard) = push(&store, parcel(&image), &second, &options()).unwrap();
    assert_eq!(heard.count("Mounted"), 1);
}

#[test]
fn each_compression_reads_back_as_the_same_tar() {
    let registry = Registry::start(Setup::default());
    let store = Layout::new();
    let image = store.built("linux/amd64", &[("a", 2_500_000)]);
    for (compression, level, kind) in [
        (Compression::Zstd, Some(19), media_type::LAYER_ZSTD),
        (Compression::Gzip, Some(1), media_type::LAYER_GZIP),
        (Compression::None, None, media_type::LAYER),
    ] {
        let form = LayerForm::All(Recipe::new(compression, level).unwrap());
        let name = registry.name(&format!("app:{compression:?}").to_lowercase());
        let parcel = Parcel { form, ..parcel(&image) };
        let (pushed, _) = push(&store, parcel, &name, &options()).unwrap();
        let fresh = Layout::new();
        let pulled = pull(&fresh, &name, &options()).unwrap();
        assert_eq!(pulled.manifest.digest(), pushed.manifest.digest());
        assert_eq!(types(&manifest_of(&fresh.blob(&pulled.manifest))), [kind]);
        layers_are_whole(&fresh, &pulled.manifest);
    }
}

#[test]
fn layers_that_are_compressed_can_be_compressed_otherwise() {
    let registry = Registry::start(Setup::default());
    let (store, name) = (Layout::new(), registry.name("app:gzip"));
    let image = store.built("linux/amd64", &[("a", 300_000)]);
    push(&store, parcel(&image), &name, &options()).unwrap();
    let fresh = Layout::new();
    let pulled = pull(&fresh, &name, &options()).unwrap();
    let form = LayerForm::All(Recipe::new(Compression::Zstd, None).unwrap());
    let zstd = Parcel { form, ..parcel(&pulled.manifest) };
    push(&fresh, zstd, &registry.name("app:zstd"), &options()).unwrap();
    let raw = skopeo_raw(&registry, "app:zstd");
    assert_eq!(types(&manifest_of(&raw)), [media_type::LAYER_ZSTD]);
    skopeo_copies(&registry, "app:zstd");
}

/// An index of two images and an attestation of the first, as BuildKit makes it.
fn index_with_attestation(store: &Layout) -> Descriptor {
    let amd64 = store.built("linux/amd64", &[("a", 9000)]);
    let arm64 = store.built("linux/arm64", &[("b", 9000)]);
    let statement = store.store.put_blob("application/vnd.in-toto+json", b"{}").unwrap();
    let config = store.store.put_blob(media_type::CONFIG, br#"{"rootfs":{"type":"layers","diff_ids":[]},"architecture":"unknown","os":"unknown"}"#).unwrap();
    let manifest = image::manifest::manifest(config, vec![statement]);
    let mut attestation = store.store.put_manifest(&manifest).unwrap();
    let about = amd64.digest().to_string();
    let pairs = [
        ("vnd.docker.reference.digest".to_owned(), about),
        ("vnd.docker.reference.type".to_owned(), "attestation-manifest".to_owned()),
    ];
    attestation.set_annotations(Some(pairs.into()));
    let platform = |name: &str| name.parse::<Platform>().unwrap();
    let index = index([
        (amd64, platform("linux/amd64")),
        (arm64, platform("linux/arm64")),
        (attestation, platform("unknown/unknown")),
    ]);
    store.store.put_json(media_type::INDEX, &index).unwrap()
}

#[test]
fn an_index_is_pushed_with_all_that_it_names() {
    let registry = Registry::start(Setup::default());
    let store = Layout::new();
    let image = index_with_attestation(&store);
    let (pushed, _) = push(&store, parcel(&image), &registry.name("all:1"), &options()).unwrap();
    let raw = skopeo_raw(&registry, "all:1");
    assert_eq!(image::Digest::of(&raw), hash(&pushed.manifest));
    let index: ImageIndex = serde_json::from_slice(&raw).unwrap();
    let [amd64, arm64, attestation] = &index.manifests()[..] else { panic!("{index:?}") };
    assert_eq!(arm64.platform().as_ref().unwrap().architecture().to_string(), "arm64");
    let about = &attestation.annotations().as_ref().unwrap()["vnd.docker.reference.digest"];
    assert_eq!(*about, amd64.digest().to_string());
    skopeo_copies(&registry, "all:1");

    let arm: Platform = "linux/arm64".parse().unwrap();
    let one = Parcel { platform: Some(&arm), ..parcel(&image) };
    let (pushed, _) = push(&store, one, &registry.name("one:1"), &options()).unwrap();
    assert_eq!(pushed.manifest.digest(), arm64.digest());
    let config: Value = {
        let manifest = manifest_of(&skopeo_raw(&registry, "one:1"));
        let config: ImageConfig = serde_json::from_slice(&store.blob(manifest.config())).unwrap();
        serde_json::to_value(config).unwrap()
    };
    assert_eq!(config["architecture"], "arm64");
}

#[test]
fn an_image_that_is_not_changed_keeps_its_digest_and_its_index() {
    let registry = Registry::start(Setup::default());
    let store = Layout::new();
    let image = index_with_attestation(&store);
    let kept = Parcel { form: LayerForm::AsStored, ..parcel(&image) };
    let pinned = registry.name(&format!("kept@{}", image.digest()));
    let (pushed, _) = push(&store, kept, &pinned, &options()).unwrap();
    assert_eq!(pushed.manifest.digest(), image.digest());
    assert_eq!(skopeo_raw(&registry, &format!("kept@{}", image.digest())), store.blob(&image));
}

#[test]
fn over_tls_with_a_login() {
    let registry = Registry::start(Setup { tls: true, login: true, ..Setup::default() });
    let store = Layout::new();
    let image = store.built("linux/amd64", &[("a", 10_000)]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("auth.json");
    let auth = base64_of(&format!("tester:{PASSWORD}"));
    let host = registry.name("");
    let host = host.trim_end_matches('/');
    let text = format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#);
    std::fs::write(&file, text).unwrap();
    let known = Options {
        trust: Trust::Authorities(vec![registry.authority()]),
        credentials: Credentials::read([file]).unwrap(),
        ..options()
    };
    let name = registry.name("private/app:1");
    let (pushed, _) = push(&store, parcel(&image), &name, &known).unwrap();
    let fresh = Layout::new();
    let pulled = pull(&fresh, &name, &known).unwrap();
    assert_eq!(digest(&pulled.manifest).unwrap(), hash(&pushed.manifest));

    // The same from a directory for this registry alone.
    let own = directory.path().join(host);
    std::fs::create_dir(&own).unwrap();
    std::fs::copy(registry.authority(), own.join("ca.crt")).unwrap();
    let certs_d = vec![directory.path().to_owned()];
    let by_directory = Options { trust: Trust::BuiltIn, certs_d, ..known.clone() };
    push(&store, parcel(&image), &name, &by_directory).unwrap();

    let stranger = Options { credentials: Credentials::default(), ..known };
    let error = push(&store, parcel(&image), &name, &stranger).err().unwrap();
    let text = crate::fixture::text(&error);
    assert!(text.contains("the registry asks for a login"), "{text}");
    assert!(error.hint().unwrap().contains("log in"), "{:?}", error.hint());
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
