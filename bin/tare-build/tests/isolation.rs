//! What a `RUN` sees of the machine that it runs on, and what is left of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use machine::{Machine, Said, wait_until};

/// What the command wrote to /seen, in a build that has much to leak.
fn seen(machine: &Machine, run: &str, args: &[&str]) -> String {
    machine.file("Dockerfile", format!("FROM busybox:base\n{run}\n"));
    let builder = machine.command("tare-build");
    // With descriptors that are not closed at exec.
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec 9</etc/passwd 8</; exec \"$@\"", "sh"])
        .arg(builder.get_program())
        .args(args)
        .arg("ctx")
        .current_dir(machine.path(""))
        .env("TARE_STORE", machine.path("store"))
        .env("OF_THE_HOST", "leaked");
    let said = Said::new(&command.output().unwrap());
    assert_eq!(said.code, Some(0), "{run}: {}", said.err);
    machine.cat(said.out.trim_end(), "seen")
}

#[test]
fn no_variable_descriptor_or_process_of_the_host() {
    let machine = Machine::new();
    assert_eq!(
        seen(&machine, "RUN env | sort >/seen", &[]),
        "HOME=/root\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD=/\nSHLVL=1\n"
    );
    assert_eq!(
        seen(&machine, "RUN exec >/seen; exec ls /proc/self/fd", &[]),
        "0\n1\n2\n3\n",
        "and the directory that ls reads"
    );
    assert_eq!(
        seen(&machine, "RUN find /proc -maxdepth 1 -name '[0-9]*' >/l; wc -l </l >/seen", &[]),
        "2\n"
    );
    assert_eq!(seen(&machine, "RUN find / -maxdepth 1 >/seen", &[]).lines().count(), 11);
    assert_eq!(seen(&machine, "RUN cat </dev/stdin >/seen; echo end >>/seen", &[]), "end\n");
}

const DEVICES: [&str; 6] =
    ["/dev/full", "/dev/null", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero"];

#[test]
fn only_the_mounts_that_a_container_has() {
    let machine = Machine::new();
    let mounts = seen(
        &machine,
        "RUN cut -d' ' -f2 /proc/self/mounts 2>/dev/null >/seen || \
        while read -r _ place _; do echo $place; done </proc/self/mounts >/seen",
        &[],
    );
    let places: BTreeSet<&str> = mounts
        .lines()
        .filter(|place| {
            !["/sys/fs/cgroup/", "/proc/", "/sys/firmware", "/sys/devices/virtual/powercap"]
                .iter()
                .any(|hidden| place.starts_with(hidden))
        })
        // In a user namespace each device is the host's, mounted.
        .filter(|place| !(machine::is_rootless() && DEVICES.contains(place)))
        .collect();
    let want = [
        "/",
        "/dev",
        "/dev/mqueue",
        "/dev/pts",
        "/dev/shm",
        "/etc/hosts",
        "/etc/resolv.conf",
        "/proc",
        "/sys",
        "/sys/fs/cgroup",
    ];
    assert_eq!(places, BTreeSet::from(want));
}

#[test]
fn what_tells_of_the_host_is_hidden_or_cannot_be_written() {
    let machine = Machine::new();
    for (command, want) in [
        ("cat /proc/kcore 2>/dev/null | head -c 1 | wc -c", "0"),
        ("cat /proc/keys /proc/timer_list 2>/dev/null | wc -c", "0"),
        ("ls -A /sys/firmware 2>/dev/null | wc -l", "0"),
        (
            "for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/irq/x /sys/kernel/x \
          /sys/fs/cgroup/x; do (echo x >$f) 2>/dev/null && echo $f; done; echo none",
            "none",
        ),
        ("find /dev -type b | wc -l", "0"),
        (
            "find /dev -type c -maxdepth 1 | sort | grep -v console",
            "/dev/full\n/dev/null\n/dev/random\n/dev/tty\n/dev/urandom\n/dev/zero",
        ),
        (
            "busybox mknod /disk b 8 0 2>/dev/null || /bin/busybox mknod /disk b 8 0; \
          head -c 1 /disk >/dev/null 2>&1 || echo refused; rm -f /disk",
            "refused",
        ),
        ("mount -t tmpfs x /tmp 2>/dev/null || echo refused", "refused"),
        ("/bin/busybox dmesg >/dev/null 2>&1 || echo refused", "refused"),
        ("/bin/busybox unshare -m true 2>/dev/null || echo refused", "refused"),
        ("grep Seccomp: /proc/self/status", "Seccomp:\t2"),
        ("cat /proc/self/cgroup | grep -v ':/$' | wc -l", "0"),
    ] {
        let run = format!("RUN ({command}) >/seen");
        assert_eq!(seen(&machine, &run, &["--no-cache"]).trim_end(), want, "{command}");
    }
}

#[test]
fn only_the_network_that_it_is_given() {
    let machine = Machine::new();
    for (run, args) in [("RUN --network=none", &[][..]), ("RUN", &["--network", "none"])] {
        let interfaces = seen(&machine, &format!("{run} ls /sys/class/net >/seen"), args);
        assert_eq!(interfaces, "lo\n");
    }
}

#[test]
fn a_daemon_ends_with_its_step() {
    let machine = Machine::new();
    let seconds = format!("{}5", 1_000_000 + std::process::id());
    machine.built(
        &format!("FROM busybox:base\nRUN sleep {seconds} & (setsid sleep {seconds} &) ; sleep 0.1; echo on\n"),
        &[],
    );
    assert_eq!(sleeping(&seconds), 0);
    machine.assert_clean();
}

fn sleeping(seconds: &str) -> usize {
    let wanted = format!("sleep\0{seconds}\0");
    let is_it = |entry: &fs::DirEntry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line.ends_with(wanted.as_bytes())
    };
    fs::read_dir("/proc").unwrap().flatten().filter(is_it).count()
}

/// Processes that fork as fast as they can, as many as an ordinary user's limit lets them; the shell itself
/// forks but once, as one that cannot ends its step.
fn bomb(mark: &str) -> String {
    format!(
        "FROM busybox:base\nUSER 61234\nRUN b() {{ sleep 1000 & b {mark} | b {mark} & }}; (b 2>/dev/null) & "
    )
}

const FEW: [&str; 2] = ["--ulimit", "nproc=60:60"];

/// Processes of the user that only bombs have.
fn fragments() -> usize {
    let user = format!("Uid:\t{}\t", machine::outer_id(61234));
    let is_one = |entry: &fs::DirEntry| {
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        status.lines().any(|line| line.starts_with(&user))
    };
    fs::read_dir("/proc").unwrap().flatten().filter(is_one).count()
}

#[test]
fn a_fork_bomb_ends_with_its_step_and_its_build() {
    let machine = Machine::new();
    machine.built(&(bomb("x") + "exec sleep 0.3\n"), &FEW);
    assert_eq!(fragments(), 0, "after the step");

    machine.file("Dockerfile", bomb("y") + "exec sleep 1000\n");
    let mut command = machine.command("tare-build");
    let command = command.args(FEW).arg("ctx").stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.process_group(0).spawn().unwrap();
    wait_until("it forks", || fragments() > 10);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    Said::new(&child.wait_with_output().unwrap()).refused(&["interrupted"]);
    assert_eq!(fragments(), 0, "after Ctrl-C");

    let mut child = command.spawn().unwrap();
    wait_until("it forks", || fragments() > 10);
    child.kill().unwrap();
    child.wait().unwrap();
    machine.built("FROM busybox:base\n", &[]);
    wait_until("the next build cleans up", || fragments() == 0);
    machine.assert_clean();
}
