//! What no command of containerd asks for, asked of a shim without containerd: by the client of its protocol.

#![allow(clippy::disallowed_methods, reason = "a test is a program: it starts others")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use containerd_shim_protos::TaskClient;
use containerd_shim_protos::api::{
    CreateTaskRequest, DeleteRequest, KillRequest, ShutdownRequest, StartRequest, WaitRequest,
};
use containerd_shim_protos::sandbox_api::{
    CreateSandboxRequest, PlatformRequest, SandboxStatusRequest, ShutdownSandboxRequest,
    StartSandboxRequest, StopSandboxRequest, WaitSandboxRequest,
};
use containerd_shim_protos::sandbox_sync::SandboxClient;
use containerd_shim_protos::ttrpc::Client;
use containerd_shim_protos::ttrpc::context::{self, Context};

const ID: &str = "served";

/// A shim that serves a bundle, for a containerd that hears nothing of it.
struct Served {
    folder: tempfile::TempDir,
    namespace: String,
    client: Client,
}

impl Served {
    fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let bundle = folder.path().join(ID);
        fs::create_dir(&bundle).expect("a folder can be made");
        fs::write(bundle.join("config.json"), config).expect("a file can be written");
        let name = folder.path().file_name().expect("it has a name").to_string_lossy();
        let namespace = format!("served{}", name.replace('.', "-"));
        let address = start(&bundle, &namespace);
        let client = Client::connect(&address).expect("the shim listens");
        Self { folder, namespace, client }
    }

    fn bundle(&self) -> PathBuf {
        self.folder.path().join(ID)
    }

    fn task(&self) -> TaskClient {
        TaskClient::new(self.client.clone())
    }

    fn sandbox(&self) -> SandboxClient {
        SandboxClient::new(self.client.clone())
    }

    fn is_over(&self) -> bool {
        let address = fs::read_to_string(self.bundle().join("address")).expect("it is there");
        !Path::new(address.trim_start_matches("unix://")).exists()
    }
}

impl Drop for Served {
    /// A shim that was left behind by a failure ends with its container.
    fn drop(&mut self) {
        let mut kill = KillRequest::new();
        (kill.id, kill.signal) = (ID.into(), 9);
        let _ = self.task().kill(soon(), &kill);
        let _ = self.task().delete(soon(), &named(DeleteRequest::new()));
        let _ = self.sandbox().shutdown_sandbox(soon(), &ShutdownSandboxRequest::new());
        let _ = self.task().shutdown(soon(), &ShutdownRequest::new());
        let _ = fs::remove_dir_all(Path::new("/run/containerd/tare").join(&self.namespace));
    }
}

/// The `start` command; the address that it answers with.
fn start(bundle: &Path, namespace: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_containerd-shim-tare-v2"))
        .args(["-namespace", namespace, "-id", ID, "-address", "/no/such/containerd", "start"])
        .env("TTRPC_ADDRESS", "/no/such/containerd.ttrpc")
        .current_dir(bundle)
        .stdin(Stdio::null())
        .output()
        .expect("start the shim");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("an address is text")
}

fn soon() -> Context {
    context::with_timeout(Duration::from_secs(20).as_nanos() as i64)
}

/// A request about the container.
fn named<M: WithId>(mut message: M) -> M {
    message.set(ID);
    message
}

trait WithId {
    fn set(&mut self, id: &str);
}

macro_rules! with_id {
    ($($message:ident . $field:ident),* $(,)?) => {
        $(impl WithId for $message {
            fn set(&mut self, id: &str) {
                self.$field = id.to_owned();
            }
        })*
    };
}

with_id!(
    DeleteRequest.id,
    StartRequest.id,
    WaitRequest.id,
    CreateSandboxRequest.sandbox_id,
    StartSandboxRequest.sandbox_id,
    SandboxStatusRequest.sandbox_id,
    StopSandboxRequest.sandbox_id,
    WaitSandboxRequest.sandbox_id,
);

fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !so() {
        assert!(Instant::now() < deadline, "not within twenty seconds: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_sandbox_is_created_waited_for_and_shut_down() {
    let served = Served::new("{}");
    let sandbox = served.sandbox();
    let early = sandbox.start_sandbox(soon(), &named(StartSandboxRequest::new()));
    assert!(early.unwrap_err().to_string().contains("does not exist"));
    sandbox.create_sandbox(soon(), &named(CreateSandboxRequest::new())).unwrap();
    let started = sandbox.start_sandbox(soon(), &named(StartSandboxRequest::new())).unwrap();
    assert!(Path::new(&format!("/proc/{}", started.pid)).exists());
    let platform = sandbox.platform(soon(), &PlatformRequest::new()).unwrap().platform;
    assert_eq!(platform.os, "linux");
    let status = sandbox.sandbox_status(soon(), &named(SandboxStatusRequest::new())).unwrap();
    assert_eq!(status.state, "SANDBOX_READY");

    // It needs no container to stay.
    served.task().shutdown(soon(), &ShutdownRequest::new()).unwrap();
    let waiter = SandboxClient::new(served.client.clone());
    let waits =
        std::thread::spawn(move || waiter.wait_sandbox(soon(), &named(WaitSandboxRequest::new())));
    sandbox.stop_sandbox(soon(), &named(StopSandboxRequest::new())).unwrap();
    assert_eq!(waits.join().unwrap().unwrap().exit_status, 0);
    assert!(!served.is_over());
    sandbox.shutdown_sandbox(soon(), &ShutdownSandboxRequest::new()).unwrap();
    until("the shim ends", || served.is_over());
}

/// A container of busybox, whose root is made here.
fn config(script: &str) -> String {
    let root = tempfile::tempdir().expect("a temporary folder can be made").keep();
    fs::create_dir_all(root.join("bin")).expect("a folder can be made");
    for folder in ["proc", "dev"] {
        fs::create_dir(root.join(folder)).expect("a folder can be made");
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
    serde_json::json!({
        "ociVersion": "1.0.2",
        "root": { "path": root },
        "process": {
            "terminal": true,
            "user": { "uid": 0, "gid": 0 },
            "args": ["/bin/busybox", "sh", "-c", script],
            "cwd": "/",
        },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs" },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["newinstance", "ptmxmode=0666"] },
        ],
        "linux": { "namespaces": [{ "type": "pid" }, { "type": "mount" }] },
    })
    .to_string()
}

#[test]
fn a_terminals_output_goes_to_a_logging_program() {
    let config = config("echo on $(/bin/busybox tty); exit 3");
    let root = serde_json::from_str::<serde_json::Value>(&config).unwrap()["root"]["path"].clone();
    let served = Served::new(&config);
    let log = served.folder.path().join("log");
    let program = served.folder.path().join("program");
    fs::write(&program, format!("#!/bin/sh\necho x >&5\nexec cat <&3 >{}\n", log.display()))
        .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();

    let task = served.task();
    let mut create = CreateTaskRequest::new();
    create.id = ID.into();
    create.bundle = served.bundle().display().to_string();
    create.terminal = true;
    create.stdout = format!("binary://{}", program.display());
    assert_ne!(task.create(soon(), &create).unwrap().pid, 0);
    task.start(soon(), &named(StartRequest::new())).unwrap();
    assert_eq!(task.wait(soon(), &named(WaitRequest::new())).unwrap().exit_status, 3);
    assert_eq!(task.delete(soon(), &named(DeleteRequest::new())).unwrap().exit_status, 3);
    // By now the program has written all.
    let logged = fs::read_to_string(&log).unwrap();
    assert!(logged.starts_with("on /dev/"), "{logged:?}");
    task.shutdown(soon(), &ShutdownRequest::new()).unwrap();
    until("the shim ends", || served.is_over());
    fs::remove_dir_all(root.as_str().unwrap()).unwrap();
}
