//! Mounts of the configuration: flags, mapped ids, places.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use serde_json::{Value, json};
use support::{Bundle, NOTHING, error, text};

fn add(config: &mut Value, mount: Value) {
    config["mounts"].as_array_mut().expect("mounts").push(mount);
}

/// A user namespace over 100000, in a bundle that its root can reach.
fn in_users(bundle: Bundle) -> Bundle {
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(bundle.directory.path(), open).expect("open it");
    chown(bundle.rootfs(), Some(100_000), Some(100_000)).expect("chown it");
    bundle.with(|config| {
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        let linux = &mut config["linux"];
        linux["namespaces"].as_array_mut().expect("namespaces").push(json!({"type": "user"}));
        linux["uidMappings"] = map.clone();
        linux["gidMappings"] = map;
    })
}

#[test]
fn a_tmpfs_takes_the_mode_of_its_place() {
    for (options, mode) in [(json!([]), "710\n"), (json!(["mode=1500,size=1m"]), "1500\n")] {
        let bundle = Bundle::new(&["stat", "-c", "%a", "/x"]).with(|config| {
            add(config, json!({"destination": "/x", "type": "tmpfs", "options": options}));
        });
        fs::create_dir(bundle.rootfs().join("x")).unwrap();
        fs::set_permissions(bundle.rootfs().join("x"), fs::Permissions::from_mode(0o710)).unwrap();
        assert_eq!(text(&bundle.run(), 0), mode);
    }
}

#[test]
fn ids_are_mapped() {
    let map = json!([{"containerID": 7, "hostID": 100_005, "size": 1}]);
    let mount = json!({"destination": "/m", "source": "closed/in", "options": ["bind"],
        "uidMappings": map, "gidMappings": map});
    for (users, shown) in [(false, "100005 100005\n"), (true, "5 5\n")] {
        let bundle = Bundle::new(&["stat", "-c", "%u %g", "/m/f"]);
        let bundle = if users { in_users(bundle) } else { bundle };
        let bundle = bundle.with(|config| add(config, mount.clone()));
        let source = bundle.directory.path().join("closed/in");
        fs::create_dir_all(&source).unwrap();
        fs::write(source.join("f"), "").unwrap();
        chown(source.join("f"), Some(7), Some(7)).unwrap();
        let closed = fs::Permissions::from_mode(0o700);
        fs::set_permissions(source.parent().unwrap(), closed).unwrap();
        assert_eq!(text(&bundle.run(), 0), shown);
        assert_eq!(bundle.leftovers(), NOTHING);
    }
}

#[test]
fn places_that_are_refused() {
    let link = json!({"destination": "/link", "type": "proc", "source": "proc"});
    let cases = [
        (json!({"destination": "/", "type": "tmpfs"}), "top of the root"),
        (json!({"destination": "/../", "source": "/bin", "options": ["bind"]}), "top of the root"),
        (
            json!({"destination": "/proc", "source": "/bin", "options": ["bind"]}),
            "not of type proc",
        ),
        (json!({"destination": "/proc/1", "type": "tmpfs"}), "inside /proc"),
        (link, "must be mounted on ordinary directory"),
        (json!({"destination": "/x", "type": "tmpfs", "options": ["idmap"]}), "only bind mounts"),
        (json!({"destination": "/x", "source": "/bin", "options": ["bind", "roo"]}), "\"roo\""),
    ];
    for (mount, reason) in cases {
        let bundle = Bundle::new(&["true"]).with(|config| add(config, mount));
        fs::create_dir(bundle.rootfs().join("target")).unwrap();
        symlink("target", bundle.rootfs().join("link")).unwrap();
        let line = error(&bundle.run());
        assert!(line.contains(reason), "{reason}: {line}");
        assert_eq!(bundle.leftovers(), NOTHING);
    }
}

/// They are for a file system, and a bind mount makes none.
#[test]
fn options_with_values_of_bind_mounts_are_told_of() {
    let bundle = Bundle::new(&["true"]).with(|config| {
        let options = json!(["rbind", "size=1m", "mode=755"]);
        add(config, json!({"destination": "/x", "source": "/bin", "options": options}));
    });
    let output = bundle.run();
    let warnings = String::from_utf8_lossy(&output.stderr);
    for option in ["size=1m", "mode=755"] {
        let told = format!("filesystem-specific options applied: unknown option {option:?}");
        assert!(warnings.contains(&told), "{warnings}");
    }
    assert_eq!(output.status.code(), Some(0), "{warnings}");
}

#[test]
fn a_namespace_of_another_kind_is_refused() {
    let bundle = Bundle::new(&["true"]).with(|config| {
        for namespace in config["linux"]["namespaces"].as_array_mut().unwrap() {
            if namespace["type"] == "network" {
                namespace["path"] = json!("/proc/self/ns/uts");
            }
        }
    });
    let line = error(&bundle.run());
    assert!(line.contains("is no net namespace"), "{line}");
}
