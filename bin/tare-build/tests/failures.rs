//! Everything that goes wrong: one clear error, code 1, and nothing left.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use machine::{Machine, Said, wait_until};

#[test]
fn mistakes_in_the_dockerfile_are_shown_at_their_place() {
    let machine = Machine::new();
    for (dockerfile, words) in [
        ("FROM busybox:base\nRNU true\n", &["Dockerfile:2", ">>> RNU true", "RUN"][..]),
        ("FROM busybox:base\nENV A=${B:?is missing}\n", &["Dockerfile:2", "is missing"]),
        ("FROM busybox:base\nCOPY --chmod=9 a /b\n", &["Dockerfile:2", "--chmod=9"]),
        ("FROM $NOTHING\n", &["Dockerfile:1", "empty"]),
        (
            "FROM busybox:base\nRUN --mount=type=secret,id=k,required true\n",
            &["Dockerfile:2", "--secret"],
        ),
        ("", &["Dockerfile"]),
    ] {
        machine.build(dockerfile, &[]).refused(words);
    }
    assert_eq!(machine.names().len(), 1);
}

#[test]
fn a_missing_base_says_what_to_try() {
    let machine = Machine::new();
    let said = machine.build("FROM nowhere.invalid/base:1\nRUN true\n", &[]);
    said.refused(&[
        "Dockerfile:1",
        "nowhere.invalid/base:1",
        "tare-store import",
        "tare-store pull",
    ]);
}

#[test]
fn missing_sources_and_sources_outside() {
    let machine = Machine::new();
    fs::write(machine.path("secret"), "s").unwrap();
    machine.build("FROM busybox:base\nCOPY absent /x\n", &[]).refused(&[
        "Dockerfile:2",
        "absent",
        "ctx",
    ]);
    machine.build("FROM busybox:base\nCOPY ../secret /x\n", &[]).refused(&[
        "Dockerfile:2",
        "../secret",
        "out of the build context",
    ]);
    machine.build("FROM busybox:base\nADD absent /x\n", &[]).refused(&["Dockerfile:2", "absent"]);
}

#[test]
fn a_command_that_fails_commits_nothing() {
    for driver in machine::drivers() {
        let machine = Machine::new();
        let dockerfile = "FROM busybox:base\nRUN echo first; echo last words >&2; exit 42\n";
        let said = machine.build(dockerfile, &["-t", "app", "--driver", driver]);
        said.refused(&["Dockerfile:2", "42", "last words"]);
        assert_eq!(machine.names().len(), 1);
        machine.assert_clean();
        let quiet = machine.build(dockerfile, &["-q", "--driver", driver]);
        quiet.refused(&["42", "last words"]);
    }
}

#[test]
fn a_context_or_dockerfile_that_is_not_there() {
    let machine = Machine::new();
    machine.tare_build(&["nowhere"]).refused(&["nowhere"]);
    machine.tare_build(&["ctx"]).refused(&["Dockerfile", "-f"]);
    machine.tare_build(&["-f", "other", "ctx"]).refused(&["other"]);
    for wrong in [&["--no-such-flag", "ctx"][..], &["-t", "Not A Name", "ctx"], &[]] {
        let said = machine.tare_build(wrong);
        assert_eq!((said.code, &*said.out), (Some(2), ""), "{wrong:?}");
    }
}

#[test]
fn a_runtime_that_is_not_there() {
    let machine = Machine::new();
    let said = machine.build("FROM busybox:base\nRUN true\n", &["--runtime", "/nowhere/run"]);
    said.refused(&["Dockerfile:2", "/nowhere/run"]);
    machine.assert_clean();
}

