//! Small things that users of runc count on.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use serde_json::{Value, json};
use support::{Bundle, NOTHING, error, text};

#[test]
fn a_failed_hook_is_named_by_its_place_and_heard() {
    let script = json!(["sh", "-c", "echo lost >&2; exit 3"]);
    let bundle = Bundle::new(&["true"]).with(|config| {
        let hooks = json!([{ "path": "/bin/true" }, { "path": "/bin/sh", "args": script }]);
        config["hooks"] = json!({ "createRuntime": hooks });
    });
    let message = error(&bundle.run());
    assert!(message.contains("error running createRuntime hook #1: /bin/sh: "), "{message}");
    assert!(message.contains("exit status 3, ") && message.contains("stderr: lost"), "{message}");
}

#[test]
fn a_start_hook_has_the_containers_environment() {
    let script = "test \"$COLOUR\" = red";
    let bundle = Bundle::new(&["true"]).with(|config| {
        config["process"]["env"].as_array_mut().unwrap().push(json!("COLOUR=red"));
        let hook = json!([{ "path": "/bin/sh", "args": ["sh", "-c", script] }]);
        config["hooks"] = json!({ "startContainer": hook });
    });
    text(&bundle.run(), 0);
    let own = bundle.with(|config| {
        config["hooks"]["startContainer"][0]["env"] = json!(["COLOUR=blue"]);
    });
    assert!(error(&own.run()).contains("startContainer hook #0"));
}

#[test]
fn a_missing_program_is_told_in_plain_words() {
    let output = Bundle::new(&["/no/such"]).run();
    assert_eq!(output.status.code(), Some(1));
    let message = error(&output);
    assert!(message.contains("no such file or directory"), "{message}");
    assert!(!message.contains("os error"), "{message}");
}

#[test]
fn a_user_may_stand_where_only_root_can_go() {
    let bundle = Bundle::new(&["true"]).with(|config| {
        config["process"]["cwd"] = json!("/private");
        config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
        config["process"]["capabilities"] = json!({});
    });
    let private = bundle.rootfs().join("private");
    fs::create_dir(&private).unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).unwrap();
    text(&bundle.run(), 0);
    chown(&private, Some(1000), Some(1000)).unwrap();
    text(&bundle.run(), 0);
}

#[test]
fn a_first_configuration_has_a_cgroup_namespace_only_on_v2() {
    let bundle = Bundle::new(&["true"]);
    let namespaces = bundle.config["linux"]["namespaces"].as_array().unwrap();
    let has = namespaces.iter().any(|namespace| namespace["type"] == "cgroup");
    assert_eq!(has, fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap());
}

#[test]
fn debug_lines_are_logruss() {
    let bundle = Bundle::new(&["true"]);
    let output = bundle.runtime().args(["--debug", "list", "-q"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("time=\"") && stderr.contains(" level=debug msg="), "{stderr}");
}

#[test]
fn debug_lines_come_from_both_sides() {
    let bundle = Bundle::new(&["true"]);
    bundle.write();
    let log = bundle.directory.path().join("log");
    let mut command = bundle.runtime();
    command.arg("--log").arg(&log).args(["--log-format", "json", "--debug", "run", "-b"]);
    let output = command.arg(bundle.directory.path()).arg(&bundle.id).output().unwrap();
    assert_eq!(text(&output, 0), "");
    assert!(output.stderr.is_empty(), "{:?}", String::from_utf8_lossy(&output.stderr));
    let lines = fs::read_to_string(log).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["level"] == "debug" && line["time"].is_string()));
    let has = |part: &str| lines.iter().any(|line| line["msg"].as_str().unwrap().contains(part));
    assert!(has("Run(") && has("child process in init()"), "{lines:?}");
}

#[test]
fn without_debug_nothing_is_told() {
    let bundle = Bundle::new(&["true"]);
    assert!(bundle.run().stderr.is_empty());
}

