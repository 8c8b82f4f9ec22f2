//! The root file system as a whole: what may be one, what protects it, and who is in it.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use support::{Bundle, NOTHING, error, text};

fn add(config: &mut Value, mount: Value) {
    config["mounts"].as_array_mut().expect("mounts").push(mount);
}

/// A mount of the host's that the test undoes.
struct Mounted(PathBuf);

impl Mounted {
    fn new(args: &[&str], place: PathBuf) -> Self {
        let status = Command::new("mount").args(args).arg(&place).status().expect("start mount");
        assert!(status.success(), "mount {args:?} {}", place.display());
        Self(place)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Who shares the root moves the directory below the mounted procfs away, and the procfs with it.
#[test]
fn procfs_is_protected_wherever_it_is_moved() {
    for bound in [false, true] {
        let script =
            "stat -c %t:%T /moved/timer_list; echo x 2>&- >/moved/sys/kernel/hostname || echo kept";
        let bundle = Bundle::shell(script).with(|config| {
            config["linux"]["readonlyPaths"] = json!(["/proc/sys", "/x/../proc/irq"]);
            config["linux"]["maskedPaths"] = json!(["/proc/timer_list"]);
            if bound {
                let mounts = config["mounts"].as_array_mut().expect("mounts");
                mounts.retain(|mount| mount["destination"] != "/proc");
                mounts
                    .push(json!({"destination": "/proc", "source": "/proc", "options": ["bind"]}));
            }
        });
        let root = bundle.rootfs().display().to_string();
        let script = format!("mv {root}/proc {root}/moved && mkdir {root}/proc");
        let bundle = bundle.with(|config| {
            let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script]});
            config["hooks"] = json!({"createRuntime": [hook]});
        });
        assert_eq!(text(&bundle.run(), 0), "1:3\nkept\n");
        assert_eq!(bundle.leftovers(), NOTHING);
    }
}

/// A mount over the root would hide it from the container, and show it what lies below.
#[test]
fn no_mount_lies_over_the_root() {
    let tmpfs = json!({"destination": "/link", "type": "tmpfs"});
    let cgroup = json!({"destination": "/link", "type": "cgroup"});
    let bind = json!({"destination": "/link", "source": "/bin", "options": ["bind"]});
    for mount in [tmpfs, cgroup, bind] {
        for target in ["/", "..", "bin/.."] {
            let bundle = Bundle::new(&["true"]).with(|config| add(config, mount.clone()));
            symlink(target, bundle.rootfs().join("link")).unwrap();
            let line = error(&bundle.run());
            assert!(line.contains("top of the root"), "{line}");
            assert_eq!(bundle.leftovers(), NOTHING);
        }
    }
}

#[test]
fn a_root_behind_a_link_is_refused() {
    let bundle = Bundle::new(&["true"]).with(|config| config["root"]["path"] = json!("link"));
    symlink("rootfs", bundle.directory.path().join("link")).unwrap();
    let line = error(&bundle.run());
    assert!(line.contains("root.path") && line.contains("symbolic link"), "{line}");
    let bundle = bundle.with(|config| config["root"]["path"] = json!("./x/../rootfs/"));
    text(&bundle.run(), 0);
    let absolute = bundle.rootfs();
    let bundle = bundle.with(|config| config["root"]["path"] = json!(absolute));
    text(&bundle.run(), 0);
}

/// The host's null device would be a file of a mount that the container does not have.
#[test]
fn streams_that_are_null_are_the_containers() {
    let script = "stat -Lc %d:%i /dev/null /proc/self/fd/0; echo x >&0 && head -c1 <&0";
    let bundle = Bundle::shell(script);
    let output = text(&bundle.run(), 0);
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines.len(), 2, "{output}");
    assert_eq!(lines[0], lines[1]);
    let host = fs::metadata("/dev/null").unwrap();
    assert_ne!(lines[0], format!("{}:{}", host.dev(), host.ino()));
}

