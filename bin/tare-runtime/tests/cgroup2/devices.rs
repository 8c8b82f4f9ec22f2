//! Device rules, which on v2 are a program of the kernel's: probed from inside.

use serde_json::{Value, json};

use crate::subject::{Subject, same, shown_by_ours};

/// Two devices that open without asking for rights or hardware.
const FUSE: (u32, u32) = (10, 229);
const LOOP: (u32, u32) = (10, 237);

/// Opens both to read and to write, makes a node of each, and uses what everybody may.
const PROBE: &str = "
    try() { if eval \"$2\" 2>/dev/null; then echo $1 yes; else echo $1 no; fi; }
    for device in /dev/fuse /dev/loop-control /dev/block; do
        try \"read $device\" \"(exec 3< $device)\"
        try \"write $device\" \"(exec 3> $device)\"
    done
    try 'make fuse' 'mknod /a c 10 229'
    try 'make loop-control' 'mknod /b c 10 237'
    try 'make block' \"mknod /c b $(cat /block)\"
    for device in null zero full random urandom ptmx; do try $device \"(exec 3<> /dev/$device)\"; done
";

fn with_devices(config: &mut Value, rules: &Value) {
    let block = std::fs::read_to_string("/sys/block/vda/dev").expect("a disk");
    let (major, minor) = block.trim().split_once(':').expect("two numbers");
    let device = |path: &str, kind: &str, major: u32, minor: u32| json!({"path": path, "type": kind, "major": major, "minor": minor, "fileMode": 438});
    let number = |text: &str| text.parse::<u32>().expect("a number");
    config["linux"]["devices"] = json!([
        device("/dev/fuse", "c", FUSE.0, FUSE.1),
        device("/dev/loop-control", "c", LOOP.0, LOOP.1),
        device("/dev/block", "b", number(major), number(minor)),
    ]);
    let script = PROBE.replace("$(cat /block)", &format!("{major} {minor}"));
    config["process"]["args"] = json!(["sh", "-c", script]);
    for set in ["bounding", "effective", "permitted"] {
        let list = config["process"]["capabilities"][set].as_array_mut().expect("a list");
        list.push(json!("CAP_MKNOD"));
    }
    config["linux"]["resources"]["devices"] = rules.clone();
}

/// What the probe tells under the rules, by both runtimes and drivers alike.
fn probed(rules: Value) -> String {
    let [files, systemd] = same(
        |config| with_devices(config, &rules),
        |subject| {
            let name = subject.rootfs().join("bin/mknod");
            std::os::unix::fs::symlink("busybox", name).expect("link an applet");
            subject.run()
        },
    );
    assert_eq!(files, systemd);
    for usual in ["null", "zero", "full", "random", "urandom"] {
        assert!(files.contains(&format!("{usual} yes\n")), "{files}");
    }
    files
}

fn nothing() -> Value {
    json!({"allow": false, "access": "rwm"})
}

/// A rule for what is numbered; None stands for all.
fn rule(allow: bool, kind: &str, major: Option<u32>, minor: Option<u32>, access: &str) -> Value {
    json!({"allow": allow, "type": kind, "major": major, "minor": minor, "access": access})
}

fn assert_tells(shown: &str, answers: &[&str]) {
    for answer in answers {
        assert!(shown.contains(&format!("{answer}\n")), "{answer}: {shown}");
    }
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn only_the_usual_without_a_rule() {
    let shown = probed(json!([nothing()]));
    assert_tells(&shown, &["read /dev/fuse no", "write /dev/fuse no", "read /dev/block no"]);
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn one_device_to_read() {
    let shown = probed(json!([nothing(), rule(true, "c", Some(FUSE.0), Some(FUSE.1), "r")]));
    assert_tells(
        &shown,
        &["read /dev/fuse yes", "write /dev/fuse no", "read /dev/loop-control no"],
    );
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn whole_kinds_and_a_rule_taken_back() {
    let shown = probed(json!([
        nothing(),
        rule(true, "c", Some(FUSE.0), None, "rw"),
        rule(true, "b", None, None, "rwm"),
        rule(false, "b", None, None, "w"),
    ]));
    assert_tells(&shown, &["read /dev/fuse yes", "write /dev/loop-control yes"]);
    assert_tells(&shown, &["read /dev/block yes", "write /dev/block no"]);
}

/// runc refuses this: v1 could not do it.
#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn one_of_a_kind_taken_back() {
    let rules = json!([
        nothing(),
        rule(true, "c", Some(FUSE.0), None, "rw"),
        rule(false, "c", Some(LOOP.0), Some(LOOP.1), "w"),
    ]);
    for systemd in [false, true] {
        let shown = shown_by_ours(systemd, |config| with_devices(config, &rules), Subject::run);
        assert_tells(&shown, &["write /dev/fuse yes", "read /dev/loop-control yes"]);
        assert_tells(&shown, &["write /dev/loop-control no", "read /dev/block no"]);
    }
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn everything() {
    let shown = probed(json!([{"allow": true, "access": "rwm"}]));
    assert!(!shown.contains("no\n"), "{shown}");
}

/// `update` leaves the rules as they are.
#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn rules_outlast_an_update() {
    let rules = json!([nothing(), rule(true, "c", Some(FUSE.0), Some(FUSE.1), "rw")]);
    let all = json!({"devices": [{"allow": true, "access": "rwm"}], "pids": {"limit": 55}});
    let shown = same(
        |config| {
            with_devices(config, &rules);
            config["process"]["args"] = json!(["sleep", "600"]);
        },
        |subject| {
            subject.start();
            subject.update_with(&all);
            let probe = "(exec 3<> /dev/fuse) && echo fuse; (exec 3< /dev/loop-control) || echo no";
            subject.succeed(&["exec", "@", "sh", "-c", probe])
        },
    );
    assert_eq!(shown, ["fuse\nno\n"; 2]);
}