#[test]
fn a_program_without_interpreter_is_told_in_the_containers_own_words() {
    let bundle = Bundle::new(&["/script"]);
    let script = bundle.rootfs().join("script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let output = bundle.run();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(told, "exec /script: no such file or directory\n");
    assert_eq!(output.status.code(), Some(255));
    assert_eq!(bundle.leftovers(), NOTHING);
}

#[test]
fn a_containers_early_hooks_stand_in_its_root() {
    let bundle = Bundle::new(&["cat", "/made"]).with(|config| {
        let hook = json!([{ "path": "/bin/sh", "args": ["sh", "-c", "echo here > made"] }]);
        config["hooks"] = json!({ "createContainer": hook });
    });
    assert_eq!(text(&bundle.run(), 0), "here\n");
}

#[test]
fn wrong_words_end_as_they_end_runc() {
    let bundle = Bundle::new(&["true"]);
    for (words, code, message) in [
        (&["frobnicate", "-h"][..], 3, "No help topic for 'frobnicate'"),
        (&["list", "--frobnicate"], 1, "--frobnicate"),
        (&["kill"], 1, "CONTAINER_ID"),
    ] {
        let output = bundle.runtime().args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(errors.contains(message), "{errors}");
    }
    for (words, named) in [
        (&["-h"][..], "tare-runtime - "),
        (&["kill", "-h"], "tare-runtime kill - "),
        (&["help", "kill"], "tare-runtime kill - "),
        (&["kill", "--help"], "tare-runtime kill - "),
    ] {
        let help = text(&bundle.runtime().args(words).output().unwrap(), 0);
        assert!(help.starts_with(&format!("NAME:\n   {named}")), "{help}");
    }
}

/// Put in the place of runc, it says what runc's users look for.
#[test]
fn in_runcs_place_errors_are_runcs() {
    let bundle = Bundle::new(&["true"]).with(|config| {
        let mount = json!({"destination": "/x", "source": "/nowhere/at/all", "options": ["bind"]});
        config["mounts"].as_array_mut().unwrap().push(mount);
    });
    bundle.write();
    let runc = bundle.directory.path().join("runc");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tare-runtime"), &runc).unwrap();
    let version = std::process::Command::new(&runc).arg("--version").output().unwrap();
    assert!(text(&version, 0).starts_with("runc version "));
    let log = bundle.directory.path().join("log");
    let mut command = std::process::Command::new(runc);
    command.arg("--root").arg(bundle.state_root()).arg("--log").arg(&log);
    let output =
        command.args(["run", "-b"]).arg(bundle.directory.path()).arg("x").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let start = "runc run failed: unable to start container process: error during container init: \
        error mounting /x: ";
    assert!(told.starts_with(start) && told.lines().count() == 1, "{told}");
    assert!(fs::read_to_string(log).unwrap().contains(start));
}

/// Scripts look for these words.
#[test]
fn wrong_cgroups_of_exec_are_told_in_runcs_words() {
    let bundle = Bundle::new(&["sleep", "600"]);
    bundle.create();
    bundle.succeed(&["start", "@"]);
    let mut cases = vec![
        ("..", "bad sub cgroup path: .."),
        ("none", " adding pid to cgroup /sys/fs/cgroup/"),
        ("none", "/none: no such file or directory"),
    ];
    if !fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap() {
        cases.push(("cpu:none", "/none: no such file or directory"));
        cases.push(("memory,nonsense:/", "unknown controller \"nonsense\""));
    }
    for (cgroup, words) in cases {
        let told = bundle.fail_with_any_code(&["exec", "--cgroup", cgroup, "@", "true"]);
        assert!(told.contains(words), "{cgroup}: {told}");
    }
}

#[test]
fn every_command_has_a_man_page() {
    let bundle = Bundle::new(&["true"]);
    let generate = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tare-runtime"));
        command.arg("--generate").args(args).output().unwrap()
    };
    assert!(text(&generate(&["man"]), 0).contains(".TH tare-runtime"));
    assert!(text(&generate(&["bash"]), 0).contains("tare-runtime"));
    let pages = bundle.directory.path().join("pages");
    fs::create_dir(&pages).unwrap();
    text(&generate(&["man", pages.to_str().unwrap()]), 0);
    for command in ["create", "exec", "kill", "run", "update", "checkpoint", "restore"] {
        let page = fs::read_to_string(pages.join(format!("tare-runtime-{command}.1"))).unwrap();
        assert!(page.contains("SYNOPSIS"), "{command}");
    }
    assert_eq!(generate(&["tapestry"]).status.code(), Some(1));
}
