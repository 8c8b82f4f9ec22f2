//! What cannot be had is an error, and leaves neither a cgroup nor a unit.

use serde_json::{Value, json};

use crate::subject::{Subject, same};

/// Exit code, whether the message has the word, and what is left.
fn refusal(subject: &Subject, word: &str) -> String {
    let output = subject.call(&["run", "-d", "@"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains(word), "{word:?}: {errors}");
    let state =
        std::process::Command::new("systemctl").args(["is-active", &subject.unit()]).output();
    let state = String::from_utf8(state.expect("systemctl").stdout).expect("UTF-8");
    format!("{:?} {} {state}", output.status.code(), subject.cgroup().exists())
}

fn refused(resources: &Value, word: &str) {
    let shown = same(
        |config| {
            let all = config["linux"]["resources"].as_object_mut().expect("an object");
            all.extend(resources.as_object().expect("an object").clone());
        },
        |subject| refusal(subject, word),
    );
    assert_eq!(shown, ["Some(1) false inactive\n", "Some(1) false inactive\n"], "{resources}");
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn limits_that_contradict_themselves() {
    refused(&json!({"memory": {"swap": 4096}}), "unable to set swap limit without memory limit");
    let less = json!({"memory": {"limit": 8192, "swap": 4096}});
    refused(&less, "memory+swap limit should be >= memory limit");
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn limits_that_the_kernel_refuses() {
    refused(&json!({"cpu": {"period": 100}}), "cpu");
    refused(&json!({"cpu": {"cpus": "99"}}), "cpu");
    refused(&json!({"rdma": {"no-such-device": {"hcaHandles": 3}}}), "rdma");
    refused(&json!({"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}), "hugetlb.3MB");
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn files_that_are_none() {
    for (file, value, word) in [
        ("memory.nothing", "1", "memory.nothing"),
        ("nothing", "1", "nothing"),
        ("../memory.max", "1", "no slashes"),
        ("none.max", "1", "none.max"),
        ("memory.max", "much", "memory.max"),
    ] {
        let mut files = json!({});
        files[file] = json!(value);
        refused(&json!({ "unified": files }), word);
    }
}
