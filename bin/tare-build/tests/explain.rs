//! Why a step was done: a line for each reason.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use machine::{Machine, Said};
use serde_json::Value;

const DOCKERFILE: &str = "\
FROM busybox:base
ARG VERSION=1
COPY src/ /src
RUN cat /src/main.c > /out
";

fn app() -> Machine {
    let machine = Machine::new();
    machine.file("src/main.c", "main\n");
    machine.file("src/util.c", "util\n");
    machine
}

/// The lines of the explanation.
fn why(said: &Said) -> Vec<String> {
    let start = said.err.lines().skip_while(|line| !line.ends_with("not cached:"));
    start.skip(1).filter_map(|line| line.strip_prefix(" - ")).map(str::to_owned).collect()
}

/// What a build says of why it does what it does.
fn explained(machine: &Machine, dockerfile: &str, args: &[&str]) -> Vec<String> {
    let said = machine.build(dockerfile, &[&["--explain"], args].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    why(&said)
}

#[test]
fn a_first_build_is_new_and_a_second_one_all_cached() {
    let machine = app();
    let first = explained(&machine, DOCKERFILE, &[]);
    let new = "no earlier build had this step";
    assert_eq!(
        first,
        [
            format!("[2/3] COPY src/ /src: {new}"),
            format!("[3/3] RUN cat /src/main.c > /out: {new}")
        ]
    );
    let again = machine.build(DOCKERFILE, &["--explain"]);
    assert!(again.err.ends_with("all 3 steps cached\n"), "{}", again.err);
    let quiet = machine.build(DOCKERFILE, &["-q"]);
    assert_eq!(quiet.err, "", "nobody asked");
}

#[test]
fn each_kind_of_change_of_a_file() {
    let machine = app();
    let context = machine.path("ctx/src");
    let changes: [(&str, &dyn Fn()); 6] = [
        ("src/main.c changed", &|| drop(machine.file("src/main.c", "main 2\n"))),
        ("src/new.c added", &|| drop(machine.file("src/new.c", ""))),
        ("src/util.c has mode 0755, had 0644", &|| {
            fs::set_permissions(context.join("util.c"), fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("src/link added", &|| symlink("main.c", context.join("link")).unwrap()),
        ("src/link is of another kind", &|| {
            fs::remove_file(context.join("link")).unwrap();
            fs::write(context.join("link"), "").unwrap();
        }),
        ("src/util.c removed", &|| fs::remove_file(context.join("util.c")).unwrap()),
    ];
    fs::set_permissions(context.join("util.c"), fs::Permissions::from_mode(0o644)).unwrap();
    machine.built(DOCKERFILE, &[]);
    for (want, change) in changes {
        change();
        let lines = explained(&machine, DOCKERFILE, &[]);
        assert_eq!(lines[0], format!("[2/3] COPY src/ /src: {want}"));
        assert_eq!(lines[1], "[3/3] RUN cat /src/main.c > /out: follows COPY src/ /src");
    }
}

/// What is wrong with a step is said of this step, and not of those that follow.
#[test]
fn each_reason_of_a_command() {
    let machine = app();
    let run = |more: &str| format!("FROM busybox:base\nARG V=1\nENV E=1\nRUN {more}true\n");
    machine.built(&run(""), &[]);
    let user = "FROM busybox:base\nARG V=1\nENV E=1\nUSER app\nRUN true\n".to_owned();
    let directory = "FROM busybox:base\nARG V=1\nENV E=1\nWORKDIR /tmp\nRUN true\n".to_owned();
    for (dockerfile, args, want) in [
        (run(""), &["--build-arg", "V=2"][..], "build argument V is now \"2\", was \"1\""),
        (run("").replace("E=1", "E=3"), &[], "variable E is now \"3\", was \"1\""),
        (run("true; "), &[], "the instruction was RUN true"),
        (run("--network=none "), &[], "the network is now none, was the host's"),
        (run("--mount=type=cache,target=/c "), &[], "the mount /c added"),
        (run("--mount=type=secret,id=s "), &[], "the mount type=secret,id=s added"),
        (user, &[], "the user is now app, was root"),
        (run(""), &["--shm-size", "1m"], "--shm-size is now 1048576"),
        (run(""), &["--add-host", "a:1.2.3.4"], "--add-host is now a"),
    ] {
        let lines = explained(&machine, &dockerfile, args);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].ends_with(want), "{want:?} is not what {:?} says", lines[0]);
    }
    let lines = explained(&machine, &directory, &[]);
    assert!(lines[1].contains("the working directory is now /tmp, was /"), "{lines:?}");
}

#[test]
fn another_base_is_named_by_its_digest() {
    let machine = app();
    machine.built(DOCKERFILE, &[]);
    let other = machine.built("FROM busybox:base\nCOPY src/util.c /new\n", &["-t", "busybox:base"]);
    let lines = explained(&machine, DOCKERFILE, &[]);
    let want = format!("the base busybox:base is now {}, was sha256:", &other[..19]);
    assert!(lines[0].contains(&want), "{want} is not in {lines:?}");
    let lines = explained(&machine, "FROM scratch\nCOPY src/ /src\n", &[]);
    assert_eq!(lines, ["[1/1] COPY src/ /src: the base is now scratch, was busybox:base"]);
}

#[test]
fn asked_not_to_use_the_cache_it_says_so() {
    let machine = app();
    let dockerfile = "\
FROM busybox:base AS one
RUN echo 1 > /one
FROM busybox:base AS two
RUN echo 2 > /two
FROM busybox:base
COPY --from=one /one /
COPY --from=two /two /
";
    machine.built(dockerfile, &[]);
    let lines = explained(&machine, dockerfile, &["--no-cache-filter", "ONE,none"]);
    assert_eq!(lines, ["[one 2/2] RUN echo 1 > /one: --no-cache-filter names one"]);
    let lines = explained(&machine, dockerfile, &["--no-cache"]);
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines.iter().all(|line| line.ends_with(": --no-cache was given")), "{lines:?}");
    let only = "FROM busybox:base AS only\nRUN true\n";
    machine.built(only, &[]);
    let lines = explained(&machine, only, &["--no-cache-filter=only"]);
    assert_eq!(lines, ["[2/2] RUN true: --no-cache-filter names only"]);
}

#[test]
fn a_result_that_was_collected_is_told_from_a_change() {
    let machine = app();
    machine.built(DOCKERFILE, &[]);
    fs::remove_dir_all(machine.path("store/tare/build/records")).unwrap();
    let lines = explained(&machine, DOCKERFILE, &[]);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().all(|it| it.ends_with(": its result is no longer in the cache")));
    // Collected with the build cache, nothing is known any more.
    let gc = machine.command("tare-store").args(["gc", "--build-cache"]).output().unwrap();
    machine::assert_ok(&gc);
    assert!(!machine.path("store/tare/build/traces").exists());
    assert!(explained(&machine, DOCKERFILE, &[])[0].ends_with("no earlier build had this step"));
}

