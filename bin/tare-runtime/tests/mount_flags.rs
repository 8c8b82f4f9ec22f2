//! Propagation, recursive attributes, remounts and long options of mounts, by what the container's own
//! mount table says.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::{Bundle, NOTHING, error, text};

fn add(config: &mut Value, mount: Value) {
    config["mounts"].as_array_mut().expect("mounts").push(mount);
}

/// The container's mount table.
fn table(bundle: &Bundle) -> String {
    let bundle = text(&bundle.run(), 0);
    assert!(!bundle.is_empty());
    bundle
}

/// The entry of the topmost mount at `place`, as the table writes it.
fn entry<'a>(table: &'a str, place: &str) -> &'a str {
    let of = |line: &&str| line.split(' ').nth(4) == Some(place);
    table.lines().rfind(of).unwrap_or_else(|| panic!("{place} is no mount: {table}"))
}

/// A source with another mount in it.
struct Source<'a>(&'a Path);

impl<'a> Source<'a> {
    fn new(place: &'a Path) -> Self {
        fs::create_dir_all(place).expect("make a directory");
        mount(&["-t", "tmpfs", "-o", "mode=755", "tmpfs"], place);
        fs::create_dir(place.join("below")).expect("make a directory");
        mount(&["-t", "tmpfs", "-o", "nodev,nosuid", "tmpfs"], &place.join("below"));
        Self(place)
    }
}

impl Drop for Source<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--recursive", "--lazy"]).arg(self.0).status();
    }
}

fn mount(args: &[&str], place: &Path) {
    assert!(
        Command::new("mount").args(args).arg(place).status().expect("start mount").success(),
        "{args:?}"
    );
}

#[test]
fn recursive_flags_reach_what_is_below() {
    let bundle = Bundle::new(&["cat", "/proc/self/mountinfo"]);
    let path = bundle.directory.path().join("source");
    let _source = Source::new(&path);
    let cases = [
        (json!(["rbind", "ro"]), "ro,", "rw,"),
        (json!(["rbind", "rro"]), "ro,", "ro,"),
        (json!(["rbind", "rnosuid", "rnoexec"]), "rw,nosuid,noexec", "rw,nosuid,nodev,noexec"),
        (json!(["rbind", "rnoatime"]), "rw,noatime", "rw,nosuid,nodev,noatime"),
        (json!(["rbind", "ro", "rrw"]), "rw,", "rw,"),
    ];
    let mut bundle = bundle;
    let standard = bundle.config["mounts"].clone();
    for (options, own, below) in cases {
        bundle.config["mounts"] = standard.clone();
        let mount = json!({"destination": "/m", "source": "source", "options": options});
        let table = table(bundle_with(&mut bundle, mount));
        let flags = |place| entry(&table, place).split(' ').nth(5).unwrap().to_owned() + ",";
        assert!(flags("/m").starts_with(own), "{options}: {table}");
        assert!(flags("/m/below").starts_with(below), "{options}: {table}");
    }
}

fn bundle_with(bundle: &mut Bundle, mount: Value) -> &Bundle {
    add(&mut bundle.config, mount);
    bundle
}

#[test]
fn a_bind_is_not_recursive_unless_it_says_so() {
    let mut bundle = Bundle::new(&["cat", "/proc/self/mountinfo"]);
    let path = bundle.directory.path().join("source");
    let _source = Source::new(&path);
    let mount = json!({"destination": "/m", "source": "source", "options": ["bind"]});
    let table = table(bundle_with(&mut bundle, mount));
    assert!(!table.contains(" /m/below "), "{table}");
}

#[test]
fn propagation_is_as_the_options_say() {
    for (option, tag) in [
        ("rshared", " shared:"),
        ("rslave", " master:"),
        ("rprivate", ""),
        ("runbindable", " unbindable"),
    ] {
        let mut bundle = Bundle::new(&["cat", "/proc/self/mountinfo"]);
        let path = bundle.directory.path().join("source");
        let _source = Source::new(&path);
        mount(&["--make-rshared"], &path);
        let mount = json!({"destination": "/m", "source": "source", "options": ["rbind", option]});
        let table = table(bundle_with(&mut bundle, mount));
        for place in ["/m", "/m/below"] {
            let found = entry(&table, place);
            assert!(found.contains(tag), "{option}: {found}");
            let tags = found.split(" - ").next().unwrap().split(' ').skip(6);
            assert_eq!(tags.count() > 0, !tag.is_empty(), "{option}: {found}");
        }
    }
}

