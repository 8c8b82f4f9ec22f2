//! Images that lie to the runtime about /proc, users and configuration.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;

use super::support::{Bundle, NOTHING, error, text, until};

/// CVE-2019-19921, CVE-2023-27561, CVE-2023-28642: procfs behind a link into a volume, where masks and
/// labels can be exchanged. A runtime that follows the link starts the container.
#[test]
fn procfs_only_on_an_ordinary_directory() {
    for (name, kind) in [("proc", "proc"), ("sys", "sysfs")] {
        let bundle = Bundle::new(&["true"]);
        fs::create_dir(bundle.rootfs().join("volume")).unwrap();
        symlink("volume", bundle.rootfs().join(name)).unwrap();
        let line = error(&bundle.run());
        assert!(line.contains(kind) && line.contains("ordinary directory"), "{line}");
        assert_eq!(bundle.leftovers(), NOTHING);
    }
}

/// The image's word in /proc/self/setgroups once decided whether the caller's groups are dropped: then
/// `id -G` tells them.
#[test]
fn groups_are_dropped_whatever_the_image_says() {
    let bundle = Bundle::new(&["id", "-G"]).with(|config| {
        config["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] != "/proc");
        config["linux"]["maskedPaths"] = json!([]);
        config["linux"]["readonlyPaths"] = json!([]);
    });
    fs::create_dir_all(bundle.rootfs().join("proc/self")).unwrap();
    fs::write(bundle.rootfs().join("proc/self/setgroups"), "deny").unwrap();
    bundle.write();
    let mut command = Command::new("setpriv");
    command.args(["--groups", "4,24,27", env!("CARGO_BIN_EXE_tare-runtime"), "--root"]);
    command.arg(bundle.state_root()).args(["run", "-b"]).arg(bundle.directory.path());
    let output = command.arg(&bundle.id).output().unwrap();
    assert_eq!(text(&output, 0), "0\n");
}

/// Where it is opened for good, the runtime waits for ever for somebody who writes.
#[test]
fn pipes_in_place_of_files_block_nobody() {
    let ends = |bundle: &Bundle| {
        let mut command = bundle.runtime();
        command.args(["run", "-b"]).arg(bundle.directory.path()).arg(&bundle.id);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut status = None;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while status.is_none() && std::time::Instant::now() < deadline {
            status = child.try_wait().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let _ = child.kill();
        let _ = child.wait();
        status.expect("it ends").code()
    };
    let pipe = |path| mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();

    let bundle = Bundle::new(&["true"]);
    fs::create_dir(bundle.rootfs().join("etc")).unwrap();
    pipe(bundle.rootfs().join("etc/passwd"));
    bundle.write();
    assert_eq!(ends(&bundle), Some(0));

    let bundle = Bundle::new(&["true"]);
    fs::remove_file(bundle.directory.path().join("config.json")).unwrap();
    pipe(bundle.directory.path().join("config.json"));
    assert_eq!(ends(&bundle), Some(1));
    assert_eq!(bundle.leftovers(), NOTHING);
}

/// CVE-2022-29162: a capability that can be inherited is gained by a program whose file says so, as any
/// user. The caller has all to be inherited, exec is asked for one more; where one gets through, the
/// user's copy of busybox has it in CapEff.
#[test]
fn nothing_is_inheritable() {
    let show = "/bin/busybox grep -E 'CapInh|CapAmb|CapEff' /proc/self/status";
    let nothing =
        "CapInh:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n";
    let bundle = Bundle::shell("sleep 600");
    let with_file_capabilities = bundle.rootfs().join("bin/busybox");
    let all = ["cap_sys_admin,cap_kill,cap_net_bind_service,cap_audit_write+ei"];
    let set = Command::new("setcap").args(all).arg(&with_file_capabilities).status().unwrap();
    assert!(set.success());
    let call = |bundle: &Bundle, args: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args([
            "--inh-caps",
            "+sys_admin,+kill,+net_bind_service,+audit_write",
            env!("CARGO_BIN_EXE_tare-runtime"),
            "--root",
        ]);
        command.arg(bundle.state_root()).args(args).stdin(Stdio::null()).output().unwrap()
    };
    let place = bundle.directory.path().to_str().unwrap();
    let user = |config: &mut serde_json::Value| {
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        config["process"]["args"] = json!(["sh", "-c", show]);
    };
    for without in [false, true] {
        let mut run = bundle.config.clone();
        user(&mut run);
        if without {
            run["process"].as_object_mut().unwrap().remove("capabilities");
        }
        fs::write(bundle.directory.path().join("config.json"), run.to_string()).unwrap();
        let output = call(&bundle, &["run", "-b", place, &bundle.id]);
        assert_eq!(text(&output, 0), nothing, "run, without a list: {without}");
    }
    bundle.create();
    bundle.succeed(&["start", "@"]);
    until(|| bundle.status() == "running", "it runs");
    let id = bundle.id.as_str();
    let exec = ["exec", "--user", "1000:1000", "--cap", "CAP_SYS_ADMIN", id, "/bin/sh", "-c", show];
    assert_eq!(text(&call(&bundle, &exec), 0), nothing);
    assert_eq!(bundle.succeed(&["exec", "-u", "1000:1000", "@", "sh", "-c", show]), nothing);
}
