//! Names and logins as this machine's files have them: registries.conf, credential helpers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod docker_registry;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use docker_registry::Registry;
use support::{Said, World, said};

/// A helper that keeps logins in files named by their server, and writes down what it was asked.
const HELPER: &str = r#"#!/bin/sh
read -r input
echo "$1 $input" >>"$HOME/asked"
server=$(printf %s "$input" | sed 's/.*"ServerURL":"\([^"]*\)".*/\1/' | tr -c 'a-z0-9.\n' _)
case $1 in
store) printf %s "$input" >"$HOME/kept-$server" ;;
get) cat "$HOME/kept-$server" 2>/dev/null || { echo "credentials not found in native keychain"; exit 1; } ;;
erase) rm "$HOME/kept-$server" ;;
esac
"#;

/// A world whose home is its directory, with nothing of this machine's in the environment.
fn run(world: &World, environment: &[(&str, &str)], arguments: &[&str], input: &str) -> Said {
    let home = world.path("");
    let path = format!("{}:/usr/bin:/bin", home.display());
    let mut command = world.command(arguments);
    command.env("HOME", &home).env("PATH", path);
    for name in ["XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"] {
        command.env_remove(name);
    }
    command.env("XDG_RUNTIME_DIR", home.join("run"));
    command.envs(environment.iter().copied());
    fs::write(world.path("input"), input).unwrap();
    command.stdin(fs::File::open(world.path("input")).unwrap());
    said(command.output().unwrap())
}

#[track_caller]
fn ok(said: Said) -> Said {
    assert_eq!(said.code, 0, "{}", said.err);
    said
}

fn helper(world: &World, name: &str) {
    let path = world.path(&format!("docker-credential-{name}"));
    fs::write(&path, HELPER).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_helper_keeps_gives_and_forgets_a_login() {
    let (world, registry) = (World::with_image(), Registry::with_login());
    helper(&world, "files");
    fs::create_dir_all(world.path("run/containers")).unwrap();
    let file = world.path("run/containers/auth.json");
    fs::write(&file, r#"{"credsStore":"files"}"#).unwrap();
    let host = registry.name("");
    let host = host.trim_end_matches('/');
    let login = ["login", "-u", "tester", "--password-stdin", host];
    let done = ok(run(&world, &[], &login, "hunter2\n"));
    assert!(done.err.contains("kept by docker-credential-files"), "{}", done.err);
    let kept = fs::read_to_string(&file).unwrap();
    assert!(
        kept.contains(host) && !kept.contains("aHVudGVy") && !kept.contains("hunter2"),
        "{kept}"
    );

    let name = registry.name("box:1");
    ok(run(&world, &[], &["push", "-q", "box", &name], ""));
    ok(run(&world, &[], &["pull", "-q", &name], ""));
    let asked = fs::read_to_string(world.path("asked")).unwrap();
    assert!(asked.contains(&format!("get {host}\n")), "{asked}");

    ok(run(&world, &[], &["logout", host], ""));
    let refused = run(&world, &[], &["pull", "-q", &name], "");
    assert!(refused.err.contains("asks for a login"), "{}", refused.err);
    let again = run(&world, &[], &["logout", host], "");
    assert!(again.err.contains("there is no login"), "{}", again.err);
}

#[test]
fn a_helper_for_one_registry_and_one_for_all() {
    let (world, registry) = (World::with_image(), Registry::with_login());
    helper(&world, "one");
    let host = registry.name("");
    let host = host.trim_end_matches('/');
    let login = format!(r#"{{"ServerURL":"{host}","Username":"tester","Secret":"hunter2"}}"#);
    fs::write(world.path(&format!("kept-{}", host.replace(':', "_"))), login).unwrap();
    let name = registry.name("box:1");
    let push = ["push", "-q", "box", &name];
    assert_eq!(run(&world, &[], &push, "").code, 1);

    fs::create_dir_all(world.path(".docker")).unwrap();
    let file = world.path(".docker/config.json");
    fs::write(&file, format!(r#"{{"credHelpers":{{"{host}":"one"}}}}"#)).unwrap();
    ok(run(&world, &[], &push, ""));
    fs::remove_file(&file).unwrap();

    let conf = world.path("registries.conf");
    fs::write(&conf, "credential-helpers = ['one']").unwrap();
    ok(run(&world, &[("CONTAINERS_REGISTRIES_CONF", conf.to_str().unwrap())], &push, ""));

    fs::write(&conf, "credential-helpers = ['none-such']").unwrap();
    let broken = run(&world, &[("CONTAINERS_REGISTRIES_CONF", conf.to_str().unwrap())], &push, "");
    assert!(broken.err.contains("docker-credential-none-such fails to get"), "{}", broken.err);
    assert!(!broken.err.contains("hunter2"), "{}", broken.err);
}

#[test]
fn short_names_lead_where_the_files_say() {
    let (world, registry) = (World::with_image(), Registry::start());
    ok(run(&world, &[], &["push", "-q", "box", &registry.name("team/box:1")], ""));
    let host = registry.name("");
    let host = host.trim_end_matches('/');
    fs::create_dir_all(world.path(".config/containers/registries.conf.d")).unwrap();
    let conf = world.path(".config/containers/registries.conf");
    fs::write(&conf, format!("unqualified-search-registries = ['127.0.0.1:1', '{host}']")).unwrap();
    fs::write(
        world.path(".config/containers/registries.conf.d/a.conf"),
        format!("[aliases]\n'carton' = '{host}/team/box'"),
    )
    .unwrap();

    let searched = ok(run(&world, &[], &["pull", "-q", "team/box:1"], ""));
    assert!(searched.err.contains("127.0.0.1:1"), "{}", searched.err);
    let named = format!("team/box:1 is {}", registry.name("team/box:1"));
    assert!(searched.err.contains(&named), "{}", searched.err);
    ok(run(&world, &[], &["inspect", "team/box:1"], ""));
    ok(run(&world, &[], &["pull", "-q", "carton:1"], ""));
    let missing = run(&world, &[], &["pull", "-q", "docker://127.0.0.1:1/carton:1"], "");
    assert!(missing.err.contains("127.0.0.1:1"), "{}", missing.err);

    fs::write(
        &conf,
        "short-name-mode = 'enforcing'\nunqualified-search-registries = ['a.io', 'b.io']",
    )
    .unwrap();
    let unsure = run(&world, &[], &["pull", "-q", "team/box:1"], "");
    assert!(unsure.err.contains("a.io/team/box:1 or b.io/team/box:1"), "{}", unsure.err);
    fs::write(&conf, "[[registry]]").unwrap();
    let wrong = run(&world, &[], &["pull", "-q", &registry.name("team/box:1")], "");
    assert!(wrong.err.contains("neither prefix nor location"), "{}", wrong.err);
}
