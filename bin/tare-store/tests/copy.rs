//! `tare-store copy` and its relatives, beside skopeo and a real registry.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod docker_registry;
mod support;

use std::io::Write as _;
use std::process::Stdio;

use docker_registry::Registry;
use support::{Said, World, said, sh};

#[test]
fn every_transport_goes_round_with_its_digest() {
    let (world, registry) = (World::with_image(), Registry::start());
    let digest = sh(&world, "printf sha256:; tare-store inspect --raw box | sha256sum | cut -c-64");
    for place in ["oci:layout:tag", "oci-archive:x.tar:tag", "oci-archive:y.tar", "dir:files"] {
        let said = sh(
            &world,
            &format!(
                "tare-store copy -q box {place}
                 rm -rf other; tare-store --store other copy -q {place} back:1
                 skopeo copy -q {place} dir:by-skopeo"
            ),
        );
        assert_eq!(said.lines().collect::<Vec<_>>(), [digest.as_str(), &digest], "{place}");
    }
    let remote = registry.name("box:1");
    let said = sh(
        &world,
        &format!(
            "tare-store copy -q --preserve-digests --digestfile d box docker://{remote}
             rm -rf other; tare-store --store other copy -q docker://{remote} back:1; cat d"
        ),
    );
    assert_eq!(said.lines().collect::<Vec<_>>(), [digest.as_str(), &digest, &digest]);
    // Docker's kind keeps configuration and layers.
    sh(
        &world,
        "tare-store copy -q box docker-archive:z.tar:box:9
         skopeo copy -q docker-archive:z.tar:box:9 dir:by-skopeo
         tare-store copy -q docker-archive:z.tar:box:9 from-docker
         test \"$(tare-store inspect --config box)\" = \"$(tare-store inspect --config from-docker)\"",
    );
}

#[test]
fn between_others_nothing_is_listed_in_the_store() {
    let (world, registry) = (World::with_image(), Registry::start());
    let (one, two) = (registry.name("one:1"), registry.name("two:1"));
    let said = sh(
        &world,
        &format!(
            "tare-store copy -q box docker://{one}
             tare-store copy -q docker://{one} docker://{two}
             tare-store copy -q docker://{two} oci:layout:x
             skopeo inspect --raw oci:layout:x | sha256sum | cut -c-64
             tare-store ls -q --no-trunc | sort -u | wc -l"
        ),
    );
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..3], [lines[0]; 3]);
    assert_eq!((format!("sha256:{}", lines[3]).as_str(), lines[4]), (lines[0], "1"));
}

#[test]
fn skopeos_places_are_read() {
    let world = World::with_image();
    let digest = sh(
        &world,
        "skopeo copy -q --preserve-digests oci:store:docker.io/library/box:latest dir:files
         skopeo copy -q --preserve-digests oci:store:docker.io/library/box:latest oci:layout:a:b
         tare-store copy -q dir:files one; tare-store copy -q oci:layout:a:b two
         printf sha256:; tare-store inspect --raw box | sha256sum | cut -c-64",
    );
    let lines: Vec<&str> = digest.lines().collect();
    assert_eq!(lines, [lines[2]; 3]);
}

#[test]
fn a_place_without_the_image_is_an_error() {
    let world = World::with_image();
    sh(
        &world,
        "tare-store copy -q box oci:layout:x; tare-store copy -q box dir:files; rm files/version",
    );
    sh(
        &world,
        "for file in files/*; do case $file in */manifest.json) ;; *) echo x >> $file ;; esac; done; tare-store rm box; tare-store gc 2>/dev/null",
    );
    for (source, want) in [
        ("oci:layout:y", "there is no image y in layout"),
        ("oci:nowhere:y", "there is no image layout in nowhere"),
        ("dir:nowhere", "the archive is not whole: it names manifest.json"),
        ("dir:files", "what was received is not sha256:"),
        ("oci-archive:nowhere.tar", "cannot open nowhere.tar"),
        ("missing", "no such image: missing"),
    ] {
        let mut command = world.command(&["copy", "-q", source, "to:1"]);
        let said = said(command.current_dir(world.path("")).output().unwrap());
        assert_eq!(said.code, 1, "{source}");
        assert!(said.err.contains(want), "{source}: {}", said.err);
    }
    assert_eq!(world.ok(&["ls", "-q"]), "");
    let usage = world.run(&["copy", "docker-daemon:x", "y"]);
    assert_eq!(usage.code, 2);
    assert!(usage.err.contains("tare-store load"), "{}", usage.err);
}

