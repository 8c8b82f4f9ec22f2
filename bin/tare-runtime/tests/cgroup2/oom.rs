//! A container's end for want of memory: whom it takes, and who is told.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::subject::same;
use crate::support::until;

/// Eats memory in a child, and tells whether it outlives that.
const SCRIPT: &str = "head -c 100000000 /dev/zero | tail > /dev/null; echo alive; exit 7";

fn small(config: &mut Value) {
    let resources = &mut config["linux"]["resources"];
    resources["memory"] = json!({"limit": 12 << 20, "swap": 12 << 20});
    config["process"]["args"] = json!(["sh", "-c", SCRIPT]);
}

fn with_tail(rootfs: &std::path::Path) {
    std::os::unix::fs::symlink("busybox", rootfs.join("bin/tail")).expect("link an applet");
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn one_process_or_all() {
    for (group, end) in [("0", "Some(7)\nalive\n"), ("1", "Some(137)\n")] {
        let change = |config: &mut Value| {
            small(config);
            config["linux"]["resources"]["unified"] = json!({"memory.oom.group": group});
        };
        let shown = same(change, |subject| {
            with_tail(&subject.rootfs());
            let output = subject.call(&["run", "@"]);
            format!("{:?}\n{}", output.status.code(), String::from_utf8_lossy(&output.stdout))
        });
        assert_eq!(shown, [end, end], "memory.oom.group {group}");
    }
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn events_tell_of_it() {
    let change = |config: &mut Value| {
        small(config);
        let script = format!("until [ -e /go ]; do sleep 0.1; done; {SCRIPT}");
        config["process"]["args"] = json!(["sh", "-c", script]);
    };
    let shown = same(change, |subject| {
        with_tail(&subject.rootfs());
        subject.start();
        let mut events = subject.command();
        events.args(["events", "--interval", "1s", subject.id()]).stdout(Stdio::piped());
        let mut events = events.spawn().expect("start the runtime");
        let mut lines = BufReader::new(events.stdout.take().expect("a pipe")).lines();
        lines.next().expect("a line").expect("text");
        fs::write(subject.rootfs().join("go"), "").expect("write it");
        let told = lines.map_while(Result::ok).find(|line| line.contains("oom"));
        let _ = events.kill();
        let _ = events.wait();
        format!("{told:?}")
    });
    assert_eq!(shown, [r#"Some("{\"type\":\"oom\",\"id\":\"ID\"}")"#; 2]);
}

/// With `memory.oom.group` systemd takes the unit down as well; `state` and `delete` go on to work.
#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn what_was_killed_can_be_deleted() {
    let change = |config: &mut Value| {
        small(config);
        config["linux"]["resources"]["unified"] = json!({"memory.oom.group": "1"});
    };
    let shown = same(change, |subject| {
        with_tail(&subject.rootfs());
        subject.start();
        let stopped = || subject.succeed(&["state", "@"]).contains(r#""status": "stopped""#);
        until(stopped, "it is stopped");
        subject.succeed(&["delete", "@"]);
        let unit = std::process::Command::new("systemctl")
            .args(["is-failed", &subject.unit()])
            .output()
            .expect("systemctl");
        format!("{} {}", subject.cgroup().exists(), String::from_utf8_lossy(&unit.stdout))
    });
    assert_eq!(shown, ["false inactive\n"; 2]);
}
