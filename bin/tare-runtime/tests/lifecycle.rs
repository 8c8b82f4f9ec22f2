//! A container's life, command by command.

mod support;

use std::fs;

use serde_json::{Value, json};
use support::{Bundle, NOTHING, error, text, until};

#[test]
fn create_start_kill_delete() {
    let bundle = Bundle::new(&["sleep", "600"]);
    bundle.create();
    assert_eq!(bundle.status(), "created");
    bundle.succeed(&["start", "@"]);
    assert_eq!(bundle.status(), "running");
    assert!(bundle.fail(&["start", "@"]).contains("cannot start a container in the running state"));
    assert!(bundle.fail(&["delete", "@"]).contains("not stopped"));
    bundle.succeed(&["kill", "@", "KILL"]);
    bundle.wait_for("stopped");
    assert!(bundle.fail(&["kill", "@"]).contains("container not running"));
    bundle.succeed(&["delete", "@"]);
    assert!(bundle.fail(&["state", "@"]).contains("does not exist"));
    assert_eq!(bundle.leftovers(), NOTHING);
}

#[test]
fn run_passes_the_code_on() {
    for (script, code) in [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 0)] {
        assert_eq!(Bundle::shell(script).run().status.code(), Some(code), "{script}");
    }
    let killed = Bundle::shell("kill -9 $$").with(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "pid");
    });
    assert_eq!(killed.run().status.code(), Some(128 + 9));
    assert_eq!(killed.leftovers(), NOTHING);
}

#[test]
fn signals_are_passed_on() {
    let script = "trap 'exit 9' TERM; touch /tmp/up; while :; do sleep 0.05; done";
    let bundle = Bundle::shell(script).with(|config| config["root"]["readonly"] = json!(false));
    fs::create_dir(bundle.rootfs().join("tmp")).unwrap();
    bundle.write();
    let mut command = bundle.runtime();
    command.arg("run").arg("-b").arg(bundle.directory.path()).arg(&bundle.id);
    let mut child = command.spawn().unwrap();
    until(|| bundle.rootfs().join("tmp/up").exists(), "the container runs");
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn list_names_containers() {
    let bundle = Bundle::new(&["sleep", "600"]);
    assert_eq!(bundle.succeed(&["list", "-q"]), "");
    bundle.create();
    assert_eq!(bundle.succeed(&["list", "-q"]), format!("{}\n", bundle.id));
    let list: Value = serde_json::from_str(&bundle.succeed(&["list", "-f", "json"])).unwrap();
    assert_eq!(list[0]["status"], "created");
    let table = bundle.succeed(&["list"]);
    assert!(table.starts_with("ID "), "{table}");
    assert!(table.contains("created"), "{table}");
}

#[test]
fn ids_are_exclusive_and_checked() {
    let bundle = Bundle::new(&["sleep", "600"]);
    bundle.create();
    assert!(error(&bundle.run()).contains("container with given ID already exists"));
    let path = bundle.directory.path().to_str().unwrap();
    for id in ["../x", "a/b", ".", ""] {
        let output = bundle.runtime().args(["run", "-b", path, "--", id]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{id:?}");
    }
}

#[test]
fn exec_joins_the_container() {
    let bundle = Bundle::new(&["sleep", "600"]);
    bundle.create();
    bundle.succeed(&["start", "@"]);
    let shown = bundle.succeed(&[
        "exec",
        "-u",
        "5:6",
        "-g",
        "7",
        "-e",
        "A=b",
        "--cwd",
        "/bin",
        "@",
        "sh",
        "-c",
        "id -u; id -G; pwd; echo $A; grep NoNew /proc/self/status",
    ]);
    assert_eq!(shown, "5\n6 7\n/bin\nb\nNoNewPrivs:\t1\n");
    let pids = bundle.succeed(&["ps", "-f", "json", "@"]);
    assert_eq!(serde_json::from_str::<Vec<i32>>(&pids).unwrap().len(), 1);
    let code = |args: &[&str]| {
        let mut command = bundle.runtime();
        command.arg("exec").arg(&bundle.id).args(args);
        command.output().unwrap().status.code()
    };
    assert_eq!(code(&["sh", "-c", "exit 5"]), Some(5));
    assert_eq!(code(&["sh", "-c", "kill -15 $$"]), Some(128 + 15));
    bundle.succeed(&["pause", "@"]);
    assert_eq!(bundle.status(), "paused");
    bundle.succeed(&["resume", "@"]);
    assert_eq!(bundle.status(), "running");
}

#[test]
fn a_failed_create_leaves_nothing() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 6] = [
        ("not found in $PATH", |config| config["process"]["args"] = json!(["no-such-program"])),
        ("no file system \"nofs\"", |config| {
            config["mounts"][0] = json!({"destination": "/x", "type": "nofs", "source": "x"});
        }),
        ("error running createRuntime hook #0: /bin/false", |config| {
            config["hooks"] = json!({"createRuntime": [{"path": "/bin/false"}]});
        }),
        ("error running startContainer hook #0: /bin/false", |config| {
            config["hooks"] = json!({"startContainer": [{"path": "/bin/false"}]});
        }),
        ("linux.resources.memory.swappiness", |config| {
            config["linux"]["resources"]["memory"] = json!({"swappiness": 101});
        }),
        ("above the hard limit", |config| {
            config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 2, "hard": 1}]);
        }),
    ];
    for (message, change) in cases {
        let bundle = Bundle::new(&["true"]).with(change);
        let line = error(&bundle.run());
        assert!(line.contains(message), "{line}");
        assert_eq!(bundle.leftovers(), NOTHING, "{message}");
    }
}

