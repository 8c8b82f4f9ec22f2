//! The shim's commands and its task service, called as containerd calls them.

mod support;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use containerd_shim_protos::TaskClient;
use containerd_shim_protos::api::{
    CloseIORequest, DeleteRequest, DeleteResponse, KillRequest, ShutdownRequest, StateRequest,
    StatsRequest, Status, UpdateTaskRequest, WaitRequest,
};
use containerd_shim_protos::bootstrap_api::{BootstrapParams, BootstrapResult};
use containerd_shim_protos::cgroups::metrics::Metrics;
use containerd_shim_protos::protobuf::Message;
use containerd_shim_protos::protobuf::well_known_types::any::Any;
use containerd_shim_protos::ttrpc::Code;
use containerd_shim_protos::types::introspection::RuntimeInfo;
use serde_json::{Value, json};

use support::{Shim, code, kill, patience, success, until};

fn fifo(folder: &Path, name: &str) -> String {
    let path = folder.join(name);
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo is installed").success());
    path.display().to_string()
}

#[test]
fn start_answers_each_containerd_in_its_way() {
    let shim = Shim::new("true");
    let address = shim.start();
    assert!(address.starts_with("unix:///run/containerd/s/"), "{address}");
    assert_eq!(std::fs::read_to_string(shim.bundle().join("address")).unwrap(), address);

    let json = shim.command(&shim.id, "start").env("MAX_SHIM_VERSION", "3").output().unwrap();
    let json: Value = serde_json::from_str(&success(json)).unwrap();
    assert_eq!(json, json!({ "version": 3, "address": address, "protocol": "ttrpc" }));

    let mut params = BootstrapParams::new();
    params.instance_id.clone_from(&shim.id);
    params.namespace.clone_from(&shim.namespace);
    params.containerd_ttrpc_address = "/no/events.sock".into();
    params.containerd_grpc_address = "/no/containerd.sock".into();
    let mut child = shim
        .command(&shim.id, "start")
        .env_remove("TTRPC_ADDRESS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&params.write_to_bytes().unwrap()).unwrap();
    let answer = child.wait_with_output().unwrap().stdout;
    let answer = BootstrapResult::parse_from_bytes(&answer).unwrap();
    assert_eq!((answer.version, answer.address), (3, address));
    assert_eq!(shim.processes().len(), 1, "one shim for one group");
}

#[test]
fn a_pod_shares_a_shim() {
    let shim = Shim::new("sleep 1000");
    shim.configure(|it| it["annotations"] = json!({ "io.kubernetes.cri.sandbox-id": "pod" }));
    let address = shim.start();
    let other = shim.command("other", "start").output().unwrap();
    assert_eq!(success(other), address);
    let [process] = shim.processes()[..] else { panic!("one process") };
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    assert_eq!(tasks.count(), 1, "one thread");
}

#[test]
fn what_is_missing_is_refused_at_once() {
    let shim = Shim::new("true");
    let mut no_events = shim.command(&shim.id, "start");
    let output = no_events.env_remove("TTRPC_ADDRESS").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("TTRPC_ADDRESS"));
    let escape = shim.command("../escape", "start").output().unwrap();
    assert_eq!(escape.status.code(), Some(1));
    let unknown = shim.command(&shim.id, "dance").output().unwrap();
    assert_eq!(unknown.status.code(), Some(1));
    assert!(shim.processes().is_empty());
}

#[test]
fn info_and_version() {
    let program = env!("CARGO_BIN_EXE_containerd-shim-tare-v2");
    let version = Command::new(program).arg("-v").output().unwrap();
    assert_eq!(
        success(version),
        format!("containerd-shim-tare-v2 {}\n", env!("CARGO_PKG_VERSION"))
    );
    let info = Command::new(program).arg("-info").stdin(Stdio::null()).output().unwrap();
    let info = RuntimeInfo::parse_from_bytes(&info.stdout).unwrap();
    assert_eq!(info.name, "io.containerd.tare.v2");
    assert_eq!(info.version.version, env!("CARGO_PKG_VERSION"));
}

#[test]
fn refusals_have_the_codes_that_containerd_knows() {
    let shim = Shim::new("sleep 1000");
    let client = shim.connect();
    let task = TaskClient::new(client);
    let mut state = StateRequest::new();
    state.id = "nobody".into();
    assert_eq!(code(task.state(patience(), &state)), Code::NOT_FOUND);
    let mut logged = shim.request();
    logged.stdout = "attachablebinary:///bin/cat".into();
    assert_eq!(code(task.create(patience(), &logged)), Code::UNIMPLEMENTED);
    let mut escape = shim.request();
    escape.id = "../escape".into();
    assert_eq!(code(task.create(patience(), &escape)), Code::INVALID_ARGUMENT);

    shim.run(&task, &shim.request());
    assert_eq!(code(task.create(patience(), &shim.request())), Code::ALREADY_EXISTS);
    let mut delete = DeleteRequest::new();
    delete.id.clone_from(&shim.id);
    assert_eq!(code(task.delete(patience(), &delete)), Code::FAILED_PRECONDITION);
    let mut kill = KillRequest::new();
    kill.id.clone_from(&shim.id);
    kill.signal = 9;
    task.kill(patience(), &kill).unwrap();
    assert_eq!(shim.wait(&task).exit_status, 137);
    assert_eq!(code(task.kill(patience(), &kill)), Code::NOT_FOUND);
}

