//! Builds inside a container that has no privileges: they work where its seccomp filter lets them, and say what is
//! missing where it does not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;

use support::World;

/// Builds in a container that is run with these options; its error, or what `RUN` saw.
fn build_inside(options: &str) -> Result<String, String> {
    let world = World::new();
    let context = world.path("ctx");
    fs::create_dir(&context).unwrap();
    fs::copy("/bin/busybox", context.join("sh")).unwrap();
    let dockerfile = "FROM scratch\nCOPY sh /bin/sh\n\
        RUN read -r line </proc/self/uid_map; echo it is $line; (exit 0) && : >/x\n";
    fs::write(context.join("Dockerfile"), dockerfile).unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_tare")).parent().unwrap().display();
    // In memory, since the container's own root cannot hold another overlay.
    let run = world.run(&format!(
        "run --rm -v {programs}:/programs:ro -v {}:/ctx:ro -e TARE_STORE=/dev/shm/store {options} box \
         /programs/tare-build --progress plain /ctx",
        context.display()
    ));
    world.assert_clean();
    // The command's own line has a name in the map's place.
    let mut said =
        run.err.lines().filter_map(|line| line.split_once(" it is ")).map(|(_, map)| map);
    let seen = said.find(|map| !map.contains("$line"));
    match run.code {
        0 => Ok(seen.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")),
        _ => Err(run.err),
    }
}

#[test]
fn a_seccomp_filter_that_forbids_it_is_named() {
    for user in ["", "-u 1000"] {
        let said = build_inside(user).unwrap_err();
        assert!(said.contains("cannot make a user namespace"), "{said}");
        assert!(said.contains("--security-opt seccomp=unconfined"), "{said}");
    }
}

/// Root of the container has the ids that the container has, an ordinary user its own.
#[test]
fn where_it_is_allowed_it_works() {
    let open = "--security-opt seccomp=unconfined";
    let ids = build_inside(open).unwrap();
    assert!(ids.starts_with("0 0 ") && ids != "0 0 4294967295", "{ids}");
    assert_eq!(build_inside(&format!("{open} -u 1000")).unwrap(), "0 1000 1");
}
