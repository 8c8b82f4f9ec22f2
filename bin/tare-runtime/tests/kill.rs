//! `kill`: whom a signal reaches, in each state and with each kind of pid namespace.

mod support;

use std::fs;

use serde_json::json;
use support::{Bundle, until};

fn started(bundle: &Bundle) {
    bundle.create();
    bundle.succeed(&["start", "@"]);
}

/// A container among the host's processes.
fn among_the_hosts(args: &[&str]) -> Bundle {
    Bundle::new(args).with(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|namespace| namespace["type"] != "pid");
    })
}

fn processes(bundle: &Bundle) -> Vec<i32> {
    serde_json::from_str(&bundle.succeed(&["ps", "-f", "json", "@"])).expect("JSON")
}

fn is_alive(pid: i32) -> bool {
    let ended = |stat: &str| stat.contains(") Z ") || stat.contains(") X ");
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !ended(&stat))
}

#[test]
fn sigkill_reaches_all_who_would_outlive_the_first() {
    let bundle = among_the_hosts(&["sleep", "600"]);
    started(&bundle);
    for _ in 0..3 {
        bundle.succeed(&["exec", "-d", "@", "sleep", "600"]);
    }
    let processes = processes(&bundle);
    assert_eq!(processes.len(), 4);
    bundle.succeed(&["kill", "@", "KILL"]);
    until(|| !processes.iter().any(|&pid| is_alive(pid)), "all are gone");
    assert_eq!(bundle.status(), "stopped");
}

#[test]
fn sigkill_reaches_those_whose_first_is_gone() {
    let bundle = among_the_hosts(&["sleep", "600"]);
    started(&bundle);
    let first = processes(&bundle)[0];
    bundle.succeed(&["exec", "-d", "@", "sleep", "600"]);
    let pid = rustix::process::Pid::from_raw(first).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    bundle.wait_for("stopped");
    let left: Vec<i32> = processes(&bundle).into_iter().filter(|&pid| is_alive(pid)).collect();
    assert_eq!(left.len(), 1);
    bundle.succeed(&["kill", "@", "KILL"]);
    until(|| !is_alive(left[0]), "it is gone");
    until(
        || {
            let output = bundle.runtime().args(["kill", &bundle.id, "KILL"]).output().unwrap();
            String::from_utf8_lossy(&output.stderr).contains("not running")
        },
        "none left",
    );
}

#[test]
fn other_signals_reach_the_first_only() {
    let bundle = among_the_hosts(&["sleep", "600"]);
    started(&bundle);
    let first = processes(&bundle)[0];
    bundle.succeed(&["exec", "-d", "@", "sleep", "600"]);
    bundle.succeed(&["kill", "@", "TERM"]);
    until(|| !is_alive(first), "the first is gone");
    assert_eq!(processes(&bundle).into_iter().filter(|&pid| is_alive(pid)).count(), 1);
}

#[test]
fn a_stopped_container_is_not_running() {
    let bundle = Bundle::new(&["true"]);
    started(&bundle);
    bundle.wait_for("stopped");
    for signal in ["0", "KILL", "TERM"] {
        assert!(bundle.fail(&["kill", "@", signal]).contains("container not running"));
        bundle.succeed(&["kill", "--all", "@", signal]);
    }
}

#[test]
fn a_paused_container_takes_its_death() {
    let bundle = Bundle::new(&["sleep", "600"]);
    started(&bundle);
    bundle.succeed(&["pause", "@"]);
    bundle.succeed(&["kill", "@", "KILL"]);
    bundle.wait_for("stopped");
}

#[test]
fn a_container_that_waits_for_its_start_can_be_asked_to_end() {
    for signal in ["TERM", "INT", "HUP", "QUIT"] {
        let bundle = Bundle::new(&["sleep", "600"]);
        bundle.create();
        bundle.succeed(&["kill", "@", signal]);
        bundle.wait_for("stopped");
    }
}

#[test]
fn the_program_itself_decides_about_its_signals() {
    // The first process of a pid namespace is spared what it does not handle.
    let bundle = Bundle::shell("grep SigCgt /proc/self/status > /caught; sleep 600")
        .with(|config| config["root"]["readonly"] = json!(false));
    started(&bundle);
    let caught = bundle.rootfs().join("caught");
    until(|| fs::read_to_string(&caught).is_ok_and(|text| text.ends_with('\n')), "it is told");
    assert_eq!(fs::read_to_string(&caught).unwrap(), "SigCgt:\t0000000000000000\n");
}

#[test]
fn a_frozen_cgroup_is_refused() {
    let bundle = Bundle::new(&["true"]);
    let group = ["/sys/fs/cgroup/freezer", "/sys/fs/cgroup"].map(std::path::PathBuf::from);
    let group = group.into_iter().find(|path| path.exists()).unwrap();
    let group = group.join(format!("tare-runtime-test-{}", bundle.id));
    fs::create_dir(&group).unwrap();
    let state =
        if group.join("freezer.state").exists() { "freezer.state" } else { "cgroup.freeze" };
    let freeze = if state == "freezer.state" { "FROZEN" } else { "1" };
    fs::write(group.join(state), freeze).unwrap();
    let output = bundle.run();
    fs::remove_dir(&group).unwrap();
    assert!(support::error(&output).contains("cgroup unexpectedly frozen"));
    assert_eq!(bundle.leftovers(), support::NOTHING);
}
