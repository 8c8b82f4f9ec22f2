//! podman: a container's life, its terminal, its limits, pods.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use conformance::succeed;

use crate::support::{Scratch, ended, on_terminal, over_both, until};

/// The image in every podman's storage.
pub(crate) const IMAGE: &str = "busybox:base";

/// A storage of its own, with a runtime.
pub(crate) struct Podman {
    scratch: Scratch,
    runtime: PathBuf,
}

impl Podman {
    pub(crate) fn new(runtime: &Path) -> Self {
        let podman = Self { scratch: Scratch::new(), runtime: runtime.to_owned() };
        // Without CAP_SYS_RESOURCE podman's own limits cannot be raised to. Locks in files: those in
        // memory are every podman's of the machine.
        let settings = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n\
                        [engine]\nlock_type = \"file\"\n";
        std::fs::write(podman.path("containers.conf"), settings).expect("a file can be written");
        podman.ok(&["import", "-q", &podman.scratch.text("base.tar"), IMAGE]);
        podman
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.scratch.text(name)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("podman");
        command.env("CONTAINERS_CONF", self.path("containers.conf")).stdin(Stdio::null());
        for (flag, folder) in [("--root", "root"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
            command.arg(flag).arg(self.path(folder));
        }
        command.args(["--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime"]);
        command.arg(&self.runtime).args(args);
        command
    }

    pub(crate) fn any(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("podman is installed")
    }

    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        succeed(&mut self.command(args)).out
    }

    /// `run --rm` without a network; exit code and all that was printed.
    pub(crate) fn run(&self, flags: &[&str], command: &[&str]) -> (i32, String) {
        let asked = flags.iter().any(|flag| flag.starts_with("--network"));
        let network: &[&str] = if asked { &[] } else { &["--network=none"] };
        ended(&self.any(&[&["run", "--rm"], network, flags, &[IMAGE], command].concat()))
    }

    /// Starts a container in the background.
    #[track_caller]
    fn start(&self, name: &str, flags: &[&str], script: &str) {
        let run = ["run", "-d", "--network=none", "--name", name];
        self.ok(&[&run, flags, &[IMAGE, "sh", "-c", script]].concat());
    }

    #[track_caller]
    fn inspect(&self, name: &str, what: &str) -> String {
        self.ok(&["inspect", "--format", &format!("{{{{.{what}}}}}"), name])
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        for what in ["pod", "container"] {
            let _ = self.any(&[what, "rm", "-af", "-t", "0"]);
        }
    }
}

#[test]
fn a_container_lives_and_ends() {
    over_both(|runtime| {
        let podman = Podman::new(runtime);
        let script = "echo out; echo err >&2; trap 'exit 9' TERM; while :; do sleep 0.05; done";
        podman.start("one", &[], script);
        until("it has printed", || ended(&podman.any(&["logs", "one"])).1.contains("err"));
        assert_eq!(ended(&podman.any(&["logs", "one"])), (0, "out\nerr\n".into()));
        assert!(podman.ok(&["top", "one", "pid", "args"]).contains("sh -c"));
        assert!(podman.ok(&["stats", "--no-stream", "one"]).contains("one"));

        podman.ok(&["pause", "one"]);
        assert_eq!(podman.inspect("one", "State.Status"), "paused");
        assert_ne!(ended(&podman.any(&["exec", "one", "true"])).0, 0);
        podman.ok(&["unpause", "one"]);

        podman.ok(&["rename", "one", "two"]);
        podman.ok(&["cp", &podman.text("base/etc/group"), "two:/data/copied"]);
        assert!(podman.ok(&["exec", "two", "cat", "/data/copied"]).contains("extra"));
        let pid = podman.inspect("two", "State.Pid");
        podman.ok(&["restart", "-t", "5", "two"]);
        assert_ne!(podman.inspect("two", "State.Pid"), pid);
        until("the trap is set", || podman.ok(&["logs", "two"]).matches("out").count() == 2);
        podman.ok(&["stop", "-t", "10", "two"]);
        assert_eq!(podman.inspect("two", "State.ExitCode"), "9", "the program's own end");
        assert_eq!(podman.ok(&["wait", "two"]), "9");

        podman.ok(&["start", "two"]);
        podman.ok(&["kill", "-s", "KILL", "two"]);
        assert_eq!(podman.ok(&["wait", "two"]), "137");
        let events = podman.ok(&["events", "--stream=false"]);
        for event in ["pause", "unpause", "died", "restart"] {
            assert!(events.contains(event), "{event}: {events}");
        }
        podman.ok(&["rm", "two"]);
    });
}

