//! Killed at each call that changes something on the disk, a command loses nothing that was there, and does its
//! work when it is called again. The killer is strace(1).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use support::{World, sh};

/// The calls after which the disk may be another. Writes are told apart by the sync after them.
const CALLS: &[&str] = &[
    "mkdir",
    "mkdirat",
    "openat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "fsync",
    "fdatasync",
    "syncfs",
    "ftruncate",
    "utimensat",
    "flock",
    "copy_file_range",
];

/// A store with two images, and what the commands read.
fn world() -> World {
    let world = World::with_image();
    sh(
        &world,
        "mkdir other; head -c 300000 /dev/urandom >other/file; tar -C other -cf other.tar .
         tare-store import -q other.tar other; tare-store save -q -o box.tar box
         mkdir third; echo third >third/file; tar -C third -cf third.tar .",
    );
    world
}

/// Runs a command as often as it makes calls that change something, killed at another one each time; and
/// once more to its end, after which `says` must be what that prints.
fn each_call(world: &World, args: &[&str], after: &str, says: &str) {
    let mut killed = 0;
    for call in CALLS {
        for number in 1.. {
            sh(world, "rm -rf store; cp -a kept store");
            let mut strace = Command::new("strace");
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
            strace.args(["-e", &format!("inject={call}:signal=KILL:when={number}")]);
            let status = strace
                .arg(env!("CARGO_BIN_EXE_tare-store"))
                .args(args)
                .env("TARE_STORE", world.path("store"))
                .env("SOURCE_DATE_EPOCH", "1700000000")
                .current_dir(world.path(""))
                .output()
                .unwrap()
                .status;
            if status.signal() != Some(9) {
                assert!(status.success(), "{args:?} at {call} {number}: {status}");
                break;
            }
            killed += 1;
            let checked = world.run(&["fsck"]);
            let place = format!("{args:?}, killed at {call} {number}");
            assert_eq!(checked.code, 0, "{place}: {}{}", checked.out, checked.err);
            assert_eq!(world.ok(&["cat", "box", "etc/motd"]), "welcome", "{place}");
            sh(world, "tare-store cat other file | cmp - other/file");
            world.command(args).current_dir(world.path("")).output().unwrap();
            assert_eq!(sh(world, after), says, "{place}");
        }
    }
    assert!(killed > 5, "{args:?} was killed {killed} times");
}

fn keep(world: &World, prepare: &str) {
    sh(world, &format!("{prepare}\nrm -rf kept; mv store kept"));
}

#[test]
fn an_import() {
    let world = world();
    keep(&world, "");
    each_call(
        &world,
        &["import", "-q", "third.tar", "third"],
        "tare-store cat third file",
        "third",
    );
}

#[test]
fn a_load() {
    let world = world();
    keep(
        &world,
        "tare-store tag box again; tare-store rm box; tare-store tag again box; tare-store rm again",
    );
    each_call(&world, &["load", "-q", "-i", "box.tar"], "tare-store cat box etc/motd", "welcome");
}

#[test]
fn a_name_more_and_a_name_less() {
    let world = world();
    keep(&world, "");
    each_call(&world, &["tag", "box", "more"], "tare-store cat more etc/motd", "welcome");
    keep(&world, "tare-store tag box more");
    let names = "tare-store ls | grep -c more || true";
    each_call(&world, &["rm", "more"], names, "0");
}

#[test]
fn a_collection() {
    let world = world();
    let prepare = "tare-store import -q third.tar third; tare-store rm third";
    keep(&world, prepare);
    each_call(&world, &["gc"], "ls store/blobs/sha256 | wc -l", "6");
}

#[test]
fn another_configuration() {
    let world = world();
    keep(&world, "");
    let says = "[\"A=b\"]";
    let after = "tare-store inspect --config new | python3 -c 'import json, sys; print(json.dumps(json.load(sys.stdin)[\"config\"][\"Env\"]))'";
    each_call(&world, &["config", "-c", "ENV A=b", "box", "new"], after, says);
}
