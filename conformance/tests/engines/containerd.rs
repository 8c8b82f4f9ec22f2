//! containerd's `ctr` through its own shim for runc, told to take another binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use conformance::succeed;

use crate::support::{CgroupParent, Daemon, Scratch, ended, on_terminal, over_both, until};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A containerd of its own with an image.
struct Containerd {
    runtime: PathBuf,
    namespace: String,
    image: String,
    // Dropped after the containers are gone, the daemon before its folder.
    _daemon: Daemon,
    // ctr puts containers below their namespace's name.
    _parent: CgroupParent,
    scratch: Scratch,
}

impl Containerd {
    fn new(runtime: &Path) -> Self {
        let scratch = Scratch::new();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = {:?}\n",
            scratch.text("root"),
            scratch.text("state"),
            scratch.text("sock")
        );
        std::fs::write(scratch.path("config.toml"), config).expect("a file can be written");
        let mut command = Command::new("containerd");
        command.arg("--config").arg(scratch.path("config.toml"));
        let socket = scratch.path("sock");
        let ready =
            || ctr(&socket, "x").arg("version").output().is_ok_and(|it| it.status.success());
        let daemon = Daemon::start(&mut command, &scratch.path("log"), ready);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("engines-{}-{count}", std::process::id());
        let parent = CgroupParent(namespace.clone());
        let runtime = runtime.to_owned();
        let mut containerd = Self {
            runtime,
            namespace,
            image: String::new(),
            _daemon: daemon,
            _parent: parent,
            scratch,
        };
        containerd.import();
        containerd
    }

    /// An archive as skopeo makes it from a layer that umoci wrote.
    fn import(&mut self) {
        let at = |name: &str| self.scratch.text(name);
        let script = format!(
            "umoci init --layout {layout}; umoci new --image {layout}:base
             umoci unpack --image {layout}:base {bundle}; cp -a {base}/. {bundle}/rootfs/
             umoci repack --image {layout}:base {bundle}
             skopeo copy -q oci:{layout}:base oci-archive:{archive}:engines/base:one",
            layout = at("layout"),
            bundle = at("bundle"),
            base = at("base"),
            archive = at("image.tar"),
        );
        succeed(Command::new("sh").args(["-ec", &script]));
        self.ok(&["images", "import", &at("image.tar")]);
        let names = self.ok(&["images", "ls", "-q"]);
        self.image = names.lines().next().expect("an image").to_owned();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = ctr(&self.scratch.path("sock"), &self.namespace);
        command.args(args);
        command
    }

    fn any(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("ctr is installed")
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        succeed(&mut self.command(args)).out
    }

    fn run_command(&self, flags: &[&str], id: &str, command: &[&str]) -> Command {
        let (runtime, root) = (self.runtime.to_str().expect("plain"), self.scratch.text("runtime"));
        let ours = ["run", "--runc-binary", runtime, "--runc-root", &root];
        self.command(&[&ours[..], flags, &[&self.image, id], command].concat())
    }

    fn run(&self, flags: &[&str], id: &str, script: &str) -> (i32, String) {
        let output = self.run_command(flags, id, &["/bin/sh", "-c", script]).output();
        ended(&output.expect("ctr is installed"))
    }

    fn status(&self, id: &str) -> String {
        let list = self.ok(&["task", "ls"]);
        let line = list.lines().find(|line| line.split_whitespace().next() == Some(id));
        line.and_then(|line| line.split_whitespace().last()).unwrap_or_default().to_owned()
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        for id in
            String::from_utf8_lossy(&self.any(&["task", "ls", "-q"]).stdout).split_whitespace()
        {
            self.any(&["task", "rm", "-f", id]);
        }
    }
}

fn ctr(socket: &Path, namespace: &str) -> Command {
    let mut command = Command::new("ctr");
    command.arg("-a").arg(socket).args(["-n", namespace]).stdin(Stdio::null());
    command
}

#[test]
fn short_tasks_tell_their_end() {
    over_both(|runtime| {
        let containerd = Containerd::new(runtime);
        assert_eq!(containerd.run(&["--rm"], "a", "echo out; exit 7"), (7, "out\n".into()));
        let missing = containerd.run_command(&["--rm"], "b", &["nosuch"]).output();
        let (code, said) = ended(&missing.expect("ctr is installed"));
        assert!(code != 0 && said.contains("executable file not found in $PATH"), "{said}");
        let terminal = containerd.run_command(
            &["--rm", "-t"],
            "d",
            &["/bin/sh", "-c", "tty; echo ready; read x; echo got $x; exit 3"],
        );
        let (seen, code) = on_terminal(&terminal, "ready", "typed\n");
        assert!(seen.contains("got typed") && code == Some(3), "{code:?} {seen}");
    });
}

#[test]
fn a_task_lives_and_ends() {
    over_both(|runtime| {
        let containerd = Containerd::new(runtime);
        assert_eq!(
            containerd.run(&["-d", "--null-io", "--memory-limit=16777216"], "one", "sleep 1000").0,
            0
        );
        let limit =
            format!("/sys/fs/cgroup/memory/{}/one/memory.limit_in_bytes", containerd.namespace);
        assert_eq!(std::fs::read_to_string(limit).expect("a cgroup of v1"), "16777216\n");
        let exec = |id: &str, command: &[&str]| {
            ended(&containerd.any(&[&["task", "exec", "--exec-id", id, "one"], command].concat()))
        };
        assert_eq!(exec("a", &["/bin/sh", "-c", "echo out; exit 5"]), (5, "out\n".into()));
        let (code, said) = exec("b", &["nosuch"]);
        assert!(code != 0 && said.contains("executable file not found in $PATH"), "{said}");
        containerd.ok(&["task", "pause", "one"]);
        assert_eq!(containerd.status("one"), "PAUSED");
        containerd.ok(&["task", "resume", "one"]);
        assert!(containerd.ok(&["task", "metrics", "one"]).contains("memory"));
        assert!(!containerd.ok(&["task", "ps", "one"]).is_empty());
        containerd.ok(&["task", "kill", "-s", "KILL", "one"]);
        until("it has stopped", || containerd.status("one") == "STOPPED");
        let deleted = ended(&containerd.any(&["task", "delete", "one"])).1;
        assert!(deleted.contains("137"), "{deleted}");
    });
}
