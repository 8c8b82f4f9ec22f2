//! Bundles that mean harm: one clear error, and nothing outside the container is touched.

mod support;

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;
use support::{Bundle, NOTHING, error, exists, text, unified};

#[test]
fn documents_that_are_no_configuration() {
    let deep = "[".repeat(1 << 20);
    let cases = [
        "",
        "x",
        "null",
        "[]",
        "{}",
        r#"{"ociVersion":5}"#,
        r#"{"ociVersion":"2.0.0"}"#,
        r#"{"ociVersion":"1.0.0"}"#,
        &deep,
        r#"{"ociVersion":"1.0.0","process":{"args":[],"cwd":"/","user":{}}}"#,
        r#"{"ociVersion":"1.0.0","process":{"args":["a"],"cwd":"x","user":{}},"linux":{}}"#,
        r#"{"ociVersion":"1.0.0","process":{"args":["a\u0000b"],"cwd":"/","user":{}},"linux":{}}"#,
    ];
    for case in cases {
        let bundle = Bundle::new(&["true"]);
        fs::write(bundle.directory.path().join("config.json"), case).unwrap();
        let path = bundle.directory.path();
        let output = bundle.runtime().arg("run").arg("-b").arg(path).arg(&bundle.id).output();
        error(&output.unwrap());
        assert_eq!(bundle.leftovers(), NOTHING);
    }
}

#[test]
fn links_in_the_image_do_not_lead_out() {
    let bundle = Bundle::new(&["true"]);
    let outside = bundle.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, bundle.rootfs().join("data")).unwrap();
    symlink("../../../../../../..", bundle.rootfs().join("up")).unwrap();
    let bundle = bundle.with(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.push(json!({"destination": "/data/a", "type": "tmpfs", "source": "tmpfs"}));
        mounts.push(json!({"destination": "/up/b/c", "type": "tmpfs", "source": "tmpfs"}));
        mounts.push(json!({"destination": "/../../../d", "type": "tmpfs", "source": "tmpfs"}));
    });
    text(&bundle.run(), 0);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert!(bundle.rootfs().join("b/c").is_dir());
    assert!(bundle.rootfs().join("d").is_dir());
    assert_eq!(bundle.leftovers(), NOTHING);
}

#[test]
fn a_cgroup_path_cannot_climb() {
    let bundle = Bundle::new(&["true"]).with(|config| {
        let path = config["linux"]["cgroupsPath"].as_str().unwrap().to_owned();
        config["linux"]["cgroupsPath"] = json!(format!("/../../..{path}"));
    });
    text(&bundle.run(), 0);
    assert_eq!(bundle.leftovers(), NOTHING);
}

/// CVE-2024-21626: a working directory by a leaked descriptor.
#[test]
fn no_descriptor_of_the_host_is_a_working_directory() {
    for fd in 3..20 {
        let bundle = Bundle::new(&["/bin/busybox", "cat", "../../../etc/hostname"])
            .with(|config| config["process"]["cwd"] = json!(format!("/proc/self/fd/{fd}")));
        assert_eq!(bundle.run().status.code(), Some(1), "{fd}");
    }
    let bundle = Bundle::shell("for fd in /proc/self/fd/*; do echo ${fd##*/}; done");
    assert_eq!(text(&bundle.run(), 0), "0\n1\n2\n3\n"); // 3 is the directory being listed
}

/// CVE-2019-5736: the runtime's own file, by its link in /proc.
#[test]
fn the_runtime_cannot_be_opened_for_writing() {
    let bundle = Bundle::new(&["/proc/self/exe", "--version"]);
    // Executed in the container, the program can be asked for, but never written.
    let ours = fs::metadata(env!("CARGO_BIN_EXE_tare-runtime")).unwrap();
    let _ = bundle.run();
    let script = "exec 3>>/proc/1/exe";
    let bundle = Bundle::new(&["sleep", "600"]);
    bundle.create();
    let writes = bundle.fail_with_any_code(&["exec", "@", "sh", "-c", script]);
    assert!(writes.contains("ermission denied") || writes.contains("ead-only"), "{writes}");
    let after = fs::metadata(env!("CARGO_BIN_EXE_tare-runtime")).unwrap();
    assert_eq!(ours.len(), after.len());
}

/// CVE-2019-16884, CVE-2025-52881: something else in place of procfs.
#[test]
fn procfs_cannot_be_replaced() {
    for (destination, kind) in [("/proc", "tmpfs"), ("/proc/self", "tmpfs"), ("/link/sys", "tmpfs")]
    {
        let bundle = Bundle::new(&["true"]);
        symlink("proc", bundle.rootfs().join("link")).unwrap();
        let bundle = bundle.with(|config| {
            let mount = json!({"destination": destination, "type": kind, "source": kind});
            config["mounts"].as_array_mut().unwrap().push(mount);
        });
        let line = error(&bundle.run());
        assert!(line.contains("proc"), "{line}");
        assert_eq!(bundle.leftovers(), NOTHING);
    }
}

/// CVE-2025-31133: what masks a path is the host's null device, whatever lies in the image's /dev.
#[test]
fn masks_are_null_devices() {
    let script = "/bin/busybox stat -c '%t:%T' /proc/keys; echo x > /proc/keys; cat /proc/keys";
    let bundle = Bundle::shell(script).with(|config| {
        config["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] != "/dev");
        config["mounts"]
            .as_array_mut()
            .unwrap()
            .retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev/"));
    });
    fs::create_dir(bundle.rootfs().join("dev")).unwrap();
    symlink("/proc/sys/kernel/core_pattern", bundle.rootfs().join("dev/null")).unwrap();
    let line = error(&bundle.run());
    assert!(line.contains("device null"), "{line}");
    fs::remove_file(bundle.rootfs().join("dev/null")).unwrap();
    assert_eq!(text(&bundle.run(), 0), "1:3\n");
    assert!(exists(&bundle.rootfs().join("dev/null")));
}

/// What cannot be done is refused by its field's name.
#[test]
fn nothing_is_ignored() {
    let cases = [
        ("linux.intelRdt", json!({"intelRdt": {"closID": "x"}})),
        ("linux.personality.flags", json!({"personality": {"domain": "LINUX", "flags": ["X"]}})),
        ("linux.timeOffsets", json!({"timeOffsets": {"monotonic": {"secs": 1}}})),
        ("linux.uidMappings", json!({"uidMappings": [{"containerID": 0, "hostID": 0, "size": 1}]})),
        ("linux.sysctl", json!({"sysctl": {"kernel.panic": "1"}})),
        ("linux.rootfsPropagation", json!({"rootfsPropagation": "sideways"})),
    ];
    // Each world of cgroups has limits that the other does not know.
    let unknown = match unified() {
        true => ("linux.resources.memory.swappiness", json!({"memory": {"swappiness": 1}})),
        false => ("linux.resources.unified", json!({"unified": {"memory.max": "1"}})),
    };
    let unknown = (unknown.0, json!({ "resources": unknown.1 }));
    for (field, change) in cases.into_iter().chain([unknown]) {
        let bundle = Bundle::new(&["true"]).with(|config| {
            for (name, value) in change.as_object().unwrap() {
                config["linux"][name] = value.clone();
            }
        });
        let line = error(&bundle.run());
        assert!(line.contains(field), "{field}: {line}");
        assert_eq!(bundle.leftovers(), NOTHING);
    }
}
