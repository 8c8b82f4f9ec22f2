//! A creation that somebody ends: a runtime that is asked to end takes everything back first, and after
//! one that is killed `delete --force` does.

mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use support::{Bundle, NOTHING, until};

fn command(bundle: &Bundle, words: &[&str]) -> Command {
    let mut command = bundle.runtime();
    command.args(words).arg("--bundle").arg(bundle.directory.path()).arg(&bundle.id);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a number");
    kill_process(pid, signal).expect("signal the runtime");
}

/// How long an undisturbed creation takes.
fn usual_time(bundle: &Bundle) -> Duration {
    let begin = Instant::now();
    bundle.create();
    let time = begin.elapsed();
    bundle.succeed(&["delete", "--force", "@"]);
    time
}

/// At moments from before anything is made to after the usual end.
#[test]
fn one_that_is_asked_to_end_leaves_nothing() {
    let bundle = Bundle::new(&["sleep", "600"]);
    let usual = usual_time(&bundle);
    let signals = [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT];
    let mut ended = 0;
    for round in 0..60 {
        let mut child = command(&bundle, &["create"]).spawn().unwrap();
        std::thread::sleep(usual * round / 50);
        signal(&child, signals[round as usize % signals.len()]);
        if child.wait().unwrap().success() {
            assert_eq!(bundle.status(), "created");
            bundle.succeed(&["delete", "@"]);
        } else {
            ended += 1;
        }
        // A process that has ended may be seen for a moment longer.
        until(|| bundle.leftovers() == NOTHING, &format!("no leftovers in round {round}"));
    }
    assert!(ended > 0, "none ended before it was done");
}

#[test]
fn what_a_killed_one_leaves_is_deleted_by_force() {
    let bundle = Bundle::new(&["sleep", "600"]);
    let usual = usual_time(&bundle);
    for round in 0..40 {
        let mut child = command(&bundle, &["create"]).spawn().unwrap();
        std::thread::sleep(usual * round / 40);
        signal(&child, Signal::KILL);
        child.wait().unwrap();
        bundle.succeed(&["delete", "--force", "@"]);
        until(|| bundle.leftovers() == NOTHING, &format!("no leftovers in round {round}"));
    }
}

/// A hook that never ends, at each point that comes before the program.
#[test]
fn hooks_are_not_waited_for_by_one_that_is_asked_to_end() {
    for (point, words) in [
        ("prestart", "create"),
        ("createRuntime", "create"),
        ("createContainer", "create"),
        ("startContainer", "run"),
    ] {
        let marker = "touch hook-runs; exec sleep 600";
        let bundle = Bundle::new(&["true"]).with(|config| {
            config["hooks"] = json!({ point: [{"path": "/bin/sh", "args": ["sh", "-c", marker]}] });
            config["root"]["readonly"] = json!(false);
        });
        bundle.write();
        let mut child = command(&bundle, &[words]).spawn().unwrap();
        let runs = || {
            let places = [bundle.directory.path().to_owned(), bundle.rootfs()];
            places.iter().any(|place| place.join("hook-runs").exists())
        };
        until(runs, &format!("the {point} hook runs"));
        signal(&child, Signal::TERM);
        let mut ended = None;
        until(
            || {
                ended = child.try_wait().unwrap();
                ended.is_some()
            },
            &format!("the runtime ends in a {point} hook"),
        );
        assert!(!ended.unwrap().success(), "{point}");
        until(|| bundle.leftovers() == NOTHING, &format!("no leftovers of {point}"));
    }
}

/// What a container starts with is the caller's, not what the runtime held back.
#[test]
fn a_program_is_not_deaf_to_signals() {
    let bundle = Bundle::new(&["grep", "^SigBlk:", "/proc/self/status"]);
    assert_eq!(support::text(&bundle.run(), 0), "SigBlk:\t0000000000000000\n");
}
