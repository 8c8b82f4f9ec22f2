//! A shim without a containerd: the test calls the task service itself.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use containerd_shim_protos::TaskClient;
use containerd_shim_protos::api::{CreateTaskRequest, StartRequest, WaitRequest, WaitResponse};
use containerd_shim_protos::ttrpc::context::{Context, with_duration};
use containerd_shim_protos::ttrpc::{self, Client, Code};
use serde_json::{Value, json};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A bundle and the shim for it. What is left of it goes when it is dropped.
pub(crate) struct Shim {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) namespace: String,
    pub(crate) id: String,
}

impl Shim {
    /// A bundle that runs a shell script; no process yet.
    pub(crate) fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("service-test-{}-{number}", std::process::id());
        let shim = Self { folder, namespace, id: "task".to_owned() };
        let bin = shim.bundle().join("rootfs/bin");
        fs::create_dir_all(&bin).expect("folders can be made");
        fs::copy("/bin/busybox", bin.join("busybox")).expect("busybox-static is installed");
        for applet in ["sh", "cat", "sleep", "echo", "true"] {
            symlink("busybox", bin.join(applet)).expect("links can be made");
        }
        let spec = Command::new(runtime()).args(["spec", "--bundle"]).arg(shim.bundle()).status();
        assert!(spec.expect("tare-runtime is built").success());
        shim.configure(|config| {
            config["process"]["terminal"] = json!(false);
            config["process"]["args"] = json!(["sh", "-c", script]);
            config["linux"]["cgroupsPath"] = json!(format!("/{}/{}", shim.namespace, shim.id));
        });
        shim
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Changes the bundle's configuration.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut Value)) {
        let name = self.bundle().join("config.json");
        let text = fs::read_to_string(&name).expect("it was written");
        let mut config = serde_json::from_str(&text).expect("it is JSON");
        change(&mut config);
        fs::write(&name, config.to_string()).expect("it can be written");
    }

    /// The program as containerd starts it.
    pub(crate) fn command(&self, id: &str, action: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_containerd-shim-tare-v2"));
        command
            .args(["-namespace", &self.namespace, "-address", "/no/containerd.sock"])
            .args(["-id", id, action])
            .env("TTRPC_ADDRESS", self.bundle().join("events.sock"))
            .env_remove("MAX_SHIM_VERSION")
            .current_dir(self.bundle())
            .stdin(Stdio::null());
        command
    }

    /// The address that `start` answers with.
    pub(crate) fn start(&self) -> String {
        let output = self.command(&self.id, "start").output().expect("the shim can be started");
        success(output)
    }

    /// Starts the shim and connects to it.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(&self.start()).expect("it listens")
    }

    /// The request that makes the container, without streams.
    pub(crate) fn request(&self) -> CreateTaskRequest {
        let mut request = CreateTaskRequest::new();
        request.id.clone_from(&self.id);
        request.bundle = self.bundle().display().to_string();
        request
    }

    /// Makes and starts the container.
    pub(crate) fn run(&self, task: &TaskClient, request: &CreateTaskRequest) -> u32 {
        task.create(patience(), request).expect("it can be created");
        let mut start = StartRequest::new();
        start.id.clone_from(&self.id);
        task.start(patience(), &start).expect("it can be started").pid
    }

    /// Waits for the container's end.
    pub(crate) fn wait(&self, task: &TaskClient) -> WaitResponse {
        let mut wait = WaitRequest::new();
        wait.id.clone_from(&self.id);
        task.wait(patience(), &wait).expect("it ends")
    }

    /// The serving processes.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let entries = fs::read_dir("/proc").expect("/proc is mounted").flatten();
        let ours = |entry: fs::DirEntry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let words: Vec<_> = line.split(|byte| *byte == 0).collect();
            words.contains(&self.namespace.as_bytes()).then_some(pid)
        };
        entries.filter_map(ours).collect()
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.processes().is_empty() && Instant::now() < deadline {
            self.processes().into_iter().for_each(kill);
            std::thread::sleep(Duration::from_millis(5));
        }
        for id in [&self.id[..], "other"] {
            let _ = self.command(id, "delete").output();
        }
        let _ = fs::remove_dir_all(Path::new("/run/containerd/tare").join(&self.namespace));
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let _ = fs::remove_dir(hierarchy.path().join(&self.namespace));
        }
    }
}

fn runtime() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_containerd-shim-tare-v2")).with_file_name("tare-runtime")
}

/// For one call.
pub(crate) fn patience() -> Context {
    with_duration(Duration::from_secs(20))
}

pub(crate) fn kill(pid: u32) {
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
}

/// Standard output of a command that succeeded.
pub(crate) fn success(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it is UTF-8")
}

/// The code by which a call was refused.
pub(crate) fn code<T: std::fmt::Debug>(result: ttrpc::Result<T>) -> Code {
    match result {
        Err(ttrpc::Error::RpcStatus(status)) => status.code(),
        other => panic!("not refused: {other:?}"),
    }
}

/// Asks until it is so, twenty seconds long.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !so() {
        assert!(Instant::now() < deadline, "not within twenty seconds: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
