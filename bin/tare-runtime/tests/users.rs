//! User namespaces: clocks, devices and sources in them, joined ones, and containers of who is not root.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use support::{Bundle, NOTHING, error, text};

/// The ordinary user of these tests.
const NOBODY: u32 = 65534;

fn namespaces(config: &mut Value) -> &mut Vec<Value> {
    config["linux"]["namespaces"].as_array_mut().expect("namespaces")
}

fn join(config: &mut Value, kind: &str, path: &str) {
    namespaces(config).retain(|namespace| namespace["type"] != kind);
    namespaces(config).push(json!({"type": kind, "path": path}));
}

/// A user namespace over 100000, in a bundle that its root can reach.
fn in_users(bundle: Bundle) -> Bundle {
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(bundle.directory.path(), open).expect("open it");
    chown(bundle.rootfs(), Some(100_000), Some(100_000)).expect("chown it");
    bundle.with(|config| {
        namespaces(config).push(json!({"type": "user"}));
        map(config, 100_000);
    })
}

fn map(config: &mut Value, host: u32) {
    let map = json!([{"containerID": 0, "hostID": host, "size": 65_536}]);
    config["linux"]["uidMappings"] = map.clone();
    config["linux"]["gidMappings"] = map;
}

/// Creates and starts a container that sleeps; its first process.
fn start(bundle: &Bundle) -> Value {
    bundle.create();
    bundle.succeed(&["start", "@"]);
    let state: Value = serde_json::from_str(&bundle.succeed(&["state", "@"])).expect("JSON");
    state["pid"].clone()
}

/// A process that the test ends.
struct Elsewhere(Child);

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn clocks_have_offsets() {
    let script = "cat /proc/self/timens_offsets; cut -d' ' -f1 /proc/uptime";
    for users in [false, true] {
        let bundle = Bundle::shell(script).with(|config| {
            namespaces(config).push(json!({"type": "time"}));
            config["linux"]["timeOffsets"] = json!({
                "monotonic": {"secs": 7881, "nanosecs": 2_718_281},
                "boottime": {"secs": 1_000_000_000},
            });
        });
        std::os::unix::fs::symlink("busybox", bundle.rootfs().join("bin/cut")).unwrap();
        let bundle = if users { in_users(bundle) } else { bundle };
        let output = text(&bundle.run(), 0);
        let words: Vec<_> = output.split_whitespace().collect();
        assert_eq!(words[..6], ["monotonic", "7881", "2718281", "boottime", "1000000000", "0"]);
        assert!(words[6].parse::<f64>().unwrap() > 1e9, "{output}");
    }
}

