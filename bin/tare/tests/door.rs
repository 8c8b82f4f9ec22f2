//! The front door: handing over, usage, generated pages.

mod support;

use support::World;

#[test]
fn the_programs_get_their_arguments_as_they_are() {
    let world = World::new();
    assert_eq!(world.ok("store ls -q --no-trunc").len(), "sha256:".len() + 64);
    let help = world.ok("store import --help");
    assert!(help.contains("Usage: tare-store import"), "{help}");
    let usage = world.run("store --no-such-flag");
    assert_eq!(usage.code, 2);
    let store = world.path("other");
    let listed = world.run_args(&["--store", store.to_str().unwrap(), "store", "ls", "-q"]);
    assert_eq!((listed.code, listed.out.as_str()), (0, ""));
}

#[test]
fn mistakes_have_exit_code_2_and_where_the_container_has_its_own_125() {
    let world = World::new();
    assert_eq!(world.run("ps --bad").code, 2);
    assert_eq!(world.run("run --bad box").code, 125);
    assert_eq!(world.run("exec --bad x y").code, 125);
    assert_eq!(world.run("run --memory lots box").code, 125);
    assert_eq!(world.run("--version").out, format!("tare {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn pages_and_completions_are_made_of_the_arguments() {
    let world = World::new();
    assert!(world.ok("--generate bash").contains("complete -F"));
    assert!(world.ok("--generate man").contains(".TH tare 1"));
    let dir = world.path("man");
    std::fs::create_dir(&dir).unwrap();
    world.ok(&format!("--generate man {}", dir.display()));
    assert!(dir.join("tare-run.1").is_file());
}

#[test]
fn info_tells_places_and_driver() {
    let world = World::new();
    let info: serde_json::Value = serde_json::from_str(&world.ok("info --json")).unwrap();
    assert_eq!(info["root"], world.path("run").to_str().unwrap());
    assert_eq!(info["store"]["images"], 1);
    assert!(info["store"]["driver_reason"].as_str().is_some_and(|why| !why.is_empty()));
}
