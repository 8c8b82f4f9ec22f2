//! Configurations that mean harm: each is refused in one line of bearable length, and leaves nothing.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{Bundle, NOTHING, error, text};

/// Puts `value` at a JSON pointer, making what is missing on the way.
fn put(config: &mut Value, pointer: &str, value: Value) {
    let mut at = config;
    for name in pointer.split('/').skip(1) {
        at = match name.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => {
                if !at.is_object() {
                    *at = json!({});
                }
                &mut at[name]
            }
        };
    }
    *at = value;
}

fn is_refused(bundle: &Bundle, document: &[u8], what: &str) {
    fs::write(bundle.directory.path().join("config.json"), document).expect("write it");
    let mut run = bundle.runtime();
    run.args(["run", "-b"]).arg(bundle.directory.path()).arg(&bundle.id).stdin(Stdio::null());
    let begin = Instant::now();
    let output = run.output().expect("start the runtime");
    assert_eq!(output.status.code(), Some(1), "{what}: {output:?}");
    assert!(begin.elapsed() < Duration::from_secs(3), "{what}: too slow");
    let line = error(&output);
    assert!(line.len() < 4096, "{what}: an endless line of {}", line.len());
    assert!(!line.contains("panicked"), "{what}: {line}");
    assert_eq!(bundle.leftovers(), NOTHING, "{what}");
}

fn are_refused(cases: &[(&str, Value)]) {
    let bundle = Bundle::new(&["true"]);
    for (pointer, value) in cases {
        let mut config = bundle.config.clone();
        put(&mut config, pointer, value.clone());
        let document = serde_json::to_vec(&config).expect("JSON");
        is_refused(&bundle, &document, &format!("{pointer} = {:.60}", value.to_string()));
    }
}

#[test]
fn wrong_types() {
    are_refused(&[
        ("/ociVersion", json!(5)),
        ("/process", json!("x")),
        ("/process/args", json!("x")),
        ("/process/args/0", json!(5)),
        ("/process/env", json!({"a": 1})),
        ("/process/cwd", json!(7)),
        ("/process/user", json!("root")),
        ("/process/user/uid", json!("0")),
        ("/process/user/additionalGids", json!("0")),
        ("/process/user/umask", json!("022")),
        ("/process/terminal", json!("yes")),
        ("/process/consoleSize", json!([1])),
        ("/process/capabilities", json!([])),
        ("/process/capabilities/bounding", json!("ALL")),
        ("/process/rlimits", json!({})),
        ("/process/noNewPrivileges", json!(1)),
        ("/process/oomScoreAdj", json!("5")),
        ("/process/scheduler", json!({"policy": 5})),
        ("/process/ioPriority", json!({"class": 5, "priority": 1})),
        ("/process/apparmorProfile", json!(1)),
        ("/process/selinuxLabel", json!([])),
        ("/process/execCPUAffinity", json!({"initial": 5})),
        ("/root", json!("rootfs")),
        ("/root/path", json!(5)),
        ("/root/readonly", json!("no")),
        ("/hostname", json!(5)),
        ("/domainname", json!({})),
        ("/mounts", json!({})),
        ("/mounts/0", json!("x")),
        ("/mounts/0/destination", json!(5)),
        ("/mounts/0/options", json!("ro")),
        ("/mounts/0/type", json!([])),
        ("/hooks", json!([])),
        ("/hooks/prestart", json!({})),
        ("/hooks/poststop", json!([{"path": 5}])),
        ("/hooks/poststart", json!([{"path": "/bin/true", "env": "x"}])),
        ("/annotations", json!([])),
        ("/annotations/a", json!(1)),
        ("/linux", json!([])),
        ("/linux/namespaces", json!({})),
        ("/linux/uidMappings", json!({})),
        ("/linux/devices", json!("x")),
        ("/linux/cgroupsPath", json!(5)),
        ("/linux/resources", json!([])),
        ("/linux/resources/memory/limit", json!("1G")),
        ("/linux/resources/pids/limit", json!([])),
        ("/linux/resources/cpu/quota", json!("x")),
        ("/linux/resources/devices", json!({})),
        ("/linux/resources/hugepageLimits", json!({})),
        ("/linux/seccomp", json!("unconfined")),
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": "x86"})),
        ("/linux/maskedPaths", json!("x")),
        ("/linux/readonlyPaths", json!([5])),
        ("/linux/mountLabel", json!(5)),
        ("/linux/rootfsPropagation", json!(5)),
        ("/linux/sysctl", json!([])),
        ("/linux/sysctl/net.ipv4.ip_forward", json!(1)),
        ("/linux/personality", json!("LINUX")),
        ("/linux/intelRdt", json!({"closID": 5})),
        ("/linux/timeOffsets", json!([])),
    ]);
}

