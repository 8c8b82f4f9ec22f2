//! `tare-store serve` under the engines that pull from registries and push to them: containerd, podman,
//! buildah, skopeo.

#![allow(clippy::disallowed_methods, reason = "a test is a program: it reads the environment")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use conformance::{Machine, succeed};

const DOCKERFILE: &str =
    "FROM busybox:base\nRUN echo served > /served\nCMD [\"cat\", \"/served\"]\n";

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// A machine with the image `app`, whose store is served; and the server's address.
fn served() -> (Machine, Running, String) {
    let machine = Machine::new();
    machine.build("app", DOCKERFILE, &[]);
    let mut command = machine.program("tare-store");
    command.args(["serve", "-q", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
    let mut server = command.spawn().expect("tare-store is built");
    let mut address = String::new();
    let printed = server.stdout.take().expect("a pipe");
    BufReader::new(printed).read_line(&mut address).expect("an address");
    (machine, Running(server), address.trim_end().to_owned())
}

/// Fails unless the image that was pushed has app's layers, and runs.
fn runs(machine: &Machine, name: &str) {
    let layers = |image: &str| {
        let config = machine.ok("tare-store", ["inspect", "--config", image]).out;
        let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
        config["rootfs"]["diff_ids"].clone()
    };
    assert_eq!(layers(name), layers("app"), "{name}");
    assert_eq!(machine.ok("tare", ["run", "--rm", name]).out.trim_end(), "served");
}

#[test]
fn podman_buildah_and_skopeo_pull_and_push() {
    let (machine, _server, address) = served();
    let flags = "--storage-driver vfs --root $PWD/storage --runroot $PWD/run";
    machine.sh(&format!(
        "for tool in podman buildah; do
             $tool {flags} pull -q --tls-verify=false {address}/app
             $tool {flags} push -q --tls-verify=false {address}/app docker://{address}/by/$tool:1
             $tool {flags} rmi -f {address}/app
         done
         skopeo copy -q --src-tls-verify=false --dest-tls-verify=false \
             docker://{address}/app docker://{address}/by/skopeo:1"
    ));
    for tool in ["podman", "buildah", "skopeo"] {
        runs(&machine, &format!("by/{tool}:1"));
    }
}

#[test]
fn containerd_pulls_and_pushes() {
    let (machine, _server, address) = served();
    let (config, socket) = (machine.path("containerd.toml"), machine.text("containerd.sock"));
    let text = format!(
        "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = {socket:?}\n",
        machine.text("containerd-root"),
        machine.text("containerd-state"),
    );
    std::fs::write(&config, text).expect("a file can be written");
    let mut command = Command::new("containerd");
    command.arg("--config").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
    let _daemon = Running(command.spawn().expect("containerd is installed"));
    let ctr = |words: &[&str]| {
        let mut command = Command::new("ctr");
        command.args(["-a", &socket, "-n", "served"]).args(words);
        command
    };
    answers(|| ctr(&["version"]).output().is_ok_and(|it| it.status.success()));
    let (name, pushed) = (format!("{address}/app:latest"), format!("{address}/by/containerd:1"));
    succeed(&mut ctr(&["images", "pull", "--plain-http", "--snapshotter", "native", &name]));
    succeed(&mut ctr(&["images", "push", "--plain-http", &pushed, &name]));
    runs(&machine, "by/containerd:1");
    assert!(Path::new(&machine.text("containerd-root")).exists());
}

/// Waits until it is so, twenty seconds long.
fn answers(so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !so() {
        assert!(Instant::now() < deadline, "containerd does not answer");
        std::thread::sleep(Duration::from_millis(50));
    }
}
