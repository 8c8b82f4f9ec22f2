//! docker's daemon with another default runtime: no network, and every folder of its own.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use conformance::succeed;

use crate::support::{CgroupParent, Daemon, Scratch, ended, on_terminal, over_both, until};

static COUNT: AtomicU32 = AtomicU32::new(0);

const IMAGE: &str = "busybox:base";

/// A daemon with an image. Fields in the order in which they must go.
struct Docker {
    _daemon: Daemon,
    _parent: CgroupParent,
    scratch: Scratch,
}

impl Docker {
    fn new(runtime: &Path) -> Self {
        let scratch = Scratch::new();
        let at = |name: &str| scratch.text(name);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let parent = CgroupParent(format!("engines-docker-{}-{count}", std::process::id()));
        let mut command = Command::new("dockerd");
        command
            .args([
                "--iptables=false",
                "--ip6tables=false",
                "--bridge=none",
                "--default-runtime=peer",
            ])
            .args(["--storage-driver=overlay2", "--exec-opt=native.cgroupdriver=cgroupfs"])
            .arg(format!("--cgroup-parent=/{}", parent.0))
            .arg(format!("--add-runtime=peer={}", runtime.display()))
            .arg(format!("--host=unix://{}", at("sock")))
            .arg(format!("--config-file={}", at("none.json")))
            .arg(format!("--data-root={}", at("data")))
            .arg(format!("--exec-root={}", at("exec")))
            .arg(format!("--pidfile={}", at("pid")));
        std::fs::write(scratch.path("none.json"), "{}").expect("a file can be written");
        let socket = scratch.path("sock");
        let ready = || client(&socket).arg("version").output().is_ok_and(|it| it.status.success());
        let daemon = Daemon::start(&mut command, &scratch.path("log"), ready);
        let docker = Self { _daemon: daemon, _parent: parent, scratch };
        docker.ok(&["import", &docker.scratch.text("base.tar"), IMAGE]);
        docker
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = client(&self.scratch.path("sock"));
        command.args(args);
        command
    }

    fn any(&self, args: &[&str]) -> (i32, String) {
        ended(&self.output(args))
    }

    fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("docker is installed")
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        succeed(&mut self.command(args)).out
    }

    fn run(&self, flags: &[&str], command: &[&str]) -> (i32, String) {
        self.any(&[&["run", "--rm", "--network=none"], flags, &[IMAGE], command].concat())
    }

    fn inspect(&self, what: &str) -> String {
        self.ok(&["inspect", "--format", &format!("{{{{.State.{what}}}}}"), "one"])
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        for id in String::from_utf8_lossy(&self.output(&["ps", "-aq"]).stdout).split_whitespace() {
            self.any(&["rm", "-f", id]);
        }
    }
}

fn client(socket: &Path) -> Command {
    let mut command = Command::new("docker");
    command.arg("-H").arg(format!("unix://{}", socket.display())).stdin(Stdio::null());
    command
}

#[test]
fn what_docker_runs() {
    over_both(|runtime| {
        let docker = Docker::new(runtime);
        for (program, code) in
            [("nosuch", 127), ("/no/such", 127), ("/etc", 126), ("/etc/passwd", 126)]
        {
            let (got, said) = docker.run(&[], &[program]);
            assert_eq!(got, code, "{program}: {said}");
        }
        assert_eq!(docker.run(&[], &["sh", "-c", "echo out; exit 7"]), (7, "out\n".into()));
        let flags =
            ["--user=app", "--workdir=/data", "--env=A=b", "--hostname=hallo", "--read-only"];
        let script = "id -u; pwd; echo $A; hostname; touch /data/x 2>/dev/null || echo ro";
        assert_eq!(
            docker.run(&flags, &["sh", "-c", script]),
            (0, "1000\n/data\nb\nhallo\nro\n".into())
        );
        let flags = ["--memory=64m", "--cpus=0.5", "--pids-limit=33"];
        let script = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us pids/pids.max";
        assert_eq!(docker.run(&flags, &["sh", "-c", script]), (0, "67108864\n50000\n33\n".into()));
        let privileged =
            docker.run(&["--cap-add=SYS_ADMIN"], &["mount", "-t", "tmpfs", "x", "/data"]);
        assert_eq!(privileged, (0, String::new()));
        assert_eq!(docker.run(&["--init"], &["sh", "-c", "exit 4"]).0, 4);
        let script = "tty; echo ready; read x; echo got $x; exit 3";
        let run =
            docker.command(&["run", "--rm", "-it", "--network=none", IMAGE, "sh", "-c", script]);
        let (seen, code) = on_terminal(&run, "ready", "typed\n");
        assert!(seen.contains("got typed") && code == Some(3), "{code:?} {seen}");
    });
}

#[test]
fn a_container_of_dockers_lives_and_ends() {
    over_both(|runtime| {
        let docker = Docker::new(runtime);
        let script = "echo out; trap 'exit 9' TERM; while :; do sleep 0.05; done";
        let health = ["--health-cmd=true", "--health-interval=100ms"];
        let run = ["run", "-d", "--network=none", "--name=one", "--memory=64m"];
        docker.ok(&[&run[..], &health, &[IMAGE, "sh", "-c", script]].concat());
        until("it has printed", || docker.any(&["logs", "one"]).1 == "out\n");
        until("it is well", || docker.inspect("Health.Status") == "healthy");
        let exec = |args: &[&str]| docker.any(&[&["exec"], args].concat());
        let command = [
            "-u",
            "app",
            "-w",
            "/data",
            "-e",
            "A=b",
            "one",
            "sh",
            "-c",
            "id -u; pwd; echo $A; exit 5",
        ];
        assert_eq!(exec(&command), (5, "1000\n/data\nb\n".into()));
        // This docker tells 126 whatever is wrong, and what it is in words.
        for (program, said) in
            [("nosuch", "executable file not found"), ("/etc/passwd", "permission denied")]
        {
            let (code, printed) = exec(&["one", program]);
            assert!(code == 126 && printed.contains(said), "{code} {printed}");
        }
        docker.ok(&["pause", "one"]);
        assert_eq!(docker.inspect("Status"), "paused");
        docker.ok(&["unpause", "one"]);
        docker.ok(&["update", "--memory=32m", "--memory-swap=64m", "one"]);
        let limit = exec(&["one", "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]);
        assert_eq!(limit, (0, "33554432\n".into()));
        assert!(docker.ok(&["top", "one"]).contains("sh -c"));
        assert!(docker.ok(&["stats", "--no-stream", "one"]).contains("32MiB"));
        docker.ok(&["restart", "one"]);
        until("the trap is set", || docker.any(&["logs", "one"]).1 == "out\nout\n");
        docker.ok(&["stop", "-t", "10", "one"]);
        assert_eq!(docker.inspect("ExitCode"), "9");
        docker.ok(&["start", "one"]);
        docker.ok(&["kill", "one"]);
        assert_eq!(docker.ok(&["wait", "one"]), "137");
    });
}

#[test]
fn docker_sees_that_memory_ran_out() {
    over_both(|runtime| {
        let docker = Docker::new(runtime);
        let run = ["run", "--network=none", "--name=one", "--memory=16m", "--memory-swap=16m"];
        let (code, _) = docker.any(&[&run[..], &[IMAGE, "tail", "/dev/zero"]].concat());
        assert_eq!((code, docker.inspect("OOMKilled").as_str()), (137, "true"));
    });
}
