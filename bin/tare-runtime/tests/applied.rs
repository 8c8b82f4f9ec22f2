//! What the configuration asks for is really in force: the same bundle shows the same under runc.

mod support;

use serde_json::{Value, json};
use support::{Bundle, NOTHING, text, unified};

/// What a process can see of its own confinement.
const LOOK: &str = "grep -E 'Umask|Uid|Gid|Groups|Cap|NoNew|Seccomp:' /proc/self/status; \
    cat /proc/self/limits /proc/self/oom_score_adj /proc/self/uid_map /proc/sys/kernel/hostname; \
    pwd; env | sort; ls -ln /dev | /bin/busybox sed 's/ [A-Z][a-z]* *[0-9]* [0-9:]* / /'";

fn same_as_runc(script: &str, change: impl FnOnce(&mut Value)) -> String {
    let bundle = Bundle::shell(script).with(change);
    let ours = text(&bundle.run(), 0);
    let theirs = text(&bundle.run_by_runc(), 0);
    assert_eq!(ours, theirs);
    ours
}

#[test]
fn by_default() {
    let shown = same_as_runc(LOOK, |_| {});
    assert!(shown.contains("NoNewPrivs:\t1"), "{shown}");
}

#[test]
fn user_and_limits() {
    let shown = same_as_runc(LOOK, |config| {
        let process = &mut config["process"];
        process["user"] = json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 6], "umask": 63});
        process["oomScoreAdj"] = json!(100);
        process["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}]);
        process["env"] = json!(["PATH=/bin", "A=1", "A=2"]);
    });
    assert!(shown.contains("Uid:\t1000\t1000\t1000\t1000"), "{shown}");
    assert!(shown.contains("A=2\n") && !shown.contains("A=1"), "{shown}");
}

#[test]
fn capabilities() {
    for user in [0, 5] {
        let shown = same_as_runc(LOOK, |config| {
            let process = &mut config["process"];
            process["user"]["uid"] = json!(user);
            process["noNewPrivileges"] = json!(false);
            process["capabilities"]["inheritable"] = json!(["CAP_KILL"]);
            process["capabilities"]["ambient"] = json!(["CAP_KILL"]);
        });
        assert!(shown.contains("CapAmb:\t0000000000000020"), "{shown}");
    }
}

/// What nobody asks for nobody gets. runc 1.1 does the same; runc 1.4 gives everything then.
#[test]
fn no_capabilities() {
    let bundle = Bundle::shell("grep Cap /proc/self/status").with(|config| {
        config["process"].as_object_mut().unwrap().remove("capabilities");
    });
    let shown = text(&bundle.run(), 0);
    assert_eq!(shown.lines().count(), 5, "{shown}");
    assert!(shown.lines().all(|line| line.ends_with("\t0000000000000000")), "{shown}");
}

#[test]
fn seccomp() {
    let shown = same_as_runc(
        "mkdir /dev/shm/x; echo $?; grep Seccomp: /proc/self/status",
        |config| {
            config["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "architectures": ["SCMP_ARCH_X86_64"],
                "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}],
            });
        },
    );
    assert_eq!(shown, "1\nSeccomp:\t2\n");
}

#[test]
fn mounts_and_paths() {
    let script = "while read a b c root point options rest; do echo $point $options; done \
        < /proc/self/mountinfo; ls /proc/acpi /sys/firmware; cat /proc/keys; \
        touch /x /proc/sys/x 2>/dev/null; echo $?";
    let bundle = Bundle::shell(script);
    let ours = text(&bundle.run(), 0);
    for line in ["/ ro,relatime", "/proc/sys ro,relatime", "/sys ro,nosuid,nodev,noexec,relatime"] {
        assert!(ours.lines().any(|have| have == line), "{line}: {ours}");
    }
    assert!(ours.ends_with("\n1\n"), "{ours}");
}

#[test]
fn cgroup_limits() {
    let v1 = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes \
        cpu/cpu.shares cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpuset/cpuset.cpus pids/pids.max; \
        sort devices/devices.list; sed 's/.*://' /proc/self/cgroup | sort -u";
    let v2 = "cd /sys/fs/cgroup; cat memory.max memory.swap.max cpu.weight cpu.max cpuset.cpus pids.max; \
        cat /proc/self/cgroup";
    let script = if unified() { v2 } else { v1 };
    let script = script.replace("sort ", "/bin/busybox sort ").replace("sed ", "/bin/busybox sed ");
    let shown = same_as_runc(&script, |config| {
        let resources = &mut config["linux"]["resources"];
        resources["memory"] = json!({"limit": 33_554_432, "swap": 67_108_864});
        resources["cpu"] = json!({"shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0"});
        resources["pids"] = json!({"limit": 33});
        let rule = json!({"allow": true, "type": "b", "major": 8, "minor": 1, "access": "rw"});
        resources["devices"].as_array_mut().unwrap().push(rule);
    });
    let limits = match unified() {
        true => "33554432\n33554432\n59\n50000 100000\n0\n33\n",
        false => "33554432\n67108864\n512\n50000\n100000\n0\n33\n",
    };
    assert!(shown.starts_with(limits), "{shown}");
}

#[test]
fn limits_are_enforced() {
    let script = "i=0; while [ $i -lt 40 ]; do sleep 1 & i=$((i+1)); done; echo all";
    let bundle = Bundle::shell(script)
        .with(|config| config["linux"]["resources"]["pids"] = json!({"limit": 10}));
    let shown = String::from_utf8(bundle.run().stdout).unwrap();
    assert!(!shown.contains("all"), "{shown}");
}

#[test]
fn sysctls() {
    let script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax";
    let shown = same_as_runc(script, |config| {
        config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.msgmax": "7777"});
    });
    assert_eq!(shown, "1\n7777\n");
}

#[test]
fn devices() {
    let shown = same_as_runc("ls -ln /dev/fuse /dev/x/fifo | cut -c 1-46", |config| {
        config["process"]["args"][2] =
            json!("/bin/busybox stat -c '%F %a %u %g %t %T' /dev/fuse /dev/x/fifo");
        config["linux"]["devices"] = json!([
            {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 5, "gid": 6},
            {"path": "/dev/x/fifo", "type": "p", "fileMode": 384},
        ]);
    });
    assert!(shown.starts_with("character special file 666 5 6 a e5\n"), "{shown}");
}

#[test]
fn user_namespace() {
    let script = "cat /proc/self/uid_map; id -u; grep Cap /proc/self/status;
        ls -ln /dev | sed 's/ [A-Z][a-z]* *[0-9]* [0-9:]* / /'";
    let bundle = Bundle::shell(script).with(|config| {
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["type"] != "cgroup" && mount["type"] != "mqueue");
    });
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(bundle.directory.path(), mode).unwrap();
    std::os::unix::fs::chown(bundle.rootfs(), Some(100_000), Some(100_000)).unwrap();
    let ours = text(&bundle.run(), 0);
    assert_eq!(ours, text(&bundle.run_by_runc(), 0));
    assert!(ours.contains("100000"), "{ours}");
    assert_eq!(bundle.leftovers(), NOTHING);
}

#[test]
fn namespaces_by_path() {
    let host = std::fs::read_link("/proc/self/ns/net").unwrap();
    let shown = same_as_runc("readlink /proc/self/ns/net", |config| {
        for namespace in config["linux"]["namespaces"].as_array_mut().unwrap() {
            if namespace["type"] == "network" {
                namespace["path"] = json!(format!("/proc/{}/ns/net", std::process::id()));
            }
        }
    });
    assert_eq!(shown.trim(), host.to_str().unwrap());
}
