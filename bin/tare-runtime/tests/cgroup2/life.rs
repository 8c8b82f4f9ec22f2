//! A container's life, as each driver lets it be seen and changed.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::subject::{Subject, same};
use crate::support::until;

/// With cgroups that it may change.
fn writable(config: &mut Value) {
    for mount in config["mounts"].as_array_mut().expect("a list") {
        if mount["type"] == "cgroup" {
            mount["options"].as_array_mut().expect("a list").retain(|option| option != "ro");
        }
    }
}

fn status(subject: &Subject) -> String {
    let state: Value = serde_json::from_str(&subject.succeed(&["state", "@"])).expect("JSON");
    let keys: Vec<_> = state.as_object().expect("an object").keys().collect();
    format!("{} {keys:?}\n", state["status"])
}

fn file(subject: &Subject, name: &str) -> String {
    fs::read_to_string(subject.cgroup().join(name)).expect("read it")
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn pause_and_resume() {
    let shown = same(
        |_| {},
        |subject| {
            subject.start();
            let mut shown = status(subject);
            subject.succeed(&["pause", "@"]);
            shown += &(status(subject) + &file(subject, "cgroup.freeze"));
            let refused = subject.call(&["exec", "@", "true"]);
            shown += &format!("{:?}\n", refused.status.code());
            subject.update(&["--pids-limit", "33"]);
            shown += &(status(subject) + &file(subject, "pids.max"));
            subject.succeed(&["resume", "@"]);
            shown + &status(subject) + &file(subject, "cgroup.freeze")
        },
    );
    assert!(shown[0].contains(r#""paused""#) && shown[0].contains("255"), "{}", shown[0]);
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn processes_are_seen_and_killed() {
    let among_the_hosts = |config: &mut Value| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|namespace| namespace["type"] != "pid");
    };
    let shown = same(among_the_hosts, |subject| {
        subject.start();
        subject.succeed(&["exec", "-d", "@", "sleep", "601"]);
        let processes = |subject: &Subject| {
            let text = subject.succeed(&["ps", "--format", "json", "@"]);
            serde_json::from_str::<Vec<u32>>(&text).expect("JSON").len()
        };
        let two = processes(subject);
        let inside = file(subject, "cgroup.procs").lines().count();
        subject.succeed(&["kill", "@", "KILL"]);
        until(|| status(subject).contains("stopped"), "it is stopped");
        until(
            || !subject.cgroup().exists() || file(subject, "cgroup.procs").is_empty(),
            "all gone",
        );
        subject.succeed(&["delete", "@"]);
        format!("{two} {inside} {}", subject.cgroup().exists())
    });
    assert_eq!(shown, ["2 2 false"; 2]);
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn exec_enters_where_it_can() {
    let shown = same(writable, |subject| {
        subject.start();
        let inside = |script: &str| subject.succeed(&["exec", "@", "sh", "-c", script]);
        let place = "cat /proc/self/cgroup";
        let mut shown = inside(place);
        inside(
            "mkdir /sys/fs/cgroup/inner /sys/fs/cgroup/other; echo 1 > /sys/fs/cgroup/inner/cgroup.procs",
        );
        shown += &inside(place);
        inside(
            "echo $$ > /sys/fs/cgroup/inner/cgroup.procs; echo +memory > /sys/fs/cgroup/cgroup.subtree_control",
        );
        shown += &inside(place);
        for path in ["inner", "/other"] {
            shown += &subject.succeed(&["exec", "--cgroup", path, "@", "cat", "/proc/self/cgroup"]);
        }
        for path in ["/", "..", "none"] {
            let output = subject.call(&["exec", "--cgroup", path, "@", "true"]);
            shown += &format!("{path} {:?}\n", output.status.code());
        }
        shown
    });
    let places = "0::/\n0::/\n0::/inner\n0::/inner\n0::/other\n";
    let ends = "/ Some(255)\n.. Some(255)\nnone Some(255)\n";
    assert_eq!(shown, [format!("{places}{ends}"), format!("{places}{ends}")]);
}

/// The paths of all that a document says; of lists the first element.
fn shape(value: &Value, path: &str, all: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| shape(value, &format!("{path}.{key}"), all));
        }
        Value::Array(list) => {
            list.iter().take(1).for_each(|value| shape(value, &format!("{path}[]"), all));
        }
        _ => {
            all.insert(path.to_owned());
        }
    }
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn statistics() {
    let limited = |config: &mut Value| {
        let resources = &mut config["linux"]["resources"];
        resources["memory"] = json!({"limit": 64 << 20, "swap": 96 << 20});
        resources["pids"] = json!({"limit": 44});
        resources["cpu"] = json!({"quota": 40_000, "period": 50_000, "cpus": "0"});
    };
    let shown = same(limited, |subject| {
        subject.start();
        let text = subject.succeed(&["events", "--stats", "@"]);
        let event: Value = serde_json::from_str(&text).expect("JSON");
        let mut all = BTreeSet::new();
        shape(&event, "", &mut all);
        // What is zero is not told, which may differ from run to run; the cpuset's lists are only ours.
        let beside =
            [".raw.", ".psi.", ".throttling.", ".cache", ".blkio.", ".cpuset.cpus", ".cpuset.mems"];
        all.retain(|path| !beside.iter().any(|part| path.contains(part)));
        let memory = &event["data"]["memory"];
        let limits =
            [&memory["usage"]["limit"], &memory["swap"]["limit"], &event["data"]["pids"]["limit"]];
        format!("{limits:?} {all:#?}")
    });
    assert!(shown[0].contains("67108864") && shown[0].contains("Number(44)"), "{}", shown[0]);
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn a_forced_end_takes_all_below() {
    let shown = same(writable, |subject| {
        subject.start();
        let script = "cd /sys/fs/cgroup; mkdir -p a/b c; sleep 602 & echo $! > a/b/cgroup.procs; \
            sleep 603 & echo $! > c/cgroup.procs";
        subject.succeed(&["exec", "-d", "@", "sh", "-c", script]);
        let inner = subject.cgroup().join("c/cgroup.procs");
        until(|| fs::read_to_string(&inner).is_ok_and(|text| !text.is_empty()), "they are inside");
        subject.succeed(&["delete", "--force", "@"]);
        subject.cgroup().exists().to_string()
    });
    assert_eq!(shown, ["false"; 2]);
}

/// One that another uses is refused, with either driver.
#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn a_cgroup_has_one_container() {
    let shown = same(
        |_| {},
        |subject| {
            subject.start();
            let second = format!("{}-second", subject.id());
            let output = subject.call(&["run", "-d", &second]);
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(errors.contains("container's cgroup is not empty"), "{errors}");
            format!("{:?} {}", output.status.code(), status(subject))
        },
    );
    assert!(shown[1].starts_with(r#"Some(1) "running""#), "{}", shown[1]);
}
