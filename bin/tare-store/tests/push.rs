//! `tare-store push` as users meet it, against a real registry. What registries may do is tested where
//! the client is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod docker_registry;
mod support;

use std::process::Command;

use docker_registry::Registry;
use support::World;

/// What skopeo finds: the digest of the manifest, and the type of its first layer.
fn skopeo(name: &str) -> (String, String) {
    let output = Command::new("skopeo")
        .args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{name}")])
        .output()
        .expect("skopeo is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let manifest: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let kind = manifest["layers"][0]["mediaType"].as_str().unwrap();
    (image::Digest::of(&output.stdout).to_string(), kind.to_owned())
}

#[test]
fn the_digest_is_printed_and_written_and_stays_the_same() {
    let (world, registry) = (World::with_image(), Registry::start());
    let name = registry.name("team/box:1");
    let file = world.path("digest");
    let digest = world.ok(&["push", "-q", "--digestfile", file.to_str().unwrap(), "box", &name]);
    let kind = image::media_type::LAYER_GZIP.to_owned();
    assert_eq!(skopeo(&name), (digest.clone(), kind));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), digest);
    // By its own name, and with the transport that skopeo writes.
    world.ok(&["tag", "box", &name]);
    assert_eq!(world.ok(&["push", "-q", &name]), digest);
    assert_eq!(world.ok(&["push", "-q", "box", &format!("docker://{name}")]), digest);
}

#[test]
fn without_a_tag_the_digest_is_the_name() {
    let (world, registry) = (World::with_image(), Registry::start());
    let name = registry.name("box");
    let digest = world.ok(&["push", "-q", "--by-digest", "box", &name]);
    assert_eq!(skopeo(&format!("{name}@{digest}")).0, digest);
    let tags = world.run(&["list-tags", &name]);
    assert!(!tags.out.contains("latest"), "{}", tags.out);
}

#[test]
fn what_is_pulled_to_run_is_unpacked_on_its_way() {
    let (world, registry) = (World::with_image(), Registry::start());
    let name = registry.name("box:1");
    world.ok(&["push", "-q", "box", &name]);
    let config = world.json(&["inspect", "--config", "box"]);
    let diff_id = config["rootfs"]["diff_ids"][0].as_str().unwrap();
    let tar = format!("store/tare/layers/{}.tar", diff_id.trim_start_matches("sha256:"));
    let other = World::new();
    other.ok(&["pull", "-q", &name]);
    assert!(!other.path(&tar).exists(), "nobody asked for it");
    let other = World::new();
    other.ok(&["pull", "-q", "--unpack", &name]);
    let unpacked = std::fs::read(other.path(&tar)).unwrap();
    assert_eq!(image::Digest::of(unpacked).to_string(), diff_id);
}

#[test]
fn the_compression_is_chosen() {
    let (world, registry) = (World::with_image(), Registry::start());
    for (flags, ending) in [
        (&["--compression=zstd", "--compression-level=12"][..], "+zstd"),
        (&["--compression-format=gzip", "--compression-level=1"], "+gzip"),
        (&["--compression=uncompressed"], ".tar"),
        (&["--compression=keep"], ".tar"),
        (&["--compression-level=9"], "+gzip"),
    ] {
        let name = registry.name("box:x");
        world.ok(&[&["push", "-q"], flags, &["box", &name]].concat());
        let kind = skopeo(&name).1;
        assert!(kind.ends_with(ending), "{flags:?}: {kind}");
    }
    let level =
        world.run(&["push", "-q", "--compression=gzip", "--compression-level=12", "box", "a/b"]);
    assert_eq!(level.code, 2);
    assert!(level.err.contains("gzip has the compression levels 0 to 9, not 12"), "{}", level.err);
}

#[test]
fn compressed_layers_go_with_their_layer() {
    let (world, registry) = (World::with_image(), Registry::start());
    world.ok(&["push", "-q", "box", &registry.name("box:1")]);
    let layers = || {
        let names = std::fs::read_dir(world.path("store/tare/layers")).unwrap();
        let mut names: Vec<_> = names.map(|it| it.unwrap().file_name()).collect();
        names.sort();
        names.into_iter().map(|name| name.into_string().unwrap()).collect::<Vec<_>>()
    };
    let endings: Vec<_> =
        layers().iter().map(|name| name.split_once('.').unwrap().1.to_owned()).collect();
    assert_eq!(endings, ["gzip-5", "gzip-5.json", "tar", "toc"]);
    assert_eq!(world.run(&["gc"]).code, 0);
    assert_eq!(layers().len(), 4);
    world.ok(&["rm", "box"]);
    assert_eq!(world.run(&["gc"]).code, 0);
    assert_eq!(layers(), [""; 0]);
}

#[test]
fn errors_say_what_failed_and_what_to_try() {
    let (world, registry) = (World::with_image(), Registry::start());
    let id = world.ok(&["inspect", "--raw", "box"]);
    let id = image::Digest::of(id).to_string();
    let missing = world.run(&["push", "-q", "bax", &registry.name("x")]);
    assert!(missing.err.contains("no such image: bax") && missing.err.contains("box"));
    world.ok(&["rm", "box"]);
    let gone = world.run(&["push", "-q", &id]);
    assert_eq!(gone.code, 1);
    let refused = World::with_image();
    let nowhere = refused.run(&["push", "-q", "box", "127.0.0.1:1/box"]);
    assert_eq!(nowhere.code, 1);
    assert!(
        nowhere
            .err
            .starts_with("tare-store: error: cannot push box:latest to 127.0.0.1:1/box:latest"),
        "{}",
        nowhere.err
    );
    assert!(nowhere.err.contains("hint: check the name 127.0.0.1:1"), "{}", nowhere.err);
}
