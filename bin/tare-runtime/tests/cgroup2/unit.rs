//! What only systemd's driver has: units, slices, properties by annotation.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::subject::{Subject, same_with};
use crate::support::until;

fn property(unit: &str, name: &str) -> String {
    let output = Command::new("systemctl").args(["show", "--property", name, unit]).output();
    let text = String::from_utf8(output.expect("systemctl").stdout).expect("UTF-8");
    assert!(text.contains('='), "systemd tells {name} of {unit}");
    text.trim().to_owned()
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn properties_by_annotation() {
    let annotations = json!({
        "org.systemd.property.TimeoutStopUSec": "uint64 123456789",
        "org.systemd.property.TimeoutStopSec": "uint32 9",
        "org.systemd.property.CollectMode": "'inactive-or-failed'",
        "org.systemd.property.SendSIGHUP": "true",
        "org.systemd.property.RuntimeMaxUSec": "uint64 7000000000",
        "org.systemd.property.Before": "['shutdown.target', 'poweroff.target']",
    });
    for name in annotations.as_object().expect("an object").keys() {
        let shown = same_with(
            true,
            |config| {
                config["annotations"] = json!({});
                config["annotations"][name] = annotations[name].clone();
            },
            |subject| {
                subject.start();
                subject.settings()
            },
        );
        let set = match name.rsplit('.').next().expect("a name") {
            "TimeoutStopUSec" => "TimeoutStopUSec=2min 3.456789s",
            "TimeoutStopSec" => "TimeoutStopUSec=9s",
            "CollectMode" => "CollectMode=inactive-or-failed",
            "SendSIGHUP" => "SendSIGHUP=yes",
            "RuntimeMaxUSec" => "RuntimeMaxUSec=1h 56min 40s",
            _ => "shutdown.target",
        };
        assert!(shown.contains(set), "{set}: {shown}");
    }
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn annotations_that_are_none() {
    for (name, value) in [
        ("org.systemd.property.CollectMode", "inactive"),
        ("org.systemd.property.NoSuchProperty", "true"),
        ("org.systemd.property.SendSIGHUP", "'text'"),
    ] {
        let shown = same_with(
            true,
            |config| {
                config["annotations"] = json!({});
                config["annotations"][name] = json!(value);
            },
            |subject| format!("{:?}", subject.call(&["run", "-d", "@"]).status.code()),
        );
        assert_eq!(shown, "Some(1)", "{name}: {value}");
    }
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn slices_and_names() {
    for (path, slice) in [
        (":tare-test:@", "system.slice"),
        ("tare-a-b.slice:tare-test:@", "tare.slice/tare-a.slice/tare-a-b.slice"),
        ("-.slice:tare-test:@", ""),
    ] {
        same_with(
            true,
            |config| config["linux"]["cgroupsPath"] = json!("to be replaced"),
            |subject| {
                with_path(subject, path);
                subject.start();
                let group = property(&subject.unit(), "ControlGroup");
                let unit = subject.unit();
                let below = if slice.is_empty() { String::new() } else { format!("/{slice}") };
                assert_eq!(group, format!("ControlGroup={below}/{unit}"));
                subject.succeed(&["delete", "--force", "@"]);
                property(&unit, "ActiveState")
            },
        );
    }
}

/// Writes the path with the container's id in place of `@`.
fn with_path(subject: &Subject, path: &str) {
    let file = subject.rootfs().with_file_name("config.json");
    let mut config: Value =
        serde_json::from_str(&fs::read_to_string(&file).expect("read it")).expect("JSON");
    config["linux"]["cgroupsPath"] = json!(path.replace('@', subject.id()));
    fs::write(file, config.to_string()).expect("write it");
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn paths_that_are_none() {
    for path in ["/a/b", "a:b", "a/b.slice:c:d", "none:c:d", "a--b.slice:c:d"] {
        let shown = same_with(
            true,
            |config| config["linux"]["cgroupsPath"] = json!(path),
            |subject| format!("{:?}", subject.call(&["run", "-d", "@"]).status.code()),
        );
        assert_eq!(shown, "Some(1)", "{path}");
    }
}

/// The unit goes with the container's last process, and `delete` forgets what is left of it.
#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn a_unit_ends_with_its_container() {
    let shown = same_with(
        true,
        |config| config["process"]["args"] = json!(["sh", "-c", "exit 3"]),
        |subject| {
            subject.start();
            until(|| !subject.cgroup().exists(), "systemd has removed it");
            let stopped = subject.succeed(&["state", "@"]).contains(r#""status": "stopped""#);
            subject.succeed(&["delete", "@"]);
            format!("{stopped} {}", property(&subject.unit(), "LoadState"))
        },
    );
    assert_eq!(shown, "true LoadState=not-found");
}

/// systemd must be able to read its units again without changing a container.
#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn a_reload_changes_nothing() {
    same_with(
        true,
        |config| {
            let resources = &mut config["linux"]["resources"];
            resources["memory"] = json!({"limit": 64 << 20});
            resources["cpu"] = json!({"shares": 512, "quota": 40_000, "period": 50_000});
            resources["unified"] = json!({"memory.high": "33554432"});
        },
        |subject| {
            subject.start();
            subject.update(&["--pids-limit", "77"]);
            let before = subject.settings();
            let done = Command::new("systemctl").arg("daemon-reload").status();
            assert!(done.expect("systemctl").success());
            assert_eq!(subject.settings(), before);
            let probe = "(exec 3< /dev/null) && echo null; (exec 3< /dev/kmsg) || echo no";
            subject.succeed(&["exec", "@", "sh", "-c", probe]) + &before
        },
    );
}