/// The offsets of a time namespace that is there are its own.
#[test]
fn a_joined_time_namespace_keeps_its_offsets() {
    let first = Bundle::new(&["sleep", "600"]).with(|config| {
        namespaces(config).push(json!({"type": "time"}));
        config["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 5}});
    });
    let pid = start(&first);
    let second = Bundle::new(&["cat", "/proc/self/timens_offsets"])
        .with(|config| join(config, "time", &format!("/proc/{pid}/ns/time")));
    let output = text(&second.run(), 0);
    assert_eq!(output.split_whitespace().take(3).collect::<Vec<_>>(), ["monotonic", "5", "0"]);
    let second =
        second.with(|config| config["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 9}}));
    assert!(error(&second.run()).contains("linux.timeOffsets"));
}

#[test]
fn devices_are_the_hosts_in_a_user_namespace() {
    let script = "stat -c '%n %t:%T' /dev/null /dev/zero /dev/x && head -c3 /dev/zero | wc -c &&
        echo x >/dev/null && stat -c %F /dev/pipe";
    let bundle = Bundle::shell(script).with(|config| {
        config["linux"]["devices"] = json!([
            {"path": "/dev/pipe", "type": "p", "fileMode": 0o666},
        ]);
    });
    let missing = bundle.with(|config| {
        config["process"]["args"] = json!(["sh", "-c", script.replace(" /dev/x", "")]);
    });
    std::os::unix::fs::symlink("busybox", missing.rootfs().join("bin/wc")).unwrap();
    let bundle = in_users(missing);
    assert_eq!(text(&bundle.run(), 0), "/dev/null 1:3\n/dev/zero 1:5\n3\nfifo\n");
    // The host has no such device at that path.
    let bundle = bundle.with(|config| {
        config["linux"]["devices"] =
            json!([{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}]);
    });
    assert!(error(&bundle.run()).contains("x"));
    assert_eq!(bundle.leftovers(), NOTHING);
}

/// Without a network namespace of its own a container with users of its own may not mount sysfs.
#[test]
fn sysfs_of_the_hosts_network_is_the_hosts() {
    let bundle = in_users(Bundle::shell("ls /sys/kernel >/dev/null && touch /sys/x"));
    let bundle = bundle.with(|config| namespaces(config).retain(|kind| kind["type"] != "network"));
    let output = bundle.run();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("touch: "), "{said}");
    assert_eq!(bundle.leftovers(), NOTHING);
}

/// A flag that the host's mount has is locked where its owner's namespace is not ours.
#[test]
fn locked_flags_stay() {
    let bundle = in_users(Bundle::shell("grep ' /m ' /proc/self/mountinfo"));
    let source = bundle.directory.path().join("source");
    fs::create_dir(&source).unwrap();
    let mount = |args: &[&str]| {
        assert!(Command::new("mount").args(args).arg(&source).status().unwrap().success());
    };
    mount(&["-t", "tmpfs", "-o", "mode=755,nodev,nosuid,noatime", "tmpfs"]);
    let with = |bundle: Bundle, options: &str| {
        bundle.with(|config| {
            let mounts = config["mounts"].as_array_mut().expect("mounts");
            mounts.retain(|mount| mount["destination"] != "/m");
            let options: Vec<_> = options.split(' ').collect();
            mounts.push(json!({"destination": "/m", "source": "source", "options": options}));
        })
    };
    let bundle = with(bundle, "bind ro");
    let kept = bundle.run();
    let bundle = with(bundle, "bind dev");
    let refused = bundle.run();
    let _ = Command::new("umount").arg("--lazy").arg(&source).status();
    assert!(text(&kept, 0).contains(" ro,nosuid,nodev,noatime "), "{kept:?}");
    assert!(error(&refused).contains("locked"), "{refused:?}");
}

#[test]
fn a_user_namespace_can_be_joined() {
    let first = in_users(Bundle::new(&["sleep", "600"]));
    let pid = start(&first);
    let bundle = in_users(Bundle::shell("cat /proc/self/uid_map; readlink /proc/self/ns/net"));
    let bundle = bundle.with(|config| {
        for (kind, name) in [("user", "user"), ("network", "net")] {
            join(config, kind, &format!("/proc/{pid}/ns/{name}"));
        }
    });
    let output = text(&bundle.run(), 0);
    let net = fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    let words: Vec<_> = output.split_whitespace().collect();
    assert_eq!(words, ["0", "100000", "65536", net.to_str().unwrap()]);

    let bundle = bundle.with(|config| map(config, 200_000));
    let line = error(&bundle.run());
    assert!(line.contains("linux.uidMappings"), "{line}");
    let bundle = bundle.with(|config| {
        config["linux"].as_object_mut().unwrap().remove("uidMappings");
        config["linux"].as_object_mut().unwrap().remove("gidMappings");
    });
    text(&bundle.run(), 0);
    assert_eq!(bundle.leftovers(), NOTHING);
}

#[test]
fn a_mount_namespace_can_be_joined() {
    let child = Command::new("unshare")
        .args(["--mount", "--propagation=private", "sh", "-c"])
        .arg("mount -t tmpfs tmpfs /mnt && touch /mnt/there && echo && exec sleep 600")
        .stdout(Stdio::piped())
        .spawn()
        .expect("start unshare");
    let mut elsewhere = Elsewhere(child);
    let namespace = format!("/proc/{}/ns/mnt", elsewhere.0.id());
    let out = elsewhere.0.stdout.as_mut().expect("its output");
    std::io::Read::read_exact(out, &mut [0]).expect("it began");
    let bundle = Bundle::new(&["ls", "/m"]).with(|config| {
        join(config, "mount", &namespace);
        let mounts = config["mounts"].as_array_mut().expect("mounts");
        mounts.push(json!({"destination": "/m", "source": "/mnt", "options": ["bind"]}));
    });
    assert_eq!(text(&bundle.run(), 0), "there\n");
    assert_eq!(bundle.leftovers(), NOTHING);
}

/// Runs the bundle as an ordinary user, who may map the ids from 100000.
fn run_as_nobody(bundle: &Bundle) -> Output {
    as_nobody(bundle, "exec $runtime run --bundle \"$0\" rootless")
}

/// Has an ordinary user go through a session of `$runtime` commands with the bundle in `$0`.
fn as_nobody(bundle: &Bundle, session: &str) -> Output {
    bundle.write();
    let directory = bundle.directory.path();
    let runtime = directory.join("tare-runtime");
    fs::copy(env!("CARGO_BIN_EXE_tare-runtime"), &runtime).expect("copy the runtime");
    for name in ["subuid", "subgid"] {
        fs::write(directory.join(name), "nobody:100000:65536\n").expect("write it");
    }
    let mut chown = Command::new("chown");
    chown.args(["-R", "--no-dereference", "65534:65534"]).arg(directory);
    assert!(chown.status().expect("start chown").success());
    // The files in /etc are others for this one process tree.
    let script =
        "mount --bind \"$0/subuid\" /etc/subuid && mount --bind \"$0/subgid\" /etc/subgid &&
        cd \"$0\" && runtime='./tare-runtime --root state' && export runtime &&
        exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -c \"$1\" \"$0\"";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation=slave", "sh", "-c", script])
        .arg(directory)
        .arg(session);
    command.stdin(Stdio::null()).env_remove("XDG_RUNTIME_DIR").output().expect("start it")
}

fn rootless(bundle: Bundle, maps: &Value) -> Bundle {
    bundle.with(|config| {
        config["linux"].as_object_mut().expect("linux").remove("cgroupsPath");
        config["linux"].as_object_mut().expect("linux").remove("resources");
        namespaces(config).retain(|namespace| namespace["type"] != "cgroup");
        namespaces(config).push(json!({"type": "user"}));
        config["linux"]["uidMappings"] = maps.clone();
        config["linux"]["gidMappings"] = maps.clone();
        let mounts = config["mounts"].as_array_mut().expect("mounts");
        mounts.retain(|mount| mount["type"] != "cgroup");
        let whole = maps.as_array().expect("maps").len() > 1;
        for mount in mounts.iter_mut().filter(|mount| mount["type"] == "devpts") {
            let options = mount["options"].as_array_mut().expect("options");
            options.retain(|option| whole || option != "gid=5");
        }
    })
}

#[test]
fn an_ordinary_user_has_containers() {
    let own = json!({"containerID": 0, "hostID": NOBODY, "size": 1});
    let alone = rootless(Bundle::shell("id -u; cat /proc/self/uid_map"), &json!([own]));
    let output = text(&run_as_nobody(&alone), 0);
    assert_eq!(output.split_whitespace().collect::<Vec<_>>(), ["0", "0", "65534", "1"]);

    let ranges = json!([
        own,
        {"containerID": 1, "hostID": 100_000, "size": 1000},
        {"containerID": 2000, "hostID": 110_000, "size": 10},
    ]);
    let script = "cat /proc/self/uid_map /proc/self/gid_map; touch /x; stat -c %u:%g /x";
    let several = rootless(Bundle::shell(script), &ranges).with(|config| {
        config["process"]["user"] = json!({"uid": 0, "gid": 5, "additionalGids": [7]});
        config["root"]["readonly"] = json!(false);
    });
    let output = text(&run_as_nobody(&several), 0);
    let map = ["0", "65534", "1", "1", "100000", "1000", "2000", "110000", "10"];
    let words: Vec<_> = output.split_whitespace().collect();
    assert_eq!(words, [&map[..], &map[..], &["0:5"]].concat());
    assert_eq!(owner(&several.rootfs().join("x")), (NOBODY, 100_004));
    assert_eq!(several.leftovers(), NOTHING);
}

/// A process that waits for its start may be looked at by who made it, as long as nothing but its own
/// namespaces is around it.
#[test]
fn an_ordinary_user_executes_in_a_created_container() {
    let own = json!([{"containerID": 0, "hostID": NOBODY, "size": 1}]);
    let bundle = rootless(Bundle::new(&["true"]), &own);
    let session = "$runtime create --bundle \"$0\" made </dev/null >log 2>&1 &&
        $runtime exec made cat /proc/self/uid_map; code=$?
        $runtime delete --force made; cat log; exit $code";
    let output = text(&as_nobody(&bundle, session), 0);
    assert_eq!(output.split_whitespace().collect::<Vec<_>>(), ["0", "65534", "1"]);
}

/// Without cgroups of its own a container sees those that its maker is in, and changes none of them.
#[test]
fn an_ordinary_user_sees_cgroups_read_only() {
    let own = json!([{"containerID": 0, "hostID": NOBODY, "size": 1}]);
    let script = "while read -r _ place _ options _; do
        case $place in /sys/fs/cgroup*) test -e $place && echo $place $options;; esac
        done </proc/mounts; ls /sys/fs/cgroup";
    let bundle = rootless(Bundle::shell(script), &own).with(|config| {
        let mounts = config["mounts"].as_array_mut().expect("mounts");
        mounts.push(json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}));
    });
    let output = text(&run_as_nobody(&bundle), 0);
    let (mounts, names): (Vec<_>, Vec<_>) = output.lines().partition(|line| line.contains('/'));
    assert!(!names.is_empty(), "{output}");
    let top: std::collections::BTreeMap<_, _> =
        mounts.iter().filter_map(|line| line.split_once(' ')).collect();
    assert!(
        top.values().all(|options| options.split(',').any(|option| option == "ro")),
        "{output}"
    );
}

