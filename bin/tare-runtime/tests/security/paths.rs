//! Paths that climb or lead elsewhere: of cgroups, roots, mounts, devices, ids, state and pid files,
//! sockets.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::Stdio;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::json;

use super::support::{Bundle, NOTHING, error, exists, text, unified};

/// Where it climbs, the process is in another's cgroup, or the hierarchy's root is the container's to
/// remove and its processes the container's to kill.
#[test]
fn cgroups_that_climb() {
    for path in ["/", "/..", "/../..", "..", "../../../../../..", "/a/../..", "."] {
        let bundle =
            Bundle::new(&["true"]).with(|config| config["linux"]["cgroupsPath"] = json!(path));
        let line = error(&bundle.run());
        assert!(line.contains("cgroup"), "{path}: {line}");
        assert_eq!(bundle.leftovers(), NOTHING, "{path}");
    }
    let bundle = Bundle::new(&["sleep", "600"]);
    bundle.create();
    bundle.succeed(&["start", "@"]);
    for path in ["..", "/..", "../..", "a/../..", "memory:..", "nowhere"] {
        let said = bundle.fail_with_any_code(&["exec", "--cgroup", path, "@", "true"]);
        assert!(said.contains("cgroup"), "{path}: {said}");
    }
}

/// Where the hierarchy's root can be seen, `release_agent` names a program that the host runs as root
/// (CVE-2022-0492); where more than its own directory can, so can what other containers do
/// (CVE-2023-25809).
#[test]
fn only_its_own_cgroup_is_mounted() {
    let v1 = "cd /sys/fs/cgroup; for d in *; do [ -e $d/release_agent ] && echo root $d; done; \
        for d in */*/; do [ -d $d ] && echo below $d; done; touch x 2>&- && echo shell; \
        mkdir memory/x pids/x 2>&- && echo written; echo end";
    let v2 = "cd /sys/fs/cgroup; for d in */; do [ -d $d ] && [ $OWN = true ] && echo below $d; done; \
        mkdir x 2>&- && echo shell; (echo 1 > cgroup.procs) 2>&- && echo written; echo end";
    let script = if unified() { v2 } else { v1 };
    for own in [false, true] {
        // On v2 only a cgroup namespace hides the others, as with runc.
        let script = script.replace("$OWN", &own.to_string());
        let bundle = Bundle::shell(&script).with(|config| {
            let mounts = config["mounts"].as_array_mut().unwrap();
            let cgroup =
                mounts.iter_mut().find(|mount| mount["destination"] == "/sys/fs/cgroup").unwrap();
            assert!(cgroup["options"].as_array().unwrap().contains(&json!("ro")));
            let spaces = config["linux"]["namespaces"].as_array_mut().unwrap();
            spaces.retain(|space| own || space["type"] != "cgroup");
        });
        assert_eq!(text(&bundle.run(), 0), "end\n", "own namespace: {own}");
        assert_eq!(bundle.leftovers(), NOTHING);
    }
}

/// A link in the image to a place of the host's, as destination, and `..` beyond the root: where they
/// are followed on the host, `outside` is not empty.
#[test]
fn mounts_devices_and_roots_that_climb() {
    let bundle = Bundle::new(&["true"]);
    let outside = bundle.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, bundle.rootfs().join("out")).unwrap();
    let up = format!("/{}{}", "../".repeat(20), outside.display());
    let bundle = bundle.with(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        for place in [format!("{up}/a"), "/out/b".into(), format!("/bin/..{up}/c")] {
            mounts.push(json!({"destination": place, "type": "tmpfs", "source": "tmpfs"}));
        }
        let device = |path: String| json!({"path": path, "type": "c", "major": 1, "minor": 3});
        config["linux"]["devices"] = json!([
            device(format!("{up}/d")),
            device("/out/e".into()),
            device("/dev/../out/f".into())
        ]);
    });
    text(&bundle.run(), 0);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(bundle.leftovers(), NOTHING);
    for path in ["/", "/dev/..", "/dev/null/..", ".."] {
        let bundle = Bundle::new(&["true"]).with(|config| {
            config["linux"]["devices"] =
                json!([{"path": path, "type": "c", "major": 1, "minor": 3}]);
        });
        error(&bundle.run());
        assert_eq!(bundle.leftovers(), NOTHING, "{path}");
    }
}

/// A file where a directory is to be, and links that go round: an error, not a hang.
#[test]
fn destinations_that_cannot_be() {
    for place in ["/file/below", "/round/below", "/proc/self/root/x", "/proc/1/cwd/x", "/dev/fd/0"]
    {
        let bundle = Bundle::new(&["true"]).with(|config| {
            let mount = json!({"destination": place, "type": "tmpfs", "source": "tmpfs"});
            config["mounts"].as_array_mut().unwrap().push(mount);
        });
        fs::write(bundle.rootfs().join("file"), "").unwrap();
        symlink("round", bundle.rootfs().join("round")).unwrap();
        symlink("/proc/self/fd", bundle.rootfs().join("fd")).unwrap();
        let output = bundle.run();
        if place != "/dev/fd/0" {
            error(&output);
        }
        assert_eq!(bundle.leftovers(), NOTHING, "{place}");
    }
}

