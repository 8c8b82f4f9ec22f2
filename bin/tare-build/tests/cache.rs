//! What is done again, and what is not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use std::process::Command;
use std::time::{Duration, Instant};

use machine::{BASE, Machine};

const DOCKERFILE: &str = "\
FROM busybox:base
RUN echo one > /one
COPY list.txt /
RUN wc -c < /list.txt > /count
COPY . /app
RUN ls /app > /names
";

fn app() -> Machine {
    let machine = Machine::new();
    machine.file("list.txt", "a\n");
    machine.file("app.py", "print()\n");
    machine
}

#[test]
fn an_unchanged_build_gives_the_same_image() {
    let machine = app();
    let first = machine.build(DOCKERFILE, &["-t", "app"]);
    assert_eq!((first.code, first.cached()), (Some(0), 1), "{}", first.err);
    for driver in ["erofs", "directory"] {
        let again = machine.build(DOCKERFILE, &["-t", "app", "--driver", driver]);
        assert_eq!((&again.out, again.cached()), (&first.out, 6), "{}", again.err);
    }
    assert_eq!(machine.names(), ["docker.io/library/busybox:base", "docker.io/library/app:latest"]);
    machine.assert_clean();
}

#[test]
fn a_touched_file_is_a_hit_and_a_changed_one_misses_from_there_on() {
    let machine = app();
    let first = machine.built(DOCKERFILE, &[]);
    let touch = Command::new("touch").arg(machine.path("ctx/list.txt")).status().unwrap();
    assert!(touch.success());
    assert_eq!(machine.built(DOCKERFILE, &[]), first);
    machine.file("app.py", "print(1)\n");
    let said = machine.build(DOCKERFILE, &[]);
    assert_eq!(said.cached(), 4, "{}", said.err);
    machine.file("list.txt", "b\n");
    let said = machine.build(DOCKERFILE, &[]);
    assert_eq!(said.cached(), 2, "{}", said.err);
    machine.file("list.txt", "a\n");
    machine.file("app.py", "print()\n");
    assert_eq!(machine.built(DOCKERFILE, &[]), first, "what was there before is a hit");
}

#[test]
fn a_mode_counts_and_a_file_of_the_same_size_and_second_too() {
    let machine = app();
    let dockerfile = "FROM busybox:base\nCOPY list.txt /\n";
    let first = machine.built(dockerfile, &[]);
    machine.file("list.txt", "z\n");
    let second = machine.built(dockerfile, &[]);
    assert_ne!(first, second);
    let chmod = Command::new("chmod").arg("700").arg(machine.path("ctx/list.txt")).status();
    assert!(chmod.unwrap().success());
    assert_ne!(machine.built(dockerfile, &[]), second);
}

#[test]
fn no_cache_does_everything_again() {
    let machine = app();
    machine.built(DOCKERFILE, &[]);
    let said = machine.build(DOCKERFILE, &["--no-cache"]);
    assert_eq!((said.code, said.cached()), (Some(0), 1), "only FROM: {}", said.err);
}

#[test]
fn arguments_in_scope_are_part_of_the_key() {
    let machine = app();
    let dockerfile = "\
FROM busybox:base
RUN echo before > /before
ARG WHO=world
RUN echo $WHO > /who
";
    let world = machine.built(dockerfile, &[]);
    assert_eq!(machine.cat(&world, "who"), "world\n");
    let said = machine.build(dockerfile, &["--build-arg", "WHO=you"]);
    assert_eq!(said.cached(), 2, "{}", said.err);
    assert_eq!(machine.cat(said.out.trim(), "who"), "you\n");
    let proxy = machine.build(dockerfile, &["--build-arg", "HTTP_PROXY=http://p"]);
    assert_eq!((proxy.out.trim(), proxy.cached()), (&*world, 3), "{}", proxy.err);
}