/// What a mount shows of the context, or of a stage, is compared file by file.
#[test]
fn files_that_a_mount_shows() {
    let machine = app();
    let dockerfile = "FROM busybox:base\nRUN --mount=target=/in cat /in/src/main.c > /out\n";
    machine.built(dockerfile, &[]);
    machine.file("src/main.c", "main 2\n");
    let lines = explained(&machine, dockerfile, &[]);
    assert!(lines[0].ends_with(": src/main.c changed"), "{lines:?}");
}

/// A secret is in no key, so it is in no trace either; a build argument that may be one is hidden.
#[test]
fn what_is_secret_stays_so() {
    let machine = app();
    let secret = machine.path("secret");
    fs::write(&secret, "hunter2").unwrap();
    let source = format!("id=s,src={}", secret.display());
    let dockerfile = "\
FROM busybox:base
ARG NPM_TOKEN=none
RUN --mount=type=secret,id=s --mount=type=secret,id=s,env=S wc -c < /run/secrets/s > /out
";
    for token in ["swordfish", "open-sesame"] {
        let arg = format!("NPM_TOKEN={token}");
        let args = ["--explain", "--build-arg", &arg, "--secret", &source];
        let said = machine.build(dockerfile, &args);
        assert_eq!(said.code, Some(0), "{}", said.err);
        if token != "swordfish" {
            assert!(why(&said)[0].ends_with("build argument NPM_TOKEN changed"), "{}", said.err);
        }
    }
    let traces = machine.path("store/tare/build/traces");
    let mode = fs::metadata(&traces).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    for word in ["hunter2", "swordfish", "open-sesame"] {
        let found = Command::new("grep").args(["-rl", word]).arg(&traces).output().unwrap();
        assert_eq!(String::from_utf8(found.stdout).unwrap(), "", "{word}");
    }
}

#[test]
fn the_same_as_json() {
    let machine = app();
    machine.built(DOCKERFILE, &[]);
    machine.file("src/main.c", "main 2\n");
    let said = machine.build(DOCKERFILE, &["-q", "--explain=json"]);
    let json: Value = serde_json::from_str(&said.err).unwrap();
    let first = serde_json::json!({
        "step": "[2/3] COPY src/ /src",
        "stage": "",
        "line": 3,
        "instruction": "COPY src/ /src",
        "why": "src/main.c changed",
        "reasons": [{"kind": "file", "path": "src/main.c", "change": "changed"}],
    });
    assert_eq!((&json["cached"], &json["done"]), (&1.into(), &2.into()));
    assert_eq!(json["steps"][0], first);
    assert_eq!(json["steps"][1]["reasons"][0]["step"], "COPY src/ /src");
    machine.build(DOCKERFILE, &["--explain=xml"]);
}

/// A step that fails was done, too.
#[test]
fn a_failed_build_explains_what_it_did() {
    let machine = app();
    machine.built(DOCKERFILE, &[]);
    let said = machine.build(&DOCKERFILE.replace("cat", "false"), &["--explain"]);
    assert_eq!(said.code, Some(1));
    let lines = why(&said);
    assert!(lines[0].contains("the instruction was RUN cat /src/main.c > /out"), "{lines:?}");
}

/// A machine that reads the metadata need not read what is written for people.
#[test]
fn the_metadata_file_has_it_too() {
    let machine = Machine::new();
    machine.file("f", "1");
    let dockerfile = "FROM busybox:base\nCOPY f /\n";
    machine.built(dockerfile, &[]);
    machine.file("f", "2");
    machine.built(dockerfile, &["--explain", "--metadata-file", "meta.json"]);
    let read = || -> Value {
        serde_json::from_slice(&std::fs::read(machine.path("meta.json")).unwrap()).unwrap()
    };
    let explained = &read()["tare.explain"];
    assert_eq!((explained["cached"].as_u64(), explained["done"].as_u64()), (Some(1), Some(1)));
    assert_eq!(explained["steps"][0]["why"], "f changed");
    machine.built(dockerfile, &["--metadata-file", "meta.json"]);
    assert_eq!(read().get("tare.explain"), None);
}
