//! A root that another container shares: it exchanges what the runtime is about to use. Each race lasts
//! a second or so; a runtime that resolves a path twice is caught within some tens of starts.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;

use super::support::{Bundle, NOTHING};

/// Exchanges `one` and `other` while `attack` is done again and again.
fn exchange(one: &Path, other: &Path, mut attack: impl FnMut()) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
                std::thread::sleep(Duration::from_micros(50));
            }
        });
        let stop = StopOnDrop(&stop);
        let end = Instant::now() + Duration::from_millis(1500);
        let mut runs = 0;
        while Instant::now() < end || runs < 10 {
            attack();
            runs += 1;
        }
        drop(stop);
    });
}

/// A failing attack ends the race too.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// No mounts in the image's /dev, so that what lies there is in use.
fn bare_dev(script: &str) -> Bundle {
    let bundle = Bundle::shell(script).with(|config| {
        let mounts = config["mounts"].as_array_mut().expect("the mounts");
        mounts.retain(|mount| {
            let place = mount["destination"].as_str().expect("a path");
            !place.starts_with("/dev") || place == "/dev/pts"
        });
        config["root"]["readonly"] = json!(false);
    });
    fs::create_dir(bundle.rootfs().join("dev")).expect("make a directory");
    bundle
}

/// CVE-2025-31133: a link in place of the image's /dev/null. Where the mask comes from there, /proc/keys
/// is the file that the link names, writable, and no null device.
#[test]
fn masks_do_not_come_from_the_image() {
    let bundle = bare_dev("stat -c %t:%T /proc/keys; ls /proc/acpi /sys/firmware; exit 0");
    let dev = bundle.rootfs().join("dev");
    symlink("/proc/sys/kernel/core_pattern", dev.join("link")).unwrap();
    let _ = bundle.run();
    let null = dev.join("null");
    assert!(fs::symlink_metadata(&null).is_ok());
    let mut started = 0;
    exchange(&null, &dev.join("link"), || {
        let output = bundle.run();
        let said = String::from_utf8(output.stdout.clone()).unwrap();
        if output.status.success() {
            started += 1;
            assert!(said.starts_with("1:3\n"), "{said}");
            let listed = said.lines().filter(|line| !line.is_empty() && !line.ends_with(':'));
            assert_eq!(listed.collect::<Vec<_>>(), ["1:3"]);
        } else {
            assert_eq!(said, "");
        }
        assert_eq!(bundle.leftovers(), NOTHING);
    });
    assert!(started > 0, "none started");
}

/// CVE-2025-52565: a link in place of /dev/console, or of the terminal's /dev/pts/N. Where one is
/// followed, the terminal lies over a file of /proc, or that file at /dev/console before it is masked. (Who
/// shares the root can rename the console with what is mounted on it.)
#[test]
fn the_terminal_is_mounted_at_its_place_only() {
    let script =
        "grep -E ' /proc/sys/kernel/core_pattern | /dev/console ' /proc/self/mountinfo; exit 0";
    let bundle = bare_dev(script).with(|config| config["process"]["terminal"] = json!(true));
    let dev = bundle.rootfs().join("dev");
    fs::create_dir(dev.join("pts")).unwrap();
    for number in 0..4 {
        let trap = dev.join("pts").join(number.to_string());
        symlink("/proc/sys/kernel/core_pattern", trap).unwrap();
    }
    fs::write(dev.join("console"), "").unwrap();
    symlink("/proc/sys/kernel/core_pattern", dev.join("link")).unwrap();
    let mut started = 0;
    exchange(&dev.join("console"), &dev.join("link"), || {
        let output = bundle.run();
        let said = String::from_utf8(output.stdout.clone()).unwrap();
        if output.status.success() {
            started += 1;
            assert!(!said.contains("core_pattern"), "{said}");
            assert!(said.lines().all(|line| line.contains(" - devpts ")), "{said}");
        }
        assert_eq!(bundle.leftovers(), NOTHING);
    });
    assert!(started > 0, "none started");
}

/// CVE-2019-19921, CVE-2025-52881: the directory below /proc is exchanged with a link into a volume
/// that is full of traps, while a sysctl and the killer's score are written, and paths are masked and
/// made read-only. Where a write follows the link, a trap has changed, or the value that was asked for is
/// not there; where a protection does, it lies over a trap and the procfs is open.
#[test]
fn writes_stay_in_procfs() {
    let script = "cat /proc/sys/net/ipv4/ip_forward /proc/self/oom_score_adj; \
        cat /proc/self/mountinfo /other/self/mountinfo; exit 0";
    let bundle = Bundle::shell(script).with(|config| {
        config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
        config["process"]["oomScoreAdj"] = json!(555);
        config["linux"]["maskedPaths"] = json!(["/proc/keys", "/proc/timer_list", "/proc/tty"]);
        config["linux"]["readonlyPaths"] = json!(["/proc/fs", "/proc/sys"]);
    });
    let root = bundle.rootfs();
    let trap = root.join("volume");
    for directory in ["sys/net/ipv4", "self/attr", "tty", "fs"] {
        fs::create_dir_all(trap.join(directory)).unwrap();
    }
    fs::create_dir(root.join("proc")).unwrap();
    symlink("volume", root.join("other")).unwrap();
    let traps = [
        "sys/net/ipv4/ip_forward",
        "self/oom_score_adj",
        "self/attr/exec",
        "self/mountinfo",
        "keys",
        "timer_list",
    ];
    for name in traps {
        fs::write(trap.join(name), "trap\n").unwrap();
    }
    let (mut written, mut protected) = (0, 0);
    exchange(&root.join("proc"), &root.join("other"), || {
        let output = bundle.run();
        let said = String::from_utf8(output.stdout.clone()).unwrap();
        // What the program itself reads may be the trap.
        for (said, wanted) in said.lines().zip(["1", "555"]).filter(|(said, _)| *said != "trap") {
            written += 1;
            assert_eq!(said, wanted);
        }
        if let Some(open) = unprotected(&said) {
            protected += 1;
            assert_eq!(open, Vec::<&str>::new(), "open in {said}");
        }
        for name in traps {
            assert_eq!(fs::read_to_string(trap.join(name)).unwrap(), "trap\n", "{name}");
        }
        assert_eq!(bundle.leftovers(), NOTHING);
    });
    assert!(written > 0 && protected > 0, "{written} writes, {protected} procfs seen");
}

/// Which paths of the procfs in a mount table are neither masked nor read-only as they should be; None
/// where the program did not get to see one.
fn unprotected(table: &str) -> Option<Vec<&'static str>> {
    let mounts: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split(' ').collect())
        .filter(|words: &Vec<_>| words.len() > 9)
        .collect();
    let is_procfs = |mount: &&Vec<&str>| mount[3] == "/" && mount.contains(&"proc");
    let procfs = mounts.iter().find(is_procfs)?;
    // By the mount it lies on: the directory goes on moving while the table is read.
    let covered = |name: &str, by: &str| {
        mounts.iter().any(|mount| {
            let place = mount[4].strip_prefix("/proc/").or(mount[4].strip_prefix("/other/"));
            let read_only = mount[5].split(',').any(|option| option == "ro");
            mount[1] == procfs[0] && place == Some(name) && mount[3] == by && read_only
        })
    };
    let wanted =
        [("keys", "/null"), ("timer_list", "/null"), ("tty", "/"), ("fs", "/fs"), ("sys", "/sys")];
    let open = wanted.into_iter().filter(|(name, by)| !covered(name, by));
    Some(open.map(|(name, _)| name).collect())
}
