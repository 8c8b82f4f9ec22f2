//! Images made of others: by a container's changes, by another configuration; and an image's files taken out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use serde_json::json;
use support::{World, sh};

#[test]
fn a_configuration_changes_in_a_new_image_alone() {
    let world = World::with_image();
    let before = world.ok(&["inspect", "--config", "box"]);
    world.ok(&[
        "config",
        "-c",
        "ENV A=1 B=2",
        "-c",
        "LABEL x=y",
        "-a",
        "me",
        "-m",
        "why",
        "box",
        "one",
    ]);
    assert_eq!(world.ok(&["inspect", "--config", "box"]), before);
    let one = world.json(&["inspect", "--config", "one"]);
    assert_eq!(one["config"]["Env"], json!(["A=1", "B=2"]));
    assert_eq!((&one["author"], &one["config"]["Cmd"]), (&json!("me"), &json!(["sh"])));
    let step = json!({
        "created": "2023-11-14T22:13:20Z", "created_by": "ENV A=1 B=2; LABEL x=y", "author": "me",
        "comment": "why", "empty_layer": true
    });
    assert_eq!(one["history"][1], step);
    let layers = |name: &str| world.json(&["inspect", name])["RootFS"].clone();
    assert_eq!(layers("one"), layers("box"));

    let flags = ["--unset-env", "A", "--unset-label", "x", "--clear", "cmd", "--no-history"];
    world.ok(&[&["config"], &flags[..], &["one", "two"]].concat());
    let two = world.json(&["inspect", "--config", "two"]);
    assert_eq!(two["config"], json!({"Env": ["B=2"]}));
    assert_eq!(two["history"].as_array().unwrap().len(), 2);
    world.ok(&["config", "--clear", "history", "one", "three"]);
    let steps = world.json(&["history", "--json", "three"]);
    assert_eq!(
        (steps[0]["CreatedBy"].as_str(), &steps[1]["CreatedBy"]),
        (Some("config"), &json!(""))
    );
    assert!(steps[1]["DiffId"].is_string());
}

#[test]
fn wrong_changes_make_no_image() {
    let world = World::with_image();
    for (flags, words) in [
        (&["-c", "RUN true"][..], "changes more than the configuration"),
        (&["--unset-env", "NONE"], "there is no variable NONE"),
        (&["--unset-label", "NONE"], "there is no label NONE"),
    ] {
        let said = world.run(&[&["config"], flags, &["box", "new"]].concat());
        assert_eq!((said.code, said.out.as_str()), (1, ""));
        assert!(said.err.contains(words), "{}", said.err);
    }
    assert_eq!(world.run(&["config", "--clear", "nonsense", "box", "new"]).code, 2);
    assert_eq!(world.run(&["inspect", "new"]).code, 1);
}

/// As a container would have left it: the bundle is changed by hand.
#[test]
fn a_bundles_changes_become_a_layer() {
    let world = World::with_image();
    let script = r#"
        tare-store config -c 'VOLUME /data' box box
        tare-store bundle box bundle
        cd bundle/rootfs
        echo changed >etc/motd; rm bin/echo; mkdir -p new/dir; echo a >new/dir/a; ln new/dir/a new/b
        echo volume >data/file; touch proc/x 2>/dev/null || true
        cd ../..
        tare-store commit -m 'by hand' -a me -c 'CMD ["cat", "/etc/motd"]' bundle changed
        tare-store unbundle bundle
    "#;
    sh(&world, script);
    let files = sh(&world, "tare-store tree --layer 2 changed");
    let paths: Vec<_> = files.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(paths, ["/", "bin", "busybox", "etc", "motd", "new", "b", "dir", "a"]);
    assert_eq!(world.ok(&["cat", "changed", "etc/motd"]), "changed");
    let config = world.json(&["inspect", "--config", "changed"]);
    assert_eq!(config["config"]["Cmd"], json!(["cat", "/etc/motd"]));
    let step = &config["history"][2];
    assert_eq!(
        (step["created_by"].as_str(), step["comment"].as_str()),
        (Some("commit of box"), Some("by hand"))
    );
    assert_eq!(world.run(&["fsck"]).code, 0);
}

#[test]
fn a_bundle_without_changes_has_no_layer() {
    let world = World::with_image();
    sh(
        &world,
        "tare-store bundle box bundle; tare-store commit bundle same; tare-store unbundle bundle",
    );
    let layers = |name: &str| world.json(&["inspect", name])["RootFS"].clone();
    assert_eq!(layers("same"), layers("box"));
}