#[test]
fn the_roots_propagation_is_as_configured() {
    let cases =
        [("shared", " shared:"), ("slave", ""), ("private", ""), ("unbindable", " unbindable")];
    for (name, tag) in cases {
        let bundle = Bundle::new(&["cat", "/proc/self/mountinfo"])
            .with(|config| config["linux"]["rootfsPropagation"] = json!(name));
        let table = table(&bundle);
        let found = entry(&table, "/");
        assert!(found.contains(tag), "{name}: {found}");
        assert_eq!(found.contains(" shared:"), name == "shared", "{found}");
        assert_eq!(bundle.leftovers(), NOTHING);
    }
}

#[test]
fn a_mount_can_be_changed() {
    let mut bundle = Bundle::new(&["cat", "/proc/self/mountinfo"]);
    let options = json!(["size=64k", "nodev"]);
    add(&mut bundle.config, json!({"destination": "/t", "type": "tmpfs", "options": options}));
    let options = json!(["remount", "size=128k", "ro", "nosuid"]);
    add(&mut bundle.config, json!({"destination": "/t", "type": "tmpfs", "options": options}));
    let table = table(&bundle);
    let found = entry(&table, "/t");
    assert!(found.contains(" ro,nosuid") && found.contains("size=128k"), "{found}");
    assert!(!found.contains("nodev"), "{found}");

    let bundle = Bundle::new(&["true"]).with(|config| {
        let options = json!(["remount", "ro"]);
        add(config, json!({"destination": "/none", "type": "tmpfs", "options": options}));
    });
    assert!(error(&bundle.run()).contains("/none"));
}

/// More layers than fit into what fsconfig(2) takes at once.
#[test]
fn an_overlay_with_long_options() {
    let mut bundle = Bundle::shell("cat /o/first /o/last; echo new >/o/new");
    let directory = bundle.directory.path().join("layers");
    let layers: Vec<_> =
        (0..40).map(|n| directory.join(format!("a-long-name-of-layer-{n}"))).collect();
    for layer in &layers {
        fs::create_dir_all(layer).unwrap();
    }
    fs::write(layers[0].join("first"), "first\n").unwrap();
    fs::write(layers[39].join("last"), "last\n").unwrap();
    for name in ["upper", "work"] {
        fs::create_dir(directory.join(name)).unwrap();
    }
    // Layers on the file system of the test; the upper one on what takes one.
    let lower: Vec<_> = layers.iter().map(|layer| layer.display().to_string()).collect();
    let options = json!([
        format!("lowerdir={}", lower.join(":")),
        format!("upperdir={}/upper", directory.display()),
        format!("workdir={}/work", directory.display()),
        "nodev",
    ]);
    add(
        &mut bundle.config,
        json!({"destination": "/o", "type": "overlay", "source": "overlay",
        "options": options}),
    );
    assert_eq!(text(&bundle.run(), 0), "first\nlast\n");
    assert_eq!(fs::read_to_string(directory.join("upper/new")).unwrap(), "new\n");
    assert_eq!(bundle.leftovers(), NOTHING);
}

/// What engines call read-only cgroups is read-only as a whole.
#[test]
fn read_only_cgroups_are_so_as_a_whole() {
    let bundle = Bundle::new(&["cat", "/proc/self/mountinfo"]);
    let table = table(&bundle);
    let of = |line: &&str| {
        line.split(' ').nth(4).is_some_and(|place| place.starts_with("/sys/fs/cgroup"))
    };
    let found: Vec<_> = table.lines().filter(of).collect();
    assert!(!found.is_empty());
    for line in found {
        assert!(line.contains(" ro,nosuid,nodev,noexec,relatime "), "{line}");
    }
}