/// A stage that is built again to the same bytes costs nothing downstream.
#[test]
fn copies_from_a_stage_are_known_by_content() {
    let machine = app();
    let dockerfile = |comment: &str| {
        format!(
            "FROM busybox:base AS made\nRUN echo {comment}; echo same > /out\n\
             FROM busybox:base\nCOPY --from=made /out /out\nRUN cat /out > /copy\n"
        )
    };
    let first = machine.built(&dockerfile("a"), &[]);
    let said = machine.build(&dockerfile("b"), &[]);
    assert_eq!(said.out.trim(), first, "{}", said.err);
    assert_eq!(said.cached(), 4, "all but the changed RUN: {}", said.err);
}

/// What a command mounts of a stage counts by what it holds, times left out.
#[test]
fn mounts_of_a_stage_are_known_by_content() {
    let machine = app();
    let dockerfile = |comment: &str| {
        format!(
            "FROM busybox:base AS made\nRUN echo {comment}; mkdir /out; echo same > /out/x\n\
             FROM busybox:base\nRUN --mount=from=made,source=/out,target=/in cat /in/x > /copy\n"
        )
    };
    let first = machine.built(&dockerfile("a"), &[]);
    let said = machine.build(&dockerfile("b"), &[]);
    assert_eq!((said.out.trim(), said.cached()), (&*first, 3), "{}", said.err);
    let said = machine.build(&dockerfile("c").replace("same", "other"), &[]);
    assert_eq!(said.cached(), 2, "{}", said.err);
}

/// A step that is done again and gives the same layer costs nothing after it.
#[test]
fn steps_are_known_by_the_layers_below_them() {
    let machine = app();
    let dockerfile = |check: &str| {
        format!(
            "FROM busybox:base\nRUN test {check} -lt 10\nRUN echo made > /made\nCOPY list.txt /\n\
             WORKDIR /srv\nRUN cat /made > /copy\n"
        )
    };
    let first = machine.built(&dockerfile("1"), &[]);
    for check in ["2", "2"] {
        let said = machine.build(&dockerfile(check), &[]);
        let rest = machine.layers(&first)[2..].to_vec();
        assert_eq!(machine.layers(said.out.trim())[2..], rest);
        assert!(said.cached() >= 5, "all but the changed test: {}", said.err);
    }
}

#[test]
fn another_source_in_the_same_stage_is_another_copy() {
    let machine = Machine::new();
    let copying = |source: &str| {
        format!("FROM busybox:base AS a\nFROM busybox:base\nCOPY --from=a {source} /seen\n")
    };
    let users = machine.seen(&copying("/etc/passwd"), &[]);
    assert_ne!(machine.seen(&copying("/etc/group"), &[]), users);
    machine.build(&copying("/etc/nothing"), &[]).refused(&["/etc/nothing"]);
}

#[test]
fn a_record_whose_layer_is_gone_is_a_miss() {
    let machine = app();
    let first = machine.built(DOCKERFILE, &[]);
    for digest in machine.layers(&first).iter().skip(1) {
        let hex = digest.strip_prefix("sha256:").unwrap();
        std::fs::remove_file(machine.path("store/blobs/sha256").join(hex)).unwrap();
        let _ = std::fs::remove_file(machine.path(&format!("store/tare/layers/{hex}.tar")));
    }
    let said = machine.build(DOCKERFILE, &[]);
    assert_eq!((said.code, said.cached()), (Some(0), 1), "{}", said.err);
}

#[test]
fn without_its_cache_the_store_still_builds() {
    let machine = app();
    machine.built(DOCKERFILE, &[]);
    // An ordinary user is not the owner of all that is in it, but for `tare unshare`.
    let removal = ["unshare", "rm", "-r", "store/tare"];
    machine::assert_ok(&machine.command("tare").args(removal).output().unwrap());
    assert_eq!(machine.build(DOCKERFILE, &[]).cached(), 1);
}