#[test]
fn start_tells_why_a_program_cannot_run() {
    let bundle = Bundle::new(&["/bin/text"]);
    let program = bundle.rootfs().join("bin/text");
    fs::write(&program, [0u8; 64]).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&program, mode).unwrap();
    bundle.create();
    assert!(bundle.fail(&["start", "@"]).contains("exec format error"));
    bundle.wait_for("stopped");
}

#[test]
fn errors_reach_the_engines_log() {
    let bundle = Bundle::new(&["true"]);
    let log = bundle.directory.path().join("log");
    let mut command = bundle.runtime();
    command.arg("--log").arg(&log).args(["--log-format", "json", "state", "nobody"]);
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    let entry: Value = serde_json::from_str(fs::read_to_string(log).unwrap().trim()).unwrap();
    assert_eq!(entry["level"], "error");
    assert_eq!(entry["msg"], "container \"nobody\" does not exist");
    assert!(entry["time"].is_string());
}

#[test]
fn hooks_run_at_their_points_with_the_state() {
    let bundle = Bundle::new(&["true"]);
    let log = bundle.directory.path().join("log");
    let note = |point: &str| {
        let script = format!("echo {point} $(cat) >> {}", log.display());
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}])
    };
    let mut hooks = serde_json::Map::new();
    for point in ["poststop", "poststart", "createContainer", "createRuntime", "prestart"] {
        hooks.insert(point.into(), note(point));
    }
    let bundle = bundle.with(|config| config["hooks"] = hooks.into());
    text(&bundle.run(), 0);
    let text = fs::read_to_string(log).unwrap();
    let lines: Vec<(&str, Value)> = text
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(point, state)| (point, serde_json::from_str(state).unwrap()))
        .collect();
    let points: Vec<_> = lines.iter().map(|(point, _)| *point).collect();
    assert_eq!(points, ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]);
    for (point, state) in &lines {
        assert_eq!(state["id"], bundle.id.as_str(), "{point}");
    }
    let statuses: Vec<_> =
        lines.iter().map(|(_, state)| state["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["created", "creating", "creating", "running", "stopped"]);
}

#[test]
fn short_containers_never_hang() {
    let bundle = Bundle::new(&["true"]);
    for _ in 0..100 {
        text(&bundle.run(), 0);
    }
    assert_eq!(bundle.leftovers(), NOTHING);
}
