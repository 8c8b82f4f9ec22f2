//! Indexes made of images: one name for several platforms.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use serde_json::Value;
use support::World;

fn with_platforms(platforms: &[&str]) -> World {
    let world = World::new();
    let tar = world.path("image.tar");
    for platform in platforms {
        let name = platform.replace('/', "-");
        world.ok(&["import", "-q", "--platform", platform, tar.to_str().unwrap(), &name]);
    }
    world
}

fn platforms(world: &World, name: &str) -> Vec<String> {
    let index: Value = world.json(&["inspect", "--raw", name]);
    let children = index["manifests"].as_array().unwrap().iter();
    let text = |child: &Value, key: &str| child["platform"][key].as_str().unwrap().to_owned();
    children.map(|it| text(it, "os") + "/" + &text(it, "architecture")).collect()
}

#[test]
fn images_of_several_platforms_get_one_name() {
    let world = with_platforms(&["linux/amd64", "linux/arm64", "linux/s390x"]);
    let digest = world.ok(&["index", "two", "linux-amd64", "linux-arm64"]);
    assert_eq!(platforms(&world, "two"), ["linux/amd64", "linux/arm64"]);
    let raw = world.ok(&["inspect", "--raw", "two"]);
    assert_eq!(image::Digest::of(&raw).to_string(), digest);
    assert!(!raw.contains("ref.name"), "{raw}");
    let own = world.json(&["inspect", "--platform", "linux/arm64", "two"]);
    assert_eq!(own["Architecture"], "arm64");

    // Of an index, all that it has; an image that is there already is not there twice.
    world.ok(&["index", "all", "two", "linux-amd64", "linux-s390x"]);
    assert_eq!(platforms(&world, "all"), ["linux/amd64", "linux/arm64", "linux/s390x"]);
    assert_eq!(world.ok(&["index", "again", "two"]), digest);

    // What only the index names is kept.
    world.ok(&["rm", "linux-amd64", "linux-arm64", "linux-s390x"]);
    world.ok(&["gc"]);
    assert_eq!(world.run(&["fsck"]).code, 0);
    world.ok(&["inspect", "--platform", "linux/s390x", "all"]);
}

#[test]
fn what_cannot_be_an_index_is_refused_with_the_reason() {
    let world = with_platforms(&["linux/amd64"]);
    world.ok(&["config", "-c", "ENV A=b", "linux-amd64", "other"]);
    let two = world.run(&["index", "x", "linux-amd64", "other"]);
    assert_eq!(two.code, 1);
    assert!(
        two.err.contains("two images are for linux/amd64: linux-amd64 and other"),
        "{}",
        two.err
    );
    let missing = world.run(&["index", "x", "linux-amd64", "linux-amd65"]);
    assert!(missing.err.contains("no such image: linux-amd65"), "{}", missing.err);
    assert!(missing.err.contains("did you mean linux-amd64"), "{}", missing.err);
    assert_eq!(world.run(&["index", "x"]).code, 2);
    assert_eq!(world.run(&["inspect", "x"]).code, 1, "there is no x");
}