#[test]
fn files_are_unpacked_as_they_are() {
    let world = World::with_image();
    let script = r"
        tare-store unpack box out
        cmp out/bin/busybox image/bin/busybox; readlink out/bin/sh
        stat -c '%a %u %g %Y' out/etc/motd
        if tare-store unpack box out 2>err; then exit 9; fi; grep -o 'is not empty' err
    ";
    assert_eq!(sh(&world, script), "busybox\n644 0 0 0\nis not empty");
}

/// All files of the user's own, as it can make no others.
#[test]
fn an_ordinary_user_unpacks_too() {
    let world = World::with_image();
    let script = r"
        chmod -R a+rX . ; chmod 777 . ; chmod -R a+rwX store
        setpriv --reuid 4321 --regid 4322 --clear-groups $(command -v tare-store) unpack box theirs
        stat -c '%u %g' theirs/etc/motd
    ";
    // The folder of a test is its user's alone.
    let open = fs::metadata(world.path("..")).unwrap().mode() & 0o005 == 0o005;
    if open {
        let folder = world.path("");
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        assert_eq!(sh(&world, script), "4321 4322");
    }
}

#[test]
fn an_image_is_mounted_and_held_until_it_is_not() {
    let world = World::with_image();
    let script = r#"
        mkdir here
        tare-store mount box here
        cat here/etc/motd
        if touch here/new 2>/dev/null; then exit 9; fi
        if tare-store mount box here 2>err; then exit 9; fi; grep -o 'is mounted on' err
        tare-store rm box >/dev/null 2>&1; tare-store gc >/dev/null
        cat here/bin/busybox | cmp - image/bin/busybox
        tare-store mount --json | python3 -c 'import json, os, sys; print([it["Reference"] for it in json.load(sys.stdin) if it["Target"] == os.path.realpath("here")])'
        tare-store umount here
        test ! -e here/etc
        if tare-store umount here 2>err; then exit 9; fi; grep -o 'no image' err
        tare-store gc | grep -o freed
    "#;
    let said = sh(&world, script);
    assert_eq!(said, "welcome\nis mounted on\n['docker.io/library/box:latest']\nno image\nfreed");
    assert_eq!(world.mounts(), Vec::<String>::new());
}

#[test]
fn changes_in_an_unpacked_directory_become_a_layer() {
    let world = World::with_image();
    let script = r#"
        tare-store unpack box files
        echo changed >files/etc/motd; rm files/bin/echo; mkdir files/new; echo a >files/new/a; ln files/new/a files/new/b
        mv files moved
        tare-store commit -m 'by hand' -c 'CMD ["cat"]' moved changed
        tare-store unpack changed again
        diff -r --no-dereference moved again
        stat -c %h again/new/b
        tare-store commit again same
        cp -r moved copy
        echo more >>copy/etc/motd
        tare-store commit --base changed copy third
    "#;
    sh(&world, script);
    let files =
        sh(&world, "tare-store diff --files box changed | sed -E 's/ +[+-][0-9]+B//; s/ +/ /g'");
    let lines: Vec<_> = files.lines().collect();
    let changes = ["D /bin/echo", "C /etc/motd (content, time)", "A /new", "A /new/a", "A /new/b"];
    assert_eq!(lines, changes);
    let config = world.json(&["inspect", "--config", "changed"]);
    assert_eq!(config["config"]["Cmd"], json!(["cat"]));
    assert_eq!(config["history"][1]["created_by"], "commit of box");
    let layers = |name: &str| world.json(&["inspect", name])["RootFS"].clone();
    assert_eq!(layers("same"), layers("changed"));
    assert_eq!(world.ok(&["cat", "third", "etc/motd"]), "changed\nmore");
    assert_eq!(world.run(&["fsck"]).code, 0);
}

#[test]
fn a_directory_of_no_known_image_is_not_committed() {
    let world = World::with_image();
    let refused = |dir: &str, words: &str| {
        let said = world.run(&["commit", world.path(dir).to_str().unwrap(), "new"]);
        assert_eq!((said.code, said.out.as_str()), (1, ""));
        assert!(said.err.contains(words), "{}", said.err);
    };
    refused("nowhere", "No such file");
    refused("image", "neither a bundle of tare's nor a directory that tare-store unpack made");
    fs::write(world.path("image/umoci.json"), "{}").unwrap();
    refused("image", "umoci repack");
    sh(&world, "tare-store unpack box files; tare-store untag box; tare-store gc >/dev/null");
    refused("files", "is not in the store any more");
}