#[test]
fn what_does_not_end_is_killed() {
    over_both(|runtime| {
        let podman = Podman::new(runtime);
        podman.start("deaf", &[], "trap '' TERM; echo ready; while :; do sleep 0.05; done");
        until("it is deaf", || podman.ok(&["logs", "deaf"]).contains("ready"));
        podman.ok(&["stop", "-t", "1", "deaf"]);
        assert_eq!(podman.inspect("deaf", "State.ExitCode"), "137");
        podman.start("gone", &[], "sleep 1000");
        podman.ok(&["rm", "-f", "-t", "0", "gone"]);
    });
}

#[test]
fn exec_takes_what_run_takes() {
    over_both(|runtime| {
        let podman = Podman::new(runtime);
        podman.start("one", &[], "sleep 1000");
        let exec = |args: &[&str]| ended(&podman.any(&[&["exec"], args].concat()));
        let script = "id -u; id -G; pwd; echo $A; exit 5";
        let flags = ["-u", "app", "-w", "/data", "-e", "A=b", "one", "sh", "-c", script];
        assert_eq!(exec(&flags), (5, "1000\n1001 2000\n/data\nb\n".into()));
        assert_eq!(exec(&["one", "sh", "-c", "kill -9 $$"]).0, 137);
        for (program, code) in
            [("nosuch", 127), ("/no/such", 127), ("/etc", 126), ("/etc/passwd", 126)]
        {
            assert_eq!(exec(&["one", program]).0, code, "{program}");
        }
        assert_eq!(exec(&["-w", "/nowhere", "one", "true"]).0, 127);
        let privileged = exec(&["--privileged", "one", "grep", "CapBnd", "/proc/self/status"]).1;
        assert_ne!(privileged, exec(&["one", "grep", "CapBnd", "/proc/self/status"]).1);

        assert_eq!(exec(&["-d", "one", "touch", "/data/detached"]).0, 0);
        until("it ran", || exec(&["one", "test", "-e", "/data/detached"]).0 == 0);
        let input = "printf typed | podman_exec";
        let mut command = podman.command(&["exec", "-i", "one", "cat"]);
        let file = podman.path("input");
        std::fs::write(&file, input).expect("a file can be written");
        command.stdin(std::fs::File::open(&file).expect("it is there"));
        assert_eq!(succeed(&mut command).out, input);
    });
}

#[test]
fn terminals_are_real() {
    over_both(|runtime| {
        let podman = Podman::new(runtime);
        let script = "test -t 0 && tty; echo ready; read x; echo got $x; exit 3";
        let run =
            podman.command(&["run", "--rm", "-it", "--network=none", IMAGE, "sh", "-c", script]);
        let (seen, code) = on_terminal(&run, "ready", "typed\n");
        assert!(seen.contains("/dev/pts/0") && seen.contains("got typed"), "{seen}");
        assert_eq!(code, Some(3), "{seen}");

        podman.ok(&["run", "-dit", "--network=none", "--name", "one", IMAGE, "sh"]);
        let (seen, code) = on_terminal(
            &podman.command(&["exec", "-it", "one", "sh", "-c", script]),
            "ready",
            "exec\n",
        );
        assert!(seen.contains("got exec") && code == Some(3), "{code:?} {seen}");
        let (seen, code) =
            on_terminal(&podman.command(&["attach", "one"]), "", "echo $((6 * 7)); exit 4\n");
        assert!(seen.contains("42") && code.is_some(), "{code:?} {seen}");
        assert_eq!(podman.ok(&["wait", "one"]), "4");
    });
}

