//! What takes how much room.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::{World, sh};

/// A kind's row.
fn kind(report: &Value, name: &str) -> Value {
    let rows = report["Kinds"].as_array().unwrap();
    rows.iter().find(|row| row["Type"] == name).unwrap().clone()
}

/// What du says of files that are counted once.
fn du(world: &World, paths: &str) -> u64 {
    let script = format!("du -c --block-size=1 -- {paths} | tail -n 1 | cut -f 1");
    sh(world, &script).parse().unwrap()
}

/// Without the directories themselves.
fn du_below(world: &World, directory: &str) -> u64 {
    du(world, directory)
        - sh(world, &format!("stat -c %b {directory}")).parse::<u64>().unwrap() * 512
}

#[test]
fn an_empty_store_takes_nothing() {
    let world = World::new();
    let report = world.json(&["df", "--json"]);
    assert_eq!((&report["Images"], &report["Bundles"]), (&json!([]), &json!([])));
    assert_eq!(kind(&report, "Images")["Size"], 0);
    assert_eq!(report["Reclaimable"], 0);
}

#[test]
fn images_share_what_they_have_in_common() {
    let world = World::with_image();
    world.ok(&["config", "-c", "ENV A=1", "box", "other"]);
    world.ok(&["tag", "box", "second"]);
    let report = world.json(&["df", "--json"]);
    let blobs = kind(&report, "Images");
    assert_eq!(blobs["Total"], 2);
    assert_eq!(blobs["Size"], du_below(&world, "store/blobs/sha256"));
    // The tar is a blob; its table of contents is not.
    let layers = kind(&report, "Layers");
    assert_eq!((&layers["Total"], &layers["Active"]), (&json!(1), &json!(0)));
    assert_eq!(layers["Size"], du(&world, "store/tare/layers/*.toc"));
    let images = report["Images"].as_array().unwrap();
    let named = |name: &str| {
        let name = json!(format!("docker.io/library/{name}:latest"));
        images.iter().find(|it| it["Names"].as_array().unwrap().contains(&name)).unwrap()
    };
    assert_eq!(named("box")["Names"], named("second")["Names"]);
    // A manifest and a configuration each are an image's own.
    for name in ["box", "other"] {
        let image = named(name);
        assert_eq!(image["UniqueSize"], 2 * 4096, "{image}");
        let sum = image["SharedSize"].as_u64().unwrap() + image["UniqueSize"].as_u64().unwrap();
        assert_eq!(image["Size"], sum);
    }
    let table = world.ok(&["df", "-v"]);
    assert!(table.contains("box:latest, second:latest"), "{table}");
    assert!(table.starts_with("TYPE"), "{table}");
}

#[test]
fn what_gc_takes_is_reclaimable() {
    let world = World::with_image();
    fs::write(world.path("image/etc/more"), "more").unwrap();
    sh(&world, "tar -C image -cf more.tar . && tare-store import -q more.tar more >/dev/null");
    fs::write(world.path("store/tare/tmp/left"), vec![1; 5000]).unwrap();
    fs::write(world.path("store/tare/partial/left"), vec![1; 5000]).unwrap();
    world.ok(&["untag", "more"]);
    let report = world.json(&["df", "--json"]);
    let would = world.json(&["gc", "-n", "--json"]);
    assert_eq!(report["Reclaimable"], would["FreedBytes"]);
    let partial = kind(&report, "Partial files");
    assert_eq!((&partial["Total"], &partial["Size"]), (&json!(2), &json!(2 * 8192)));
    assert_eq!(partial["Reclaimable"], partial["Size"]);
    let freed = world.json(&["gc", "--json"])["FreedBytes"].clone();
    let after = world.json(&["df", "--json"]);
    assert_eq!(after["Reclaimable"], 0);
    assert_eq!(report["Size"].as_u64().unwrap() - freed.as_u64().unwrap(), after["Size"]);
}

#[test]
fn a_bundle_counts_with_what_it_changed_and_keeps_its_image() {
    let world = World::with_image();
    sh(
        &world,
        "tare-store bundle box bundle; dd if=/dev/zero of=bundle/rootfs/new bs=100k count=1 2>&1",
    );
    world.ok(&["untag", "box"]);
    let report = world.json(&["df", "--json"]);
    assert_eq!(report["Reclaimable"], 0, "{report}");
    let size = report["Bundles"][0]["Size"].as_u64().unwrap();
    assert!((100 << 10..200 << 10).contains(&size), "{size}");
    assert_eq!(kind(&report, "Bundles")["Total"], 1);
    assert_eq!(kind(&report, "Root file systems")["Active"], 1);
    world.ok(&["unbundle", world.path("bundle").to_str().unwrap()]);
    assert_ne!(world.json(&["df", "--json"])["Reclaimable"], 0);
}

#[test]
fn an_image_that_cannot_be_read_stops_gc_and_not_df() {
    let world = World::with_image();
    world.ok(&["tag", "box", "box:2"]);
    let digest = world.json(&["ls", "--json"])[0]["Digest"].as_str().unwrap().to_owned();
    let path = world.path("store/blobs/sha256").join(digest.trim_start_matches("sha256:"));
    fs::remove_file(path).unwrap();
    let said = world.run(&["df", "--json"]);
    assert_eq!(said.code, 0);
    assert!(said.err.contains("gc removes nothing"), "{}", said.err);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (&report["Images"][0]["Readable"], &report["Reclaimable"]),
        (&json!(false), &json!(0))
    );
}
