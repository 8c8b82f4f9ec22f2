//! What `kill -9` of those that watch containers leaves behind, and who cleans it up.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::fs::{self, File};

use rustix::process::{Pid, Signal, kill_process};
use support::World;

#[test]
fn a_container_that_was_not_written_down_yet_is_running_all_the_same() {
    let world = World::new();
    world.ok("run -d --name left box sleep 1000");
    let id = world.ok("ps -q --no-trunc");
    kill_process(world.monitor(), Signal::KILL).unwrap();
    // As if the monitor had been killed a moment earlier.
    fs::remove_file(world.path("run/containers").join(&id).join("process.json")).unwrap();
    assert_eq!(world.state("left"), "running");
    assert_eq!(world.run("rm left").code, 1, "it runs");
    assert_eq!(world.ok("exec left echo here"), "here");
    world.ok("stop -t 0 left");
    world.wait_for_state("left", "dead");
    world.ok("rm left");
    world.assert_clean();
}

#[test]
fn the_next_run_removes_what_was_to_be_removed() {
    let world = World::new();
    let mut run = world.tare(&["run", "--rm", "--name", "left", "box", "sleep", "1000"]);
    let mut run = run.spawn().unwrap();
    world.wait_for_state("left", "running");
    kill_process(Pid::from_child(&run), Signal::KILL).unwrap();
    run.wait().unwrap();
    world.ok("run --rm box true");
    assert_eq!(world.state("left"), "running", "the user may still want it");
    world.ok("kill left");
    world.wait_for_state("left", "dead");
    world.ok("run --rm box true");
    assert_eq!(world.state("left"), "gone");
    world.assert_clean();
}

#[test]
fn logs_of_both_streams_come_in_their_order() {
    let world = World::new();
    let script = "for i in 1 2 3; do echo out $i; sleep 0.1; echo err $i >&2; sleep 0.1; done";
    world.tare(&["run", "-d", "--name", "both", "box", "sh", "-c", script]).status().unwrap();
    world.ok("wait both");
    let path = world.path("printed");
    let file = File::create(&path).unwrap();
    let mut logs = world.tare(&["logs", "both"]);
    logs.stdout(file.try_clone().unwrap()).stderr(file);
    assert!(logs.status().unwrap().success());
    let printed = fs::read_to_string(&path).unwrap();
    assert_eq!(printed, "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n");
    world.ok("rm both");
}