#[test]
fn what_is_in_a_registry_is_shown_and_deleted() {
    let (world, registry) = (World::with_image(), Registry::start());
    let name = registry.name("box:1");
    let digest = world.ok(&["push", "-q", "box", &name]);
    assert_eq!(world.ok(&["list-tags", &registry.name("box")]), "1");
    let tags = world.json(&["list-tags", "--json", &format!("docker://{}", registry.name("box"))]);
    assert_eq!(tags["Tags"], serde_json::json!(["1"]));
    let remote = format!("docker://{name}");
    let shown = world.json(&["inspect", &remote]);
    assert_eq!(
        (shown["Digest"].as_str(), &shown["RepoTags"][0]),
        (Some(digest.as_str()), &name.as_str().into())
    );
    assert_eq!(shown["Config"]["Cmd"][0], "sh");
    let raw = world.run(&["inspect", "--raw", &remote]).out;
    assert_eq!(image::Digest::of(raw).to_string(), digest);
    assert_eq!(
        world.ok(&["inspect", "--config", &remote]),
        world.ok(&["inspect", "--config", "box"])
    );
    assert_eq!(world.ok(&["referrers", &name]), "DIGEST   TYPE   SIZE");
    assert_eq!(world.ok(&["delete", &name]), digest);
    let gone = world.run(&["inspect", &remote]);
    assert!(gone.err.contains("404 Not Found"), "{}", gone.err);
    assert!(gone.err.contains("tare-store list-tags"), "{}", gone.err);
}

/// Logs in with a password on standard input.
fn log_in(world: &World, registry: &Registry, password: &str) -> Said {
    let host = registry.name("");
    let file = world.path("auth.json");
    let words = ["login", "-u", "tester", "--password-stdin", "--authfile"];
    let mut command = world.command(&words);
    command.arg(&file).arg(host.trim_end_matches('/'));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    said(child.wait_with_output().unwrap())
}

#[test]
fn a_login_is_checked_kept_used_and_forgotten() {
    let (world, registry) = (World::with_image(), Registry::with_login());
    let file = world.path("auth.json");
    let wrong = log_in(&world, &registry, "wrong");
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("the login as tester is refused"), "{}", wrong.err);
    assert!(!wrong.err.contains("wrong") && !file.exists(), "{}", wrong.err);

    let right = log_in(&world, &registry, "hunter2");
    assert_eq!((right.code, right.out.as_str()), (0, ""), "{}", right.err);
    assert!(!right.err.contains("hunter2"), "{}", right.err);
    let name = registry.name("box:1");
    let auth = file.to_str().unwrap();
    world.ok(&["push", "-q", "--authfile", auth, "box", &name]);
    // Others read the same file.
    sh(
        &world,
        &format!("skopeo inspect --raw --tls-verify=false --authfile auth.json docker://{name}"),
    );

    let host = registry.name("");
    let host = host.trim_end_matches('/');
    assert_eq!(world.run(&["logout", "--authfile", auth, host]).code, 0);
    let out = world.run(&["push", "-q", "--authfile", auth, "box", &name]);
    assert!(out.err.contains("asks for a login"), "{}", out.err);
    let again = world.run(&["logout", "--authfile", auth, host]);
    assert!(again.err.contains(&format!("there is no login for {host}")), "{}", again.err);
}

#[test]
fn a_password_is_no_argument() {
    let world = World::new();
    assert_eq!(world.run(&["login", "-u", "a", "-p", "b", "host:5000"]).code, 2);
    let nothing = world.run(&["login", "-u", "a", "host:5000"]);
    assert!(nothing.err.contains("--password-stdin"), "{}", nothing.err);
    assert_eq!(world.run(&["login", "-u", "a", "--password-stdin", "Not A Host"]).code, 2);
}

#[test]
fn what_is_no_image_is_named_without_what_stands_in_it() {
    let world = World::new();
    std::fs::write(world.path("text"), "root:x:0:0:root:/root:/bin/bash\n".repeat(40)).unwrap();
    for (place, want) in [
        ("docker-archive:text", "it is no tar archive, or a damaged one\n"),
        ("oci:nowhere:tag", "there is no image layout in nowhere\n"),
    ] {
        let mut command = world.command(&["copy", place, "x"]);
        let said = said(command.current_dir(world.path("")).output().unwrap());
        assert_eq!(said.code, 1);
        assert!(said.err.ends_with(want), "{}", said.err);
        assert!(!said.err.contains("root:x"), "{}", said.err);
    }
    assert!(!world.path("nowhere").exists());
}