#[test]
fn a_corrupt_base_is_noticed() {
    let machine = Machine::new();
    let image = machine.built("FROM busybox:base\n", &[]);
    let layer = machine.layers(&image)[0].clone();
    let blob = machine.path("store/blobs/sha256").join(layer.strip_prefix("sha256:").unwrap());
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, bytes).unwrap();
    fs::remove_dir_all(machine.path("store/tare")).unwrap();
    let said = machine.build("FROM busybox:base\nRUN true\n", &["-t", "app"]);
    said.refused(&["corrupt", &layer]);
    machine.assert_clean();
    assert_eq!(machine.names().iter().filter(|name| name.contains("app")).count(), 0);
}

#[test]
fn a_full_disk() {
    // Only root can mount a small disk.
    if machine::is_rootless() {
        return;
    }
    let machine = Machine::new();
    let small = machine.path("small");
    fs::create_dir(&small).unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=16m", "tare-test"])
        .arg(&small)
        .status()
        .unwrap();
    assert!(mount.success());
    let run = |name: &str, args: &[&str]| {
        let output =
            machine.command(name).env("TARE_STORE", small.join("store")).args(args).output();
        Said::new(&output.unwrap())
    };
    assert_eq!(run("tare-store", &["import", "base.tar", machine::BASE]).code, Some(0));
    machine.file("Dockerfile", "FROM busybox:base\nCOPY big /\n");
    machine.file("big", vec![7; 40 << 20]);
    run("tare-build", &["-t", "app", "ctx"]).refused(&["Dockerfile:2", "No space left"]);
    machine.file("Dockerfile", "FROM busybox:base\nRUN dd if=/dev/zero of=/big bs=1M count=40\n");
    run("tare-build", &["-t", "app", "ctx"]).refused(&["Dockerfile:2", "tare-store prune"]);
    fs::remove_file(machine.path("ctx/big")).unwrap();
    machine.file("Dockerfile", "FROM busybox:base\nRUN echo small > /small\n");
    let said = run("tare-build", &["ctx"]);
    assert_eq!(said.code, Some(0), "there is room again: {}", said.err);
    assert_eq!(machine.mounts(), [small.to_str().unwrap()]);
    assert!(Command::new("umount").arg(&small).status().unwrap().success());
}

/// Waits until the build's `RUN` has begun: its process is the one that sleeps for `seconds`.
fn sleeping(seconds: &str) -> bool {
    let wanted = format!("sleep\0{seconds}\0");
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.ends_with(wanted.as_bytes())
    })
}

/// Ctrl-C, and a terminal that is closed.
#[test]
fn ctrl_c_ends_everything() {
    for (index, (runtime, signal)) in
        [("", "-INT"), ("runc", "-INT"), ("", "-HUP")].iter().enumerate()
    {
        if *signal == "-HUP" && hangups_are_ignored() {
            continue;
        }
        let machine = Machine::new();
        let seconds = format!("{}{index}", 1_000_000 + std::process::id());
        machine.file("Dockerfile", format!("FROM busybox:base\nRUN sleep {seconds}\n"));
        let mut command = machine.command("tare-build");
        command.args(["-t", "app", "ctx"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        if !runtime.is_empty() {
            command.args(["--runtime", runtime]);
        }
        let child = command.process_group(0).spawn().unwrap();
        wait_until("the container runs", || sleeping(&seconds));
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &&*pid]).status().unwrap().success());
        let said = Said::new(&child.wait_with_output().unwrap());
        said.refused(&["interrupted"]);
        assert!(!sleeping(&seconds), "the command lives");
        machine.assert_clean();
        assert_eq!(machine.names().len(), 1);
        assert!(!Path::new("/sys/fs/cgroup/tare").exists() || no_cgroups(), "a cgroup is left");
    }
}

/// Whether these tests run below nohup(1).
fn hangups_are_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & 1 == 1
}

fn no_cgroups() -> bool {
    let left = Command::new("find")
        .args(["/sys/fs/cgroup", "-path", "*/tare/tare-build-*", "-name", "cgroup.procs", "-empty"])
        .output()
        .unwrap();
    left.stdout.is_empty()
}