#[test]
fn without_a_mount_namespace_exec_is_in_the_containers_root() {
    let bundle = Bundle::new(&["sleep", "600"]).with(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("namespaces");
        namespaces.retain(|namespace| namespace["type"] != "mount");
        config["mounts"] = json!([]);
        config["linux"]["maskedPaths"] = json!([]);
        config["linux"]["readonlyPaths"] = json!([]);
        config["root"]["readonly"] = json!(false);
    });
    fs::write(bundle.rootfs().join("here"), "inside\n").unwrap();
    let place = Mounted::new(&["--bind", bundle.directory.path().to_str().unwrap()], {
        bundle.directory.path().to_owned()
    });
    bundle.create();
    bundle.succeed(&["start", "@"]);
    assert_eq!(bundle.succeed(&["exec", "@", "cat", "/here", "/../here"]), "inside\ninside\n");
    let failed = bundle.fail_with_any_code(&["exec", "@", "ls", "/var"]);
    assert!(failed.contains("No such file"), "{failed}");
    bundle.succeed(&["delete", "--force", "@"]);
    drop(place);
}

#[test]
fn a_root_can_be_moved_instead_of_pivoted() {
    let script = "cat /here; ls /; grep -c . /proc/self/mountinfo; stat -c %t:%T /proc/timer_list";
    let bundle = Bundle::shell(script);
    fs::write(bundle.rootfs().join("here"), "inside\n").unwrap();
    bundle.write();
    let path = bundle.directory.path();
    let mut command = bundle.runtime();
    let output = command.args(["run", "--no-pivot", "-b"]).arg(path).arg(&bundle.id).output();
    let output = text(&output.unwrap(), 0);
    assert!(output.starts_with("inside\nbin\ndev\nhere\nproc\nsys\n"), "{output}");
    assert!(output.ends_with("1:3\n"), "{output}");
    assert_eq!(bundle.leftovers(), NOTHING);
}

/// A root that cannot be written must bring its mount points along; what it lacks is told.
#[test]
fn a_root_that_cannot_be_written() {
    let bundle = Bundle::shell("touch /x 2>&- || stat -f -c %T /dev").with(|config| {
        config["root"]["readonly"] = json!(false);
        config["root"]["path"] = json!("image");
    });
    for name in ["dev", "proc", "sys", "tmp"] {
        fs::create_dir(bundle.rootfs().join(name)).unwrap();
    }
    let image = bundle.directory.path().join("image.erofs");
    let made = Command::new("mkfs.erofs").arg(&image).arg(bundle.rootfs()).output();
    assert!(made.expect("erofs-utils is installed").status.success());
    let place = bundle.directory.path().join("image");
    fs::create_dir(&place).unwrap();
    let image = image.to_str().unwrap();
    let mounted = Mounted::new(&["-t", "erofs", "-o", "loop,ro", image], place);
    assert_eq!(text(&bundle.run(), 0), "tmpfs\n");
    let bundle =
        bundle.with(|config| add(config, json!({"destination": "/missing/deep", "type": "tmpfs"})));
    let line = error(&bundle.run());
    assert!(line.contains("/missing/deep") && line.contains("ead-only"), "{line}");
    drop(mounted);
}

/// A block device with a file system on it.
#[test]
fn a_file_system_on_a_device() {
    let bundle = Bundle::shell("echo x >/data/file && stat -f -c %T /data");
    let image = bundle.directory.path().join("image.ext4");
    fs::File::create(&image).unwrap().set_len(4 << 20).unwrap();
    let made = Command::new("/sbin/mkfs.ext4").arg("-q").arg(&image).status();
    assert!(made.expect("e2fsprogs is installed").success());
    let output = Command::new("losetup").args(["--find", "--show"]).arg(&image).output().unwrap();
    let device = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let bundle = bundle.with(|config| {
        let options = json!(["nosuid", "nodev", "data=ordered"]);
        add(
            config,
            json!({"destination": "/data", "type": "ext4", "source": device,
            "options": options}),
        );
    });
    let output = bundle.run();
    let _ = Command::new("losetup").args(["--detach", &device]).status();
    assert_eq!(text(&output, 0), "ext2/ext3\n");
    assert_eq!(bundle.leftovers(), NOTHING);
}