#[test]
fn ids_that_are_paths() {
    let bundle = Bundle::new(&["true"]);
    bundle.write();
    let long = "x".repeat(2000);
    let place = bundle.directory.path().to_str().unwrap();
    for id in ["..", ".", "a/b", "../x", "/x", "", "a b", "a\nb", "é", &long] {
        for command in ["run", "create", "state", "start", "delete", "kill", "exec", "pause", "ps"]
        {
            let mut call = bundle.runtime();
            call.arg(command);
            if matches!(command, "run" | "create") {
                call.args(["-b", place]);
            }
            call.args(["--", id]);
            if command == "exec" {
                call.arg("true");
            }
            let output = call.stdin(Stdio::null()).output().unwrap();
            assert!(!output.status.success(), "{command} {id:.20}");
            assert!(!output.stderr.is_empty(), "{command} {id:.20}");
        }
    }
    assert!(!exists(&bundle.directory.path().join("x")));
    assert_eq!(bundle.leftovers(), NOTHING);
}

/// A state root in which everybody may exchange what is in it, and links that wait for what is written.
#[test]
fn state_and_pid_files_through_links() {
    let bundle = Bundle::new(&["sleep", "3"]);
    let victim = bundle.directory.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    let everybodys = bundle.state_root();
    fs::create_dir(&everybodys).unwrap();
    fs::set_permissions(&everybodys, fs::Permissions::from_mode(0o777)).unwrap();
    let line = error(&bundle.run());
    assert!(line.contains("--root") && line.contains("everybody"), "{line}");
    fs::set_permissions(&everybodys, fs::Permissions::from_mode(0o1777)).unwrap();

    let pid_file = bundle.directory.path().join("pid");
    symlink(&victim, &pid_file).unwrap();
    bundle.write();
    let place = bundle.directory.path().to_str().unwrap();
    bundle.succeed(&["create", "-b", place, "--pid-file", pid_file.to_str().unwrap(), "@"]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    assert!(fs::read_to_string(&pid_file).unwrap().parse::<u32>().is_ok());
    let missing = bundle.directory.path().join("nowhere/pid");
    let before = bundle.succeed(&["ps", "-f", "json", "@"]);
    bundle.succeed(&["start", "@"]);
    let exec = ["exec", "-d", "--pid-file", missing.to_str().unwrap(), "@", "sleep", "600"];
    bundle.fail_with_any_code(&exec);
    assert_eq!(bundle.succeed(&["ps", "-f", "json", "@"]), before);
}

/// What is no socket that listens: an error, nothing left, and nobody waits for ever.
#[test]
fn console_sockets_of_wrong_kinds() {
    let bundle = Bundle::new(&["true"]).with(|config| config["process"]["terminal"] = json!(true));
    let place = bundle.directory.path();
    fs::write(place.join("file"), "").unwrap();
    mknodat(CWD, place.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let null = makedev(1, 3);
    let mode = Mode::from_raw_mode(0o600);
    mknodat(CWD, place.join("null"), FileType::CharacterDevice, mode, null).unwrap();
    drop(UnixListener::bind(place.join("deaf")).unwrap());
    let _datagrams = UnixDatagram::bind(place.join("datagrams")).unwrap();
    symlink("link", place.join("link")).unwrap();
    bundle.write();
    for name in ["file", "fifo", "null", "deaf", "datagrams", "link", "rootfs", "nowhere"] {
        let socket = place.join(name);
        let said = bundle.fail(&[
            "create",
            "-b",
            place.to_str().unwrap(),
            "--console-socket",
            socket.to_str().unwrap(),
            "@",
        ]);
        assert!(said.contains(name) && said.lines().count() == 1, "{name}: {said}");
        assert_eq!(bundle.leftovers(), NOTHING, "{name}");
    }
}

/// A tree that lies in wait for who copies it: links out of it, pipes, devices, a file with two names,
/// deep directories. Where a link is followed, the host's file is in the container; where a pipe is
/// opened, the copy never ends.
#[test]
fn copied_trees_that_lie_in_wait() {
    let script = "cd /data; cat link 2>&-; [ -p pipe ] && [ -c null ] && cat a b; \
        n=0; while cd d 2>&-; do n=$((n+1)); done; echo $n; [ -e /data/up/etc/hostname ] && echo out; \
        stat -c %a /data/set";
    let bundle = Bundle::shell(script).with(|config| {
        let mount = json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs",
            "options": ["tmpcopyup", "nodev"]});
        config["mounts"].as_array_mut().unwrap().push(mount);
    });
    let data = bundle.rootfs().join("data");
    fs::create_dir(&data).unwrap();
    let secret = bundle.directory.path().join("config.json");
    symlink(&secret, data.join("link")).unwrap();
    symlink("../../../../../../..", data.join("up")).unwrap();
    let mode = Mode::from_raw_mode(0o600);
    mknodat(CWD, data.join("pipe"), FileType::Fifo, mode, 0).unwrap();
    mknodat(CWD, data.join("null"), FileType::CharacterDevice, mode, makedev(1, 3)).unwrap();
    fs::write(data.join("a"), "two names\n").unwrap();
    fs::hard_link(data.join("a"), data.join("b")).unwrap();
    fs::write(data.join("set"), "").unwrap();
    fs::set_permissions(data.join("set"), fs::Permissions::from_mode(0o4755)).unwrap();
    let mut deep = data.clone();
    for _ in 0..300 {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    assert_eq!(text(&bundle.run(), 0), "two names\ntwo names\n300\n4755\n");
    assert!(Path::new(&secret).exists());
    assert_eq!(bundle.leftovers(), NOTHING);
}