#[test]
fn numbers_and_words_out_of_range() {
    let limit = |soft: Value| json!([{"type": "RLIMIT_NOFILE", "soft": soft, "hard": 5}]);
    let device = |kind: &str, major: i64| json!([{"path": "/dev/x", "type": kind, "major": major, "minor": 1}]);
    are_refused(&[
        ("/process/user/uid", json!(-1)),
        ("/process/user/gid", json!(4_294_967_296_u64)),
        ("/process/user/additionalGids", json!([-1])),
        ("/process/rlimits", json!([{"type": "RLIMIT_NOPE", "soft": 1, "hard": 1}])),
        ("/process/rlimits", limit(json!(-1))),
        ("/process/rlimits", limit(json!(6))),
        ("/process/rlimits", limit(json!(1e30))),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": u64::MAX, "hard": u64::MAX}]),
        ),
        ("/process/oomScoreAdj", json!(99_999)),
        ("/process/args", json!([])),
        ("/process/args", json!([""])),
        ("/process/args", json!(["x".repeat(1 << 20)])),
        ("/process/cwd", json!(format!("/{}", "x".repeat(1 << 20)))),
        ("/process/env", json!(["x".repeat(1 << 20)])),
        ("/process/cwd", json!("")),
        ("/process/env", json!(["=x"])),
        ("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 99})),
        ("/process/scheduler", json!({"policy": "SCHED_X"})),
        ("/process/execCPUAffinity", json!({"initial": "9-1"})),
        ("/root/path", json!("")),
        ("/root/path", json!("nowhere")),
        ("/root/path", json!("config.json")),
        ("/hostname", json!("h".repeat(65))),
        ("/mounts/0/destination", json!("")),
        ("/mounts/0/options", json!(["x".repeat(1 << 20)])),
        ("/mounts/0/type", json!("no-such-file-system")),
        ("/hooks/prestart", json!([{"path": "true"}])),
        ("/hooks/prestart", json!([{"path": "/bin/true", "timeout": -1}])),
        ("/hooks/prestart", json!([{"path": "/nowhere"}])),
        ("/linux/namespaces", json!([{"type": "nope"}])),
        ("/linux/namespaces", json!([{"type": "pid"}, {"type": "mount"}, {"type": "pid"}])),
        ("/linux/namespaces/0/path", json!("/nowhere")),
        ("/linux/namespaces/0/path", json!("/etc/passwd")),
        ("/linux/devices", device("q", 1)),
        ("/linux/devices", device("c", -1)),
        ("/linux/devices", device("c", 1 << 40)),
        ("/linux/resources/cpu/shares", json!(-1)),
        ("/linux/resources/memory/limit", json!(1e40)),
        ("/linux/resources/blockIO/weight", json!(70_000)),
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_NOPE"})),
        ("/linux/rootfsPropagation", json!("sideways")),
        ("/linux/sysctl", json!({"kernel.nope": "1"})),
        ("/linux/sysctl", json!({"net/../kernel/panic": "1"})),
        ("/linux/sysctl", json!({"net.../kernel.panic": "1"})),
        ("/linux/sysctl", json!({"net/ipv4/../../kernel/panic": "1"})),
        ("/linux/personality", json!({"domain": "X"})),
    ]);
}

#[test]
fn nul_bytes() {
    let nul = json!("/a\0b");
    are_refused(&[
        ("/process/args/0", nul.clone()),
        ("/process/env", json!(["A=\0"])),
        ("/process/cwd", nul.clone()),
        ("/root/path", nul.clone()),
        ("/hostname", nul.clone()),
        ("/domainname", nul.clone()),
        ("/mounts/0/destination", nul.clone()),
        ("/mounts/0/source", nul.clone()),
        ("/mounts/0/type", nul.clone()),
        ("/mounts/0/options", json!(["a\0b"])),
        ("/mounts/1/options", json!(["mode=\0"])),
        ("/hooks/prestart", json!([{"path": nul}])),
        ("/hooks/prestart", json!([{"path": "/bin/true", "args": ["a", nul]}])),
        ("/hooks/prestart", json!([{"path": "/bin/true", "env": ["A=\0"]}])),
        ("/linux/cgroupsPath", nul.clone()),
        ("/linux/maskedPaths", json!([nul])),
        ("/linux/readonlyPaths", json!([nul])),
        ("/linux/devices", json!([{"path": nul, "type": "c", "major": 1, "minor": 3}])),
        ("/linux/namespaces/0/path", nul.clone()),
        ("/linux/sysctl", json!({"kernel\0.x": "1"})),
    ]);
}

#[test]
fn documents_that_are_too_much() {
    let bundle = Bundle::new(&["true"]);
    let whole = bundle.config.to_string();
    let with = |text: &str| whole.replacen('{', &format!("{{{text},"), 1).into_bytes();
    let deep =
        |open: &str, close: &str| format!("{}1{}", open.repeat(1 << 18), close.repeat(1 << 18));
    let cases: [(&str, Vec<u8>); 9] = [
        ("deep lists", with(&format!("\"hooks\":{}", deep("[", "]")))),
        ("deep objects", with(&format!("\"linux\":{}", deep("{\"a\":", "}")))),
        ("deep annotations", with(&format!("\"annotations\":{}", deep("[", "]")))),
        ("17 MB", with(&format!("\"x\":\"{}\"", "x".repeat(17 << 20)))),
        ("a member twice", with("\"process\":{}")),
        (
            "no UTF-8",
            with("\"hostname\":\"?\"").iter().map(|&b| if b == b'?' { 0xff } else { b }).collect(),
        ),
        ("more than one", format!("{whole}{whole}").into_bytes()),
        ("half of it", whole.as_bytes()[..whole.len() / 2].to_vec()),
        ("an endless word", with(&format!("\"linux\":\"{}\"", "x".repeat(1 << 20)))),
    ];
    for (what, document) in cases {
        is_refused(&bundle, &document, what);
    }
}

/// Many are no error: they are mounted, and gone with the container.
#[test]
fn thousands_of_mounts() {
    let bundle = Bundle::new(&["true"]).with(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        for _ in 0..2000 {
            mounts.push(json!({"destination": "/many", "type": "tmpfs", "source": "tmpfs"}));
        }
    });
    text(&bundle.run(), 0);
    assert_eq!(bundle.leftovers(), NOTHING);
}