#[test]
fn a_container_that_nothing_holds_together_is_warned_of() {
    let own = json!([{"containerID": 0, "hostID": NOBODY, "size": 1}]);
    let bundle = rootless(Bundle::new(&["true"]), &own).with(|config| {
        namespaces(config).retain(|namespace| namespace["type"] != "pid");
        let mounts = config["mounts"].as_array_mut().expect("mounts");
        let proc = mounts.iter_mut().find(|mount| mount["type"] == "proc").expect("procfs");
        *proc = json!({"destination": "/proc", "type": "none", "source": "/proc",
            "options": ["rbind", "nosuid", "nodev", "noexec"]});
    });
    let output = run_as_nobody(&bundle);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("Such configuration is strongly discouraged"), "{stderr}");
    assert_eq!(output.status.code(), Some(0), "{stderr}");
}

/// What `/etc/subuid` does not give is refused by newuidmap(1), whose words are told.
#[test]
fn an_ordinary_user_has_no_other_ids() {
    let maps = json!([
        {"containerID": 0, "hostID": NOBODY, "size": 1},
        {"containerID": 1, "hostID": 300_000, "size": 1000},
    ]);
    let bundle = rootless(Bundle::new(&["true"]), &maps);
    let line = error(&run_as_nobody(&bundle));
    assert!(line.contains("newuidmap"), "{line}");
    assert_eq!(bundle.leftovers(), NOTHING);
}

