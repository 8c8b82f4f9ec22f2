//! Whose a container's cgroup is (runtime-spec, config-linux.md "Cgroup ownership").

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::{Value, json};

use crate::subject::{Subject, same_with};

fn in_user_namespace(config: &mut Value, writable: bool, own: bool) {
    let linux = &mut config["linux"];
    linux["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    linux["uidMappings"] = map.clone();
    linux["gidMappings"] = map;
    let namespaces = linux["namespaces"].as_array_mut().expect("a list");
    namespaces.retain(|namespace| own || namespace["type"] != "cgroup");
    for mount in config["mounts"].as_array_mut().expect("a list") {
        if mount["type"] == "cgroup" && writable {
            mount["options"].as_array_mut().expect("a list").retain(|option| option != "ro");
        }
    }
}

fn open_bundle(subject: &Subject) {
    let rootfs = subject.rootfs();
    let bundle = rootfs.parent().expect("the bundle");
    fs::set_permissions(bundle, fs::Permissions::from_mode(0o755)).expect("open it");
    std::os::unix::fs::chown(&rootfs, Some(100_000), Some(100_000)).expect("give it");
}

/// The directory and what in it is somebody's but root's.
fn owners(subject: &Subject) -> String {
    let directory = subject.cgroup();
    let entries = fs::read_dir(&directory).expect("list the cgroup").flatten();
    let mut all: Vec<_> = entries
        .map(|entry| (entry.file_name(), entry.metadata().expect("look at it")))
        .chain([(".".into(), fs::metadata(&directory).expect("look at it"))])
        .filter(|(_, metadata)| metadata.uid() != 0)
        .map(|(name, metadata)| format!("{name:?} {} {:o}\n", metadata.uid(), metadata.mode()))
        .collect();
    all.sort();
    all.concat()
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn it_is_the_users_where_that_is_asked_for() {
    for (writable, own) in [(true, true), (true, false), (false, true)] {
        // runc gives no cgroup away that it manages itself.
        let shown = same_with(
            true,
            |config| in_user_namespace(config, writable, own),
            |subject| {
                open_bundle(subject);
                subject.start();
                owners(subject)
            },
        );
        assert_eq!(shown.contains("\".\" 100000"), writable && own, "{shown}");
    }
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn its_owner_makes_others_below() {
    let script = "cd /sys/fs/cgroup && mkdir inner && echo $$ > inner/cgroup.procs && \
        echo +pids > cgroup.subtree_control && echo 9 > inner/pids.max && cat inner/pids.max; \
        echo 5 > pids.max; echo $?";
    let shown = same_with(
        true,
        |config| {
            in_user_namespace(config, true, true);
            config["process"]["args"] = json!(["sh", "-c", script]);
        },
        |subject| {
            open_bundle(subject);
            subject.run()
        },
    );
    assert_eq!(shown, "Some(0)\n9\n1\n");
}