#[test]
fn limits_can_be_changed_and_are_counted() {
    let shim = Shim::new("sleep 1000");
    let task = TaskClient::new(shim.connect());
    shim.run(&task, &shim.request());
    let mut update = UpdateTaskRequest::new();
    update.id.clone_from(&shim.id);
    let mut resources = Any::new();
    resources.type_url = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources".into();
    resources.value = json!({ "memory": { "limit": 64 << 20 } }).to_string().into_bytes();
    update.resources = Some(resources).into();
    task.update(patience(), &update).unwrap();
    let mut stats = StatsRequest::new();
    stats.id.clone_from(&shim.id);
    let stats = task.stats(patience(), &stats).unwrap().stats;
    let (limit, pids) = match stats.type_url.as_str() {
        "io.containerd.cgroups.v1.Metrics" => {
            let metrics = Metrics::parse_from_bytes(&stats.value).unwrap();
            (metrics.memory.usage.limit, metrics.pids.current)
        }
        "io.containerd.cgroups.v2.Metrics" => {
            use containerd_shim_protos::cgroups_v2::metrics::Metrics;
            let metrics = Metrics::parse_from_bytes(&stats.value).unwrap();
            (metrics.memory.usage_limit, metrics.pids.current)
        }
        other => panic!("metrics of the type {other}"),
    };
    assert_eq!(limit, 64 << 20);
    assert!((1..=2).contains(&pids), "{pids}");
}

#[test]
fn streams_outlive_who_reads_and_writes_them() {
    let shim = Shim::new("cat; echo end");
    let task = TaskClient::new(shim.connect());
    let mut request = shim.request();
    request.stdin = fifo(&shim.bundle(), "in");
    request.stdout = fifo(&shim.bundle(), "out");
    let opened = {
        let path = request.stdout.clone();
        std::thread::spawn(move || File::open(path).unwrap())
    };
    shim.run(&task, &request);
    let mut reader = opened.join().unwrap();
    let say = |text: &[u8]| {
        let mut writer = OpenOptions::new().write(true).open(&request.stdin).unwrap();
        writer.write_all(text).unwrap();
    };
    let mut line = [0; 4];
    say(b"one\n");
    reader.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"one\n");
    // Nobody reads, and the first writer has gone: neither is an end.
    drop(reader);
    say(b"two\n");
    let mut reader = File::open(&request.stdout).unwrap();
    reader.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"two\n");
    let mut close = CloseIORequest::new();
    close.id.clone_from(&shim.id);
    close.stdin = true;
    task.close_io(patience(), &close).unwrap();
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "end\n");
    assert_eq!(shim.wait(&task).exit_status, 0);
}

#[test]
fn the_end_is_kept_until_it_is_asked_for() {
    let shim = Shim::new("exit 42");
    let address = shim.start();
    let task = TaskClient::new(containerd_shim_protos::ttrpc::Client::connect(&address).unwrap());
    let pid = shim.run(&task, &shim.request());
    let mut state = StateRequest::new();
    state.id.clone_from(&shim.id);
    until("it has ended", || {
        task.state(patience(), &state).unwrap().status == Status::STOPPED.into()
    });
    // Only containerd ends a shim.
    let [process] = shim.processes()[..] else { panic!("one process") };
    assert!(Command::new("kill").arg(process.to_string()).status().unwrap().success());
    let told = shim.wait(&task);
    assert_eq!(told.exit_status, 42);
    assert!(told.exited_at.seconds > 0);
    let mut delete = DeleteRequest::new();
    delete.id.clone_from(&shim.id);
    let deleted = task.delete(patience(), &delete).unwrap();
    assert_eq!((deleted.pid, deleted.exit_status), (pid, 42));
    assert_eq!(deleted.exited_at, told.exited_at);
    let mut wait = WaitRequest::new();
    wait.id.clone_from(&shim.id);
    assert_eq!(code(task.wait(patience(), &wait)), Code::NOT_FOUND);

    task.shutdown(patience(), &ShutdownRequest::new()).unwrap();
    until("the shim ends", || shim.processes().is_empty());
    assert!(!Path::new(address.trim_start_matches("unix://")).exists(), "its socket goes with it");
}

#[test]
fn delete_cleans_up_after_a_killed_shim() {
    let shim = Shim::new("sleep 1000");
    let address = shim.start();
    let task = TaskClient::new(containerd_shim_protos::ttrpc::Client::connect(&address).unwrap());
    let pid = shim.run(&task, &shim.request());
    let [process] = shim.processes()[..] else { panic!("one process") };
    kill(process);
    until("the shim is dead", || shim.processes().is_empty());
    let deleted = shim.command(&shim.id, "delete").output().unwrap();
    let deleted = DeleteResponse::parse_from_bytes(&deleted.stdout).unwrap();
    assert_eq!((deleted.pid, deleted.exit_status), (pid, 137));
    until("its container is dead", || !Path::new(&format!("/proc/{pid}")).exists());
    let state = Path::new("/run/containerd/tare").join(&shim.namespace).join(&shim.id);
    assert!(!state.exists());
    let again = shim.command(&shim.id, "delete").output().unwrap();
    assert!(again.status.success(), "nothing to do is no error");
    assert!(!Path::new(address.trim_start_matches("unix://")).exists());
    // The name is free for the next.
    shim.connect();
}