#[test]
fn source_date_epoch_makes_two_machines_agree() {
    let dockerfile = "\
FROM scratch
COPY . /app
WORKDIR /work
LABEL a=b
";
    let build = |name: &str| {
        let machine = Machine::empty();
        machine.file("x", name.len().to_string());
        machine.file("Dockerfile", dockerfile);
        let mut command = machine.command("tare-build");
        let output = command.args(["-q", "ctx"]).env("SOURCE_DATE_EPOCH", "1000000000").output();
        let output = output.unwrap();
        machine::assert_ok(&output);
        let digest = String::from_utf8(output.stdout).unwrap();
        let config = machine.config(digest.trim());
        assert_eq!(config["created"], "2001-09-09T01:46:40Z");
        let layers = machine.layers(digest.trim());
        assert_eq!(layers.len(), 2);
        digest
    };
    let one = build("one");
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(build("two"), one);
}

#[test]
fn stages_run_side_by_side_and_unused_ones_not_at_all() {
    let machine = app();
    let mut dockerfile = String::from("FROM busybox:base AS unused\nRUN false\n");
    let mut last = String::from("FROM busybox:base\n");
    for number in 0..6 {
        dockerfile += &format!("FROM busybox:base AS s{number}\nRUN sleep 2; echo {number} > /o\n");
        last += &format!("COPY --from=s{number} /o /o{number}\n");
    }
    let started = Instant::now();
    let image = machine.built(&(dockerfile + &last), &[]);
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(machine.cat(&image, "o5"), "5\n");
    machine.assert_clean();
}

#[test]
fn a_target_is_a_stage_by_name_or_number() {
    let machine = app();
    let dockerfile =
        "FROM busybox:base AS one\nLABEL n=1\nFROM one AS two\nLABEL n=2\nFROM nowhere:1\n";
    for (target, label) in [("one", "1"), ("TWO", "2"), ("0", "1")] {
        let image = machine.built(dockerfile, &["--target", target]);
        assert_eq!(machine.config(&image)["config"]["Labels"]["n"], label, "{target}");
    }
    machine.build(dockerfile, &["--target", "three"]).refused(&["three", "one, two"]);
}

/// Two stages with the same command: it runs once, and the next build has the same digest.
#[test]
fn the_same_command_in_two_stages_runs_once() {
    let machine = app();
    let dockerfile = "\
FROM busybox:base AS one
RUN --mount=type=cache,target=/c echo x >> /c/runs; sleep 1; cat /c/runs > /runs
FROM busybox:base AS two
RUN --mount=type=cache,target=/c echo x >> /c/runs; sleep 1; cat /c/runs > /runs
FROM two
COPY --from=one /runs /one
";
    for args in [&[][..], &["--no-cache"]] {
        let said = machine.build(dockerfile, args);
        assert_eq!(said.code, Some(0), "{}", said.err);
        assert_eq!(machine.built(dockerfile, &[]), said.out.trim());
    }
    let image = machine.built(dockerfile, &[]);
    assert_eq!(machine.cat(&image, "one"), "x\nx\n", "one run for each of the two builds");
}

/// Collecting garbage takes neither images nor what the cache holds.
#[test]
fn the_cache_survives_gc() {
    let machine = app();
    let first = machine.built(DOCKERFILE, &["-t", "app"]);
    machine::assert_ok(&machine.command("tare-store").arg("gc").output().unwrap());
    let said = machine.build(DOCKERFILE, &["-t", "app"]);
    assert_eq!((said.out.trim(), said.cached()), (&*first, 6), "{}", said.err);
    machine.file("app.py", "print(2)\n");
    assert_eq!(machine.build(DOCKERFILE, &[]).code, Some(0));
}

#[test]
fn another_source_of_the_same_stage_is_another_step() {
    let machine = Machine::new();
    let text =
        |source: &str| format!("FROM {BASE} AS one\nFROM {BASE}\nCOPY --from=one {source} /x\n");
    let first = machine.built(&text("/etc/passwd"), &[]);
    let second = machine.built(&text("/etc/group"), &[]);
    assert!(machine.cat(&first, "x").starts_with("root:x:0:0:"));
    assert_eq!(machine.cat(&second, "x"), "root:x:0:\napp:x:1001:\nstaff:x:50:\n");
    machine.build(&text("/none"), &[]).refused(&["Dockerfile:3", "/none"]);
}
