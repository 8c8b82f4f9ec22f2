//! Hooks: where and with what they run, what they are told, and what becomes of a container whose hook
//! fails (runtime-spec, config.md "POSIX-platform Hooks").

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Bundle, NOTHING, error, text};

const POINTS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A hook that runs a shell script with the container's directory as `$1`.
fn hook(bundle: &Bundle, point: &str, script: &str) -> Value {
    let inside = point == "startContainer";
    let (shell, place) = if inside {
        ("/bin/sh".to_owned(), "/".to_owned())
    } else {
        ("/bin/sh".to_owned(), bundle.rootfs().display().to_string())
    };
    json!({"path": shell, "args": ["sh", "-c", script, "hook", place, point]})
}

fn with_hooks(bundle: Bundle, points: &[&str], script: &str) -> Bundle {
    let hooks: serde_json::Map<_, _> = points
        .iter()
        .map(|point| ((*point).to_owned(), json!([hook(&bundle, point, script)])))
        .collect();
    bundle.with(|config| {
        config["hooks"] = hooks.into();
        config["root"]["readonly"] = json!(false);
    })
}

fn written(bundle: &Bundle, name: &str) -> String {
    let path = bundle.rootfs().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn they_run_in_order_and_are_told_the_state() {
    let script = r#"echo $2 >> $1/order; cat > $1/$2.json"#;
    let bundle = with_hooks(Bundle::shell("echo program >> /order"), &POINTS, script);
    text(&bundle.run(), 0);
    let order = written(&bundle, "order");
    let order: Vec<_> = order.lines().filter(|line| *line != "poststart").collect();
    let expected =
        ["prestart", "createRuntime", "createContainer", "startContainer", "program", "poststop"];
    assert_eq!(order, expected, "and poststart while the program runs");
    assert!(written(&bundle, "order").contains("poststart"));
    let status =
        ["created", "creating", "creating", "created", "running", "stopped"].map(str::to_owned);
    for (point, status) in POINTS.iter().zip(status) {
        let told: Value = serde_json::from_str(&written(&bundle, &format!("{point}.json")))
            .unwrap_or_else(|error| panic!("{point}: {error}"));
        assert_eq!(told["status"], status, "{point}");
        assert_eq!(told["id"], bundle.id, "{point}");
        assert_eq!(told["bundle"], bundle.directory.path().to_str().unwrap(), "{point}");
        assert_eq!(told["pid"].as_i64().is_some(), status != "stopped", "{point}: {told}");
    }
}

#[test]
fn one_that_fails_stops_and_cleans_up() {
    for point in POINTS {
        let script = "echo what it says; echo its reason >&2; exit 7";
        let bundle = with_hooks(Bundle::new(&["true"]), &[point], script);
        let output = bundle.run();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        for part in [point, "exit status 7", "what it says", "its reason"] {
            assert!(errors.contains(part), "{point}: {errors}");
        }
        // The program has run by the time that a poststop hook fails.
        assert_eq!(output.status.success(), point == "poststop", "{point}: {errors}");
        assert_eq!(bundle.leftovers(), NOTHING, "{point}");
    }
}

#[test]
fn a_failed_creation_ends_in_the_poststop_hooks() {
    let bundle = Bundle::new(&["true"]);
    let (fails, after) =
        (hook(&bundle, "createRuntime", "exit 1"), hook(&bundle, "poststop", "echo x > $1/after"));
    let bundle = bundle
        .with(|config| config["hooks"] = json!({"createRuntime": [fails], "poststop": [after]}));
    error(&bundle.run());
    assert_eq!(written(&bundle, "after"), "x\n");
}

#[test]
fn one_that_takes_too_long_is_killed() {
    for point in ["createRuntime", "createContainer", "startContainer"] {
        let bundle = Bundle::new(&["true"]);
        let mut slow = hook(&bundle, point, "exec sleep 600");
        slow["timeout"] = json!(1);
        let bundle = bundle.with(|config| config["hooks"] = json!({ point: [slow] }));
        let begin = Instant::now();
        let message = error(&bundle.run());
        assert!(message.contains("ran past specified timeout of 1.0s"), "{message}");
        assert!(begin.elapsed() < Duration::from_secs(30), "{point}");
        assert_eq!(bundle.leftovers(), NOTHING);
    }
}

/// More state than a pipe holds, for a hook that does not read any of it.
#[test]
fn one_that_does_not_read_is_not_waited_for() {
    for (script, read) in [("true", None), ("cat > $1/state.json", Some("state.json"))] {
        let bundle = with_hooks(Bundle::new(&["true"]), &["createRuntime"], script)
            .with(|config| config["annotations"] = json!({"large": "x".repeat(200_000)}));
        text(&bundle.run(), 0);
        if let Some(read) = read {
            let told: Value = serde_json::from_str(&written(&bundle, read)).unwrap();
            assert_eq!(told["annotations"]["large"].as_str().unwrap().len(), 200_000);
        }
    }
}

#[test]
fn places_variables_and_descriptors() {
    let script = r#"{ pwd; echo ${FROM_CALLER-unset}; ls /proc/self/fd | wc -l; } > $1/$2.txt"#;
    let host = ["createRuntime", "createContainer", "poststart", "poststop"];
    let bundle = with_hooks(Bundle::new(&["sleep", "0.2"]), &host, script);
    bundle.write();
    let leaked = fs::File::open("/etc/passwd").unwrap();
    let leaked = rustix::io::dup(&leaked).unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    let output = bundle
        .runtime()
        .env("FROM_CALLER", "set")
        .args(["run", "--bundle"])
        .arg(bundle.directory.path())
        .arg(&bundle.id)
        .output()
        .unwrap();
    text(&output, 0);
    for point in host {
        let (place, variable): (PathBuf, _) = match point {
            "createContainer" => (bundle.rootfs(), "unset"),
            _ => (bundle.directory.path().to_owned(), "set"),
        };
        // Standard streams, and the directory that ls reads.
        let expected = format!("{}\n{variable}\n4\n", place.display());
        assert_eq!(written(&bundle, &format!("{point}.txt")), expected, "{point}");
    }
}

#[test]
fn own_variables_and_the_programs() {
    let bundle = Bundle::new(&["true"]).with(|config| config["root"]["readonly"] = json!(false));
    fs::create_dir(bundle.rootfs().join("out")).unwrap();
    fs::set_permissions(bundle.rootfs().join("out"), fs::Permissions::from_mode(0o777)).unwrap();
    let script = "echo ${A-unset} ${B-unset} ${HOME-unset} > $1/out/$2";
    let mut host = hook(&bundle, "createRuntime", script);
    host["env"] = json!(["B=2"]);
    let inside = hook(&bundle, "startContainer", script);
    let bundle = bundle.with(|config| {
        config["process"]["env"] = json!(["A=1", "PATH=/bin"]);
        config["hooks"] = json!({"createRuntime": [host], "startContainer": [inside]});
    });
    text(&bundle.run(), 0);
    assert_eq!(written(&bundle, "out/createRuntime"), "unset 2 unset\n");
    let inside = written(&bundle, "out/startContainer");
    assert!(inside.starts_with("1 unset /"), "{inside}");
}