#[test]
fn limits_hold_and_change() {
    over_both(|runtime| {
        let podman = Podman::new(runtime);
        podman.start("hungry", &["--memory=16m", "--memory-swap=16m"], "tail /dev/zero");
        assert_eq!(podman.ok(&["wait", "hungry"]), "137");
        // This podman does not look where its conmon notes it: OOMKilled is docker's test.

        let many = "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait";
        let (_, printed) = podman.run(&["--pids-limit=4"], &["sh", "-c", many]);
        assert!(printed.contains("can't fork"), "{printed}");

        podman.start("one", &["--memory=64m"], "sleep 1000");
        podman.ok(&["update", "--memory=32m", "--memory-swap=64m", "--cpus=0.5", "one"]);
        let read =
            "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us";
        assert_eq!(podman.ok(&["exec", "one", "sh", "-c", read]), "33554432\n50000");
    });
}

#[test]
fn health_is_looked_after() {
    over_both(|runtime| {
        let podman = Podman::new(runtime);
        let health = ["--health-cmd=test -e /data/well", "--health-interval=disable"];
        podman.start("one", &health, "sleep 1000");
        assert_eq!(ended(&podman.any(&["healthcheck", "run", "one"])).0, 1);
        podman.ok(&["exec", "one", "touch", "/data/well"]);
        assert_eq!(ended(&podman.any(&["healthcheck", "run", "one"])).0, 0);
    });
}

#[test]
fn a_pod_shares_namespaces() {
    over_both(|runtime| {
        let podman = Podman::new(runtime);
        let infra = ["--infra-image", IMAGE, "--infra-command", "sleep 1000"];
        podman.ok(&[
            &["pod", "create", "--name=pod", "--network=none", "--hostname=podhost"],
            &infra[..],
        ]
        .concat());
        let show = "hostname; readlink /proc/self/ns/net; readlink /proc/self/ns/ipc";
        let run = || podman.ok(&["run", "--rm", "--pod=pod", IMAGE, "sh", "-c", show]);
        let first = run();
        assert!(first.starts_with("podhost\n"), "{first}");
        assert_eq!(first, run());
        let apart = podman.run(&[], &["sh", "-c", show]).1;
        assert_ne!(first.lines().nth(1), apart.lines().nth(1));
        podman.ok(&["run", "-d", "--pod=pod", "--name=member", IMAGE, "sleep", "1000"]);
        assert!(podman.ok(&["generate", "kube", "pod"]).contains("kind: Pod"));
        podman.ok(&["pod", "stop", "-t", "0", "pod"]);
        // podman's own monitor may still be ending in the cgroup that podman removes: it is asked again.
        until("the pod is removed", || {
            podman.any(&["pod", "rm", "-f", "--ignore", "pod"]).status.success()
        });
    });
}

/// Many at once, each with its own state: no lock of the runtime's stands in another's way.
#[test]
fn many_start_at_once() {
    over_both(|runtime| {
        let podman = Podman::new(runtime);
        let began = Instant::now();
        let args = ["run", "--rm", "--network=none", IMAGE, "sh", "-c", "echo $((6 * 7))"];
        let spawn =
            || podman.command(&args).stdout(Stdio::piped()).spawn().expect("podman is installed");
        let runs: Vec<_> = (0..8).map(|_| spawn()).collect();
        for run in runs {
            assert_eq!(ended(&run.wait_with_output().expect("it ends")), (0, "42\n".into()));
        }
        eprintln!("eight containers in {:?}", began.elapsed());
    });
}