#[test]
fn what_a_killed_build_left_is_gone_at_once() {
    let machine = Machine::new();
    let seconds = format!("{}9", 1_000_000 + std::process::id());
    machine.file("Dockerfile", format!("FROM busybox:base\nRUN sleep {seconds}\n"));
    let mut command = machine.command("tare-build");
    let mut child = command.arg("ctx").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the container runs", || sleeping(&seconds));
    child.kill().unwrap();
    child.wait().unwrap();
    // At once, without another build.
    wait_until("the command is gone", || !sleeping(&seconds));
    wait_until("the mounts are gone", || machine.mounts().is_empty());
    let folder = machine.path("store/tare/build/tmp");
    wait_until("the directory is gone", || fs::read_dir(&folder).unwrap().count() == 0);
    machine.assert_clean();
}

/// When whoever cleans up was killed as well, the next build does.
#[test]
fn what_a_killed_build_and_its_guard_left_is_gone_after_the_next() {
    let machine = Machine::new();
    let seconds = format!("{}8", 1_000_000 + std::process::id());
    machine.file("Dockerfile", format!("FROM busybox:base\nRUN sleep {seconds}\n"));
    let mut command = machine.command("tare-build");
    let mut child = command.arg("ctx").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the container runs", || sleeping(&seconds));
    let store = machine.path("store");
    let guard = format!("--clean-up\0{}", store.display());
    kill_by_arguments(guard.as_bytes());
    child.kill().unwrap();
    child.wait().unwrap();
    // An ordinary user's mounts are nobody else's.
    assert_eq!(machine.mounts().is_empty(), machine::is_rootless());
    let said = machine.build("FROM busybox:base\nRUN true\n", &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    machine.assert_clean();
    wait_until("the command is gone", || !sleeping(&seconds));
}

/// Kills the one process whose command line holds this.
fn kill_by_arguments(arguments: &[u8]) {
    let holds = |pid: &String| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.windows(arguments.len()).any(|window| window == arguments)
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let names = processes.map(|entry| entry.file_name().into_string().unwrap());
    let found: Vec<String> =
        names.filter(|name| name.parse::<u32>().is_ok()).filter(holds).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(Command::new("kill").args(["-KILL", &found[0]]).status().unwrap().success());
}

#[test]
fn two_builds_at_once_into_one_store() {
    let machine = Machine::new();
    machine.file("Dockerfile", "FROM busybox:base\nCOPY . /x\nRUN sleep 1; ls /x > /names\n");
    machine.file("file", "f");
    let builds: Vec<_> = (0..4)
        .map(|number| {
            let mut command = machine.command("tare-build");
            command.args(["-t", &format!("app:{number}"), "ctx"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for build in builds {
        let said = Said::new(&build.wait_with_output().unwrap());
        assert_eq!(said.code, Some(0), "{}", said.err);
    }
    assert_eq!(machine.names().len(), 5);
    machine.assert_clean();
}

/// A runtime that closes its output and hangs is no reason to hang as well.
#[test]
fn a_silent_runtime_can_be_interrupted() {
    use std::os::unix::fs::PermissionsExt as _;
    let machine = Machine::new();
    let runtime = machine.path("hangs");
    let seconds = format!("{}7", 1_000_000 + std::process::id());
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *\" run \"*) ;; *) exit 0;; esac\nexec sleep {seconds} >&- 2>&-\n"
    );
    fs::write(&runtime, script).unwrap();
    fs::set_permissions(&runtime, fs::Permissions::from_mode(0o755)).unwrap();
    machine.file("Dockerfile", "FROM busybox:base\nRUN true\n");
    let mut command = machine.command("tare-build");
    command.args(["--runtime", runtime.to_str().unwrap(), "ctx"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the runtime runs", || sleeping(&seconds));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    Said::new(&child.wait_with_output().unwrap()).refused(&["interrupted"]);
    assert!(!sleeping(&seconds));
    machine.assert_clean();
}
