//! A bundle with busybox, a state root of its own, and a clean-up that holds on failure too.

#![allow(dead_code, reason = "each test program uses its part")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A bundle and its state root.
pub(crate) struct Bundle {
    pub(crate) directory: TempDir,
    pub(crate) config: Value,
    pub(crate) id: String,
}

/// No leftovers.
pub(crate) const NOTHING: [PathBuf; 0] = [];

static COUNT: AtomicU32 = AtomicU32::new(0);

const APPLETS: [&str; 17] = [
    "sh", "true", "false", "cat", "sleep", "ls", "id", "echo", "env", "grep", "head", "kill",
    "stty", "touch", "readlink", "mkdir", "stat",
];

impl Bundle {
    /// A bundle that runs `args`, with the configuration that `spec` writes.
    pub(crate) fn new(args: &[&str]) -> Self {
        let directory = TempDir::with_prefix("tare-runtime-").expect("make a directory");
        let bin = directory.path().join("rootfs/bin");
        fs::create_dir_all(&bin).expect("make the root");
        fs::copy("/bin/busybox", bin.join("busybox")).expect("busybox-static is installed");
        for applet in APPLETS {
            symlink("busybox", bin.join(applet)).expect("link an applet");
        }
        let id = format!("t{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let made = command().args(["spec", "--bundle"]).arg(directory.path()).status();
        assert!(made.expect("start the runtime").success());
        let text = fs::read_to_string(directory.path().join("config.json")).expect("read it");
        let mut config: Value = serde_json::from_str(&text).expect("JSON");
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(args);
        config["linux"]["cgroupsPath"] = json!(format!("/tare-runtime-test-{id}"));
        Self { directory, config, id }
    }

    /// The same with a shell script.
    pub(crate) fn shell(script: &str) -> Self {
        Self::new(&["sh", "-c", script])
    }

    /// Changes the configuration.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.directory.path().join("rootfs")
    }

    pub(crate) fn state_root(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub(crate) fn write(&self) {
        let text = serde_json::to_string(&self.config).expect("JSON");
        fs::write(self.directory.path().join("config.json"), text).expect("write it");
    }

    /// The runtime with this bundle's state root.
    pub(crate) fn runtime(&self) -> Command {
        let mut command = command();
        command.arg("--root").arg(self.state_root());
        command
    }

    /// `run` in the foreground.
    pub(crate) fn run(&self) -> Output {
        self.write();
        self.start_with(self.runtime())
    }

    /// `run` by another runtime.
    pub(crate) fn run_by_runc(&self) -> Output {
        self.write();
        let mut runc = Command::new("runc");
        // It leaves a log of criu where it works.
        runc.current_dir(self.directory.path());
        runc.arg("--root").arg(self.directory.path().join("runc"));
        self.start_with(runc)
    }

    fn start_with(&self, mut command: Command) -> Output {
        let command = command.args(["run", "--bundle"]).arg(self.directory.path()).arg(&self.id);
        command.stdin(Stdio::null()).output().expect("start the runtime")
    }

    /// A command on this container that must succeed; its output.
    pub(crate) fn succeed(&self, args: &[&str]) -> String {
        let output = self.call(args);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {errors}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// A command on this container that must fail with exit code 1; its message.
    pub(crate) fn fail(&self, args: &[&str]) -> String {
        let output = self.call(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    }

    /// A command that must fail with any code; its message.
    pub(crate) fn fail_with_any_code(&self, args: &[&str]) -> String {
        let output = self.call(args);
        assert!(!output.status.success(), "{args:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    }

    /// `@` stands for the container's id. What the container inherits must not be a pipe of ours, or
    /// we would wait for the container.
    fn call(&self, args: &[&str]) -> Output {
        let mut command = self.runtime();
        command.args(args.iter().map(|arg| if *arg == "@" { self.id.as_str() } else { arg }));
        if matches!(args[0], "create" | "run") || args.contains(&"-d") {
            let errors = self.directory.path().join("stderr");
            let file = fs::File::create(&errors).expect("make a file");
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
            let status = command.status().expect("start the runtime");
            let stderr = fs::read(errors).expect("read it");
            return Output { status, stdout: Vec::new(), stderr };
        }
        command.stdin(Stdio::null()).output().expect("start the runtime")
    }

    /// `create` with this bundle.
    pub(crate) fn create(&self) {
        self.write();
        let bundle = self.directory.path().to_str().expect("UTF-8").to_owned();
        self.succeed(&["create", "--bundle", &bundle, "@"]);
    }

    /// The status that `state` tells.
    pub(crate) fn status(&self) -> String {
        let state: Value = serde_json::from_str(&self.succeed(&["state", "@"])).expect("JSON");
        state["status"].as_str().expect("a status").to_owned()
    }

    /// Asks until the container has the status.
    pub(crate) fn wait_for(&self, status: &str) {
        until(|| self.status() == status, &format!("status {status}"));
    }

    /// What the host still holds of this container.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let hierarchies = fs::read_dir("/sys/fs/cgroup").expect("list cgroups").flatten();
        for hierarchy in hierarchies.map(|entry| entry.path()).chain(["/sys/fs/cgroup".into()]) {
            let group = hierarchy.join(format!("tare-runtime-test-{}", self.id));
            found.extend(group.exists().then_some(group));
        }
        if let Ok(states) = fs::read_dir(self.state_root()) {
            found.extend(states.flatten().map(|entry| entry.path()));
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("read mountinfo");
        let inside = self.directory.path().to_str().expect("UTF-8");
        found.extend(mounts.lines().filter(|line| line.contains(inside)).map(PathBuf::from));
        for process in fs::read_dir("/proc").expect("list processes").flatten() {
            let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let of_it = String::from_utf8_lossy(&words).contains(inside);
            found.extend(of_it.then(|| process.path().join("cmdline")));
        }
        found
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = self.runtime().args(["delete", "--force", &self.id]).output();
    }
}

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tare-runtime"))
}

/// Asks until it is so, a minute long: an emulated machine is slow.
pub(crate) fn until(mut so: impl FnMut() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Standard output as text; the exit code must be as given.
pub(crate) fn text(output: &Output, code: i32) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// The one line on standard error of a failure with exit code 1.
pub(crate) fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr.clone()).expect("UTF-8");
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    assert!(text.starts_with("tare-runtime: error: "), "{text}");
    text
}

/// Whether this machine's cgroups are v2's alone.
pub(crate) fn unified() -> bool {
    exists(Path::new("/sys/fs/cgroup/cgroup.controllers"))
}

/// A file of the repository's machine that must exist.
pub(crate) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