/// Who may not make cgroups gets no limits, and is told which.
#[test]
fn an_ordinary_users_limits_are_not_dropped() {
    let maps = json!([{"containerID": 0, "hostID": NOBODY, "size": 1}]);
    let refused = "needs no limits + no cgrouppath when no permission is granted for cgroups";
    for (field, value, told) in [
        ("resources", json!({"pids": {"limit": 10}}), ["linux.resources.pids: ", refused]),
        ("resources", json!({"memory": {"limit": 1 << 25}}), ["linux.resources.memory: ", refused]),
        ("resources", json!({"cpu": {"cpus": "0"}}), ["linux.resources.cpu: ", refused]),
        (
            "cgroupsPath",
            json!("/tare-runtime-test-users"),
            ["linux.cgroupsPath: unable to apply cgroup configuration", "permission denied"],
        ),
    ] {
        let bundle =
            rootless(Bundle::new(&["true"]), &maps).with(|config| config["linux"][field] = value);
        let line = error(&run_as_nobody(&bundle));
        assert!(told.iter().all(|told| line.contains(told)), "{line}");
        assert_eq!(bundle.leftovers(), NOTHING);
    }
}

/// A directory of root's with the container's name is none of his: he has a container without.
#[test]
fn an_ordinary_user_is_not_stopped_by_others_cgroups() {
    let own = json!({"containerID": 0, "hostID": NOBODY, "size": 1});
    let bundle = rootless(Bundle::new(&["echo", "runs"]), &json!([own]));
    let groups: Vec<_> = fs::read_dir("/sys/fs/cgroup")
        .unwrap()
        .map(|hierarchy| hierarchy.unwrap().path().join("rootless"))
        .filter(|group| fs::create_dir(group).is_ok())
        .collect();
    let output = run_as_nobody(&bundle);
    groups.iter().for_each(|group| fs::remove_dir(group).expect("nobody is in it"));
    assert_eq!(text(&output, 0), "runs\n");
    assert!(!groups.is_empty());
}

/// Nor are limits dropped where the host has no cgroups at all.
#[test]
fn limits_are_not_dropped_without_cgroups() {
    let bundle = Bundle::new(&["true"]).with(|config| {
        config["mounts"].as_array_mut().unwrap().retain(|mount| mount["type"] != "cgroup");
    });
    let run = |bundle: &Bundle| {
        bundle.write();
        let script = "mount -t tmpfs none /sys/fs/cgroup && exec \"$0\" \"$@\"";
        let runtime = env!("CARGO_BIN_EXE_tare-runtime");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, runtime, "--root"]).arg(bundle.state_root());
        command.args(["run", "--bundle"]).arg(bundle.directory.path()).arg(&bundle.id);
        command.stdin(Stdio::null()).output().expect("start it")
    };
    text(&run(&bundle), 0);
    let bundle = bundle.with(|config| config["linux"]["resources"]["pids"] = json!({"limit": 10}));
    let line = error(&run(&bundle));
    assert!(line.contains("linux.resources.pids: ") && line.contains("no cgroups"), "{line}");
    assert_eq!(bundle.leftovers(), NOTHING);
}

fn owner(path: &Path) -> (u32, u32) {
    let metadata = fs::metadata(path).expect("look at it");
    (std::os::unix::fs::MetadataExt::uid(&metadata), std::os::unix::fs::MetadataExt::gid(&metadata))
}
