//! What the kernel kills for want of memory is told, before the end that it leads to.

use crate::containerd::{Containerd, Events, RUNC, TARE, text, until};

/// Takes more than the limit, in one piece.
const GLUTTON: &str = "dd if=/dev/zero of=/dev/null bs=256M count=1 2>/dev/null";

fn run(containerd: &Containerd, runtime: &str, id: &str, script: &str) {
    let flags = ["-d", "--null-io", "--memory-limit", "33554432"];
    let output = containerd.run(runtime, &flags, id, &["/bin/sh", "-c", script]);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), containerd.log());
}

/// A child is killed, and the container goes on. Once a second, for containerd's own shim begins to listen only
/// when the container runs.
fn child(runtime: &str) {
    let containerd = Containerd::new();
    let events = Events::listen(&containerd);
    run(&containerd, runtime, "child", &format!("while :; do {GLUTTON}; sleep 1; done"));
    until("the lack of memory is told", || events.of("child").contains(&"/tasks/oom".to_owned()));
    assert_eq!(containerd.task("child").expect("it is there").1, "RUNNING");
    assert!(!events.of("child").contains(&"/tasks/exit".to_owned()));
}

#[test]
fn a_killed_child_is_told_by_ours() {
    child(TARE);
}

#[test]
fn a_killed_child_is_told_by_containerds_own() {
    child(RUNC);
}

#[test]
fn a_killed_container_is_told_with_the_reason_first() {
    let containerd = Containerd::new();
    let events = Events::listen(&containerd);
    run(&containerd, TARE, "whole", &format!("exec {GLUTTON}"));
    containerd.wait_for("whole", "STOPPED");
    let deleted = containerd.ctr(&["task", "delete", "whole"]);
    assert!(text(&deleted.stderr).contains("137"), "{}", text(&deleted.stderr));
    until("the end is told", || events.of("whole").contains(&"/tasks/delete".to_owned()));
    assert_eq!(
        events.of("whole"),
        ["/tasks/create", "/tasks/start", "/tasks/oom", "/tasks/exit", "/tasks/delete"]
    );
}

#[test]
fn what_ends_for_other_reasons_is_no_lack_of_memory() {
    let containerd = Containerd::new();
    let events = Events::listen(&containerd);
    run(&containerd, TARE, "frugal", "kill -9 $$");
    containerd.wait_for("frugal", "STOPPED");
    containerd.ctr(&["task", "delete", "frugal"]);
    until("the end is told", || events.of("frugal").contains(&"/tasks/delete".to_owned()));
    assert!(!events.of("frugal").contains(&"/tasks/oom".to_owned()), "{:?}", events.of("frugal"));
}
