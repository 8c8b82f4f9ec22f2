//! `events`: statistics that are true, on time, and lack of memory told.

mod support;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};
use support::Bundle;

fn started(args: &[&str]) -> Bundle {
    let bundle = Bundle::new(args).with(|config| {
        config["linux"]["resources"]["pids"] = json!({ "limit": 77 });
        config["linux"]["resources"]["cpu"] = json!({ "cpus": "0" });
    });
    bundle.create();
    bundle.succeed(&["start", "@"]);
    bundle
}

#[test]
fn statistics_are_those_of_the_container() {
    let bundle = started(&["sleep", "600"]);
    let text = bundle.succeed(&["events", "--stats", "@"]);
    assert_eq!(text.lines().count(), 1);
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!(bundle.id)));
    assert_eq!(event["data"]["pids"], json!({ "current": 1, "limit": 77 }));
    assert!(event["data"]["memory"]["usage"]["usage"].as_u64().unwrap() > 0);
    assert!(event["data"]["cpu"]["usage"]["total"].as_u64().unwrap() > 0);
    assert!(!event["data"]["memory"]["raw"].as_object().unwrap().is_empty());
    assert!(!event["data"]["cpuset"]["cpus"].as_array().unwrap().is_empty());
}

#[test]
fn statistics_come_again_until_the_container_ends() {
    let bundle = started(&["sleep", "600"]);
    let mut events = bundle.runtime();
    events.args(["events", "--interval", "20ms", &bundle.id]).stdout(Stdio::piped());
    let mut events = events.spawn().unwrap();
    let mut lines = BufReader::new(events.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(event["type"], "stats");
    }
    bundle.succeed(&["kill", "@", "KILL"]);
    assert!(events.wait().unwrap().success());
}

#[test]
fn lack_of_memory_is_told() {
    let bundle = Bundle::shell("read line < /go; head -c 100000000 /dev/zero | tail >/dev/null")
        .with(|config| {
            config["root"]["readonly"] = json!(false);
            config["linux"]["resources"]["memory"] = json!({ "limit": 8 << 20, "swap": 8 << 20 });
        });
    std::os::unix::fs::symlink("busybox", bundle.rootfs().join("bin/tail")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        bundle.rootfs().join("go"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    bundle.create();
    bundle.succeed(&["start", "@"]);
    let mut events = bundle.runtime();
    events.args(["events", "--interval", "20ms", &bundle.id]).stdout(Stdio::piped());
    let mut events = events.spawn().unwrap();
    let mut lines = BufReader::new(events.stdout.take().unwrap()).lines();
    // With the first statistics the watch is there.
    lines.next().unwrap().unwrap();
    std::fs::write(bundle.rootfs().join("go"), "go\n").unwrap();
    let told = lines.any(|line| {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        event == json!({ "type": "oom", "id": bundle.id })
    });
    assert!(told);
    bundle.succeed(&["delete", "--force", "@"]);
    assert!(events.wait().unwrap().success());
}

#[test]
fn wrong_questions_are_errors() {
    let bundle = started(&["sleep", "600"]);
    assert!(bundle.fail(&["events", "--interval", "0s", "@"]).contains("greater than 0"));
    bundle.succeed(&["kill", "@", "KILL"]);
    bundle.wait_for("stopped");
    assert!(bundle.fail(&["events", "--stats", "@"]).contains("is not running"));
    bundle.succeed(&["delete", "@"]);
    assert!(bundle.fail(&["events", "--stats", "@"]).contains("does not exist"));
}

#[test]
fn events_are_found_by_their_beginning() {
    let bundle = started(&["sleep", "600"]);
    let text = bundle.succeed(&["events", "--stats", "@"]);
    let head = format!(r#"{{"type":"stats","id":"{}","data":{{"#, bundle.id);
    assert!(text.starts_with(&head), "{text}");
}
