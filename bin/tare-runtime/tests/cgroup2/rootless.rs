//! Containers of an ordinary user: with the user's own systemd, with a cgroup that is the user's, without
//! any.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::subject::{Subject, USER, same_rootless};

fn limited(config: &mut Value) {
    config["linux"]["resources"] = json!({
        "memory": {"limit": 64 << 20, "swap": 96 << 20},
        "cpu": {"shares": 512, "quota": 40_000, "period": 50_000},
        "pids": {"limit": 33},
    });
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn the_users_systemd_has_limits() {
    let shown = same_rootless(true, limited, |subject| {
        subject.start();
        let first = subject.settings();
        let changed =
            subject.update(&["--memory", "50M", "--pids-limit", "20", "--cpu-share", "100"]);
        first + &changed
    });
    for line in ["memory.max: 67108864", "pids.max: 33", "memory.max: 52428800", "TasksMax=20"] {
        assert!(shown.lines().any(|have| have == line), "{line}: {shown}");
    }
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn the_users_systemd_carries_a_whole_life() {
    let shown = same_rootless(
        true,
        |_| {},
        |subject| {
            subject.start();
            let inside = subject.succeed(&["exec", "@", "cat", "/proc/self/cgroup"]);
            subject.succeed(&["exec", "-d", "@", "sleep", "601"]);
            let processes = fs::read_to_string(subject.cgroup().join("cgroup.procs"));
            let count = processes.expect("read it").lines().count();
            subject.succeed(&["pause", "@"]);
            let paused = subject.succeed(&["state", "@"]).contains(r#""status": "paused""#);
            subject.succeed(&["resume", "@"]);
            subject.succeed(&["delete", "--force", "@"]);
            format!("{inside}{count} {paused} {}", subject.cgroup().exists())
        },
    );
    assert!(shown.ends_with("2 true false"), "{shown}");
}

/// Without a path and limits a container has no cgroup of its own; either is refused by name.
#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn without_any_cgroup() {
    let own = same_rootless(
        false,
        |config| config["process"]["args"] = json!(["cat", "/proc/self/cgroup"]),
        Subject::run,
    );
    assert!(own.starts_with("Some(0)\n0::"), "{own}");
    for (change, word) in [
        (limited as fn(&mut Value), "rootless needs no limits + no cgrouppath"),
        (|config| config["linux"]["cgroupsPath"] = json!("/tare-not-mine"), "ermission denied"),
    ] {
        let shown = same_rootless(false, change, |subject| {
            let output = subject.call(&["run", "-d", "@"]);
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(errors.contains(word), "{word}: {errors}");
            format!("{:?}", output.status.code())
        });
        assert_eq!(shown, "Some(1)");
    }
}

/// A directory that root gives to the user, with a place in it for who makes containers there.
struct Given(PathBuf);

impl Given {
    fn new(name: &str) -> Self {
        let root = Path::new("/sys/fs/cgroup");
        let all = fs::read_to_string(root.join("cgroup.controllers")).expect("read it");
        let all: String = all.split_whitespace().map(|name| format!("+{name} ")).collect();
        fs::write(root.join("cgroup.subtree_control"), &all).expect("hand controllers down");
        let path = root.join(name);
        fs::create_dir(&path).expect("make it");
        fs::create_dir(path.join("makers")).expect("make it");
        for file in ["", "cgroup.procs", "cgroup.subtree_control", "makers", "makers/cgroup.procs"]
        {
            chown(path.join(file), Some(USER), Some(USER)).expect("give it");
        }
        Self(path)
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        let _ = fs::remove_dir(self.0.join("makers"));
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
#[ignore = "needs cgroup v2 and systemd: scripts/test-cgroup2"]
fn a_cgroup_that_is_the_users() {
    let given = Given::new(&format!("tare-given-{}", std::process::id()));
    let makers = given.0.join("makers/cgroup.procs");
    let below = given.0.join("inner");
    let name = given.0.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
    let change = |config: &mut Value| {
        limited(config);
        config["linux"]["cgroupsPath"] = json!(format!("/{name}/inner"));
    };
    let shown = same_rootless(false, change, |subject| {
        let command = |args: &str| {
            let made = subject.command();
            let words = std::iter::once(made.get_program()).chain(made.get_args());
            let words: Vec<_> = words.map(|word| word.to_str().expect("UTF-8")).collect();
            let script = format!("echo $$ > {}; exec {} {args}", makers.display(), words.join(" "));
            let mut shell = std::process::Command::new("sh");
            shell.current_dir(subject.rootfs().parent().expect("the bundle"));
            let errors = subject.rootfs().join("errors");
            let file = fs::File::create(&errors).expect("make a file");
            shell.args(["-c", &script]).stdout(std::process::Stdio::null()).stderr(file);
            let status = shell.status().expect("start a shell");
            assert!(status.success(), "{args}: {}", fs::read_to_string(errors).expect("read it"));
        };
        command(&format!("run -d {}", subject.id()));
        let read = |file: &str| fs::read_to_string(below.join(file)).expect("read it");
        let first = read("memory.max") + &read("pids.max") + &read("cpu.max");
        command(&format!("update --pids-limit 7 {}", subject.id()));
        command(&format!("exec {} true", subject.id()));
        let second = read("pids.max");
        command(&format!("delete --force {}", subject.id()));
        format!("{first}{second}{}", below.exists())
    });
    assert_eq!(shown, "67108864\n33\n40000 50000\n7\nfalse");
}
