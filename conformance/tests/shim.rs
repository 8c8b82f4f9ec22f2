//! containerd-shim-tare-v2 under a real containerd, and the same under containerd's own shim where that
//! can do it.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test is a program: it reads the environment, and shows a daemon's log when it fails"
)]

#[path = "shim/checkpoint.rs"]
mod checkpoint;
mod containerd;
#[path = "shim/load.rs"]
mod load;
#[path = "shim/logging.rs"]
mod logging;
#[path = "shim/oom.rs"]
mod oom;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use containerd::{Containerd, Events, RUNC, TARE, is_alive, processes, text, until};

/// A command's exit code, output and messages.
#[track_caller]
fn check(output: &Output, code: i32, out: &str, err: &str) {
    let got = (output.status.code(), text(&output.stdout), text(&output.stderr));
    assert_eq!(got, (Some(code), out.to_owned(), err.to_owned()));
}

/// Output, messages and exit code of short containers, which leave nothing.
fn short_containers(runtime: &str) {
    let containerd = Containerd::new();
    let run =
        |id: &str, script: &str| containerd.run(runtime, &["--rm"], id, &["/bin/sh", "-c", script]);
    check(&run("one", "echo out; echo err >&2"), 0, "out\n", "err\n");
    check(&run("two", "exit 7"), 7, "", "");
    let many = run("four", "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done");
    let printed = text(&many.stdout).lines().count();
    // containerd's own shim, on a busy machine, loses the end of what a short container prints.
    assert!(printed == 20_000 || runtime != TARE && printed > 0, "{printed} lines");
    let missing = containerd.run(runtime, &["--rm"], "five", &["/no/such/program"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("/no/such/program"), "{}", text(&missing.stderr));
    containerd.assert_clean();
}

#[test]
fn short_containers_of_ours() {
    short_containers(TARE);
}

#[test]
fn short_containers_of_containerds_own() {
    short_containers(RUNC);
}

/// A container in the background: exec, ps, pause, resume, kill, delete.
fn long_container(runtime: &str) {
    let containerd = Containerd::new();
    containerd.detach(runtime, "long", &["/bin/sleep", "1000"]);
    let (pid, status) = containerd.task("long").expect("it is there");
    assert_eq!(status, "RUNNING");

    let exec = |id: &str, script: &str| {
        containerd.ctr(&["task", "exec", "--exec-id", id, "long", "/bin/sh", "-c", script])
    };
    check(&exec("a", "echo out; echo err >&2; exit 5"), 5, "out\n", "err\n");
    check(&exec("b", "kill -15 $$"), 143, "", "");
    let missing = containerd.ctr(&["task", "exec", "--exec-id", "c", "long", "/no/such"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("/no/such"), "{}", text(&missing.stderr));
    assert!(containerd.ok(&["task", "ps", "long"]).contains(&pid.to_string()));

    containerd.ok(&["task", "pause", "long"]);
    assert_eq!(containerd.task("long").expect("it is there").1, "PAUSED");
    assert!(!containerd.ctr(&["task", "pause", "long"]).status.success());
    containerd.ok(&["task", "resume", "long"]);
    assert_eq!(containerd.task("long").expect("it is there").1, "RUNNING");

    assert!(!containerd.ctr(&["task", "delete", "long"]).status.success(), "it runs");
    containerd.ok(&["task", "kill", "-s", "KILL", "long"]);
    containerd.wait_for("long", "STOPPED");
    assert!(!is_alive(pid));
    let deleted = containerd.ctr(&["task", "delete", "long"]);
    assert!(text(&deleted.stderr).contains("137"), "{}", text(&deleted.stderr));
    containerd.ok(&["container", "delete", "long"]);
    containerd.assert_clean();
}

#[test]
fn a_long_container_of_ours() {
    long_container(TARE);
}

#[test]
fn a_long_container_of_containerds_own() {
    long_container(RUNC);
}

#[test]
fn the_root_comes_from_any_snapshotter() {
    let containerd = Containerd::new();
    for snapshotter in ["overlayfs", "native"] {
        containerd.import(snapshotter);
        let flags = ["--rm", "--snapshotter", snapshotter];
        let script = "echo written > /file && cat /file";
        let output = containerd.run(TARE, &flags, snapshotter, &["/bin/sh", "-c", script]);
        check(&output, 0, "written\n", "");
        let read_only = containerd.run(
            TARE,
            &["--rm", "--read-only", "--snapshotter", snapshotter],
            "read-only",
            &["/bin/sh", "-c", "! touch /file 2>/dev/null"],
        );
        check(&read_only, 0, "", "");
    }
    containerd.assert_clean();
}

#[test]
fn input_arrives_and_ends() {
    let containerd = Containerd::new();
    containerd.detach(TARE, "long", &["/bin/sleep", "1000"]);
    let mut exec = containerd
        .command(&["task", "exec", "--exec-id", "cat", "long", "/bin/cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = exec.stdin.take().unwrap();
    let mut output = BufReader::new(exec.stdout.take().unwrap());
    for word in ["one\n", "two\n"] {
        input.write_all(word.as_bytes()).unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, word);
    }
    drop(input);
    ends(&mut exec);
}

/// A short input has ended before `Create` is answered; ctr only tells of an end that comes later. So nothing is
/// taken of it before there is a process.
#[test]
fn a_short_input_ends_too() {
    let containerd = Containerd::new();
    for round in 0..5 {
        let image = containerd.image();
        let id = format!("short-{round}");
        let mut run = containerd
            .command(&["run", "--rm", "--runtime", TARE, &image, &id, "/bin/cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        run.stdin.take().unwrap().write_all(b"short\n").unwrap();
        ends(&mut run);
        assert_eq!(text(&run.wait_with_output().unwrap().stdout), "short\n");
    }
    containerd.assert_clean();
}

/// Waits until a client has ended well; one whose input does not end is killed.
#[track_caller]
fn ends(client: &mut Child) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = loop {
        match client.try_wait().expect("it can be waited for") {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                client.kill().expect("it can be killed");
                panic!("the input's end does not arrive");
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    assert_eq!(status.code(), Some(0));
}

/// What an exec leaves behind holds its output open: the reader sees the end when the exec is deleted.
#[test]
fn an_execs_output_ends_with_it() {
    let containerd = Containerd::new();
    containerd.detach(TARE, "long", &["/bin/sleep", "1000"]);
    let script = "sleep 1000 & echo parted; exit 4";
    let exec = containerd
        .command(&["task", "exec", "--exec-id", "e", "long", "/bin/sh", "-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check(&exec.wait_with_output().unwrap(), 4, "parted\n", "");
    let script = "i=0; while [ $i -lt 40000 ]; do echo line $i; i=$((i+1)); done";
    let many = ["task", "exec", "--exec-id", "m", "long", "/bin/sh", "-c", script];
    assert_eq!(containerd.ok(&many).lines().count(), 40_000);
}

#[test]
fn a_terminal_is_one() {
    let containerd = Containerd::new();
    let ctr = format!(
        "ctr -a {} -n {} run --rm -t --runtime {TARE} {} term /bin/sh -c 'tty; echo ready; read x; echo got $x; exit 3'",
        containerd.path("containerd.sock").display(),
        containerd.namespace,
        containerd.image(),
    );
    let mut script = Command::new("script")
        .args(["-qec", &ctr, "/dev/null"])
        .env("PATH", containerd.path_env())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script is installed");
    let mut input = script.stdin.take().unwrap();
    let mut seen = String::new();
    for line in BufReader::new(script.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.contains("ready") {
            input.write_all(b"typed\n").unwrap();
        }
        seen.push_str(&line);
        seen.push('\n');
    }
    assert!(seen.contains("/dev/pts/0") || seen.contains("/dev/console"), "{seen}");
    assert!(seen.contains("got typed"), "{seen}");
    assert_eq!(script.wait().unwrap().code(), Some(3), "{seen}");
    containerd.assert_clean();
}

#[test]
fn a_terminal_left_to_others_is_given_up() {
    let containerd = Containerd::new();
    containerd.detach(TARE, "long", &["/bin/sleep", "1000"]);
    let ctr = format!(
        "ctr -a {} -n {} task exec -t --exec-id e long /bin/sh -c 'sleep 1000 & echo parted; exit 6'",
        containerd.path("containerd.sock").display(),
        containerd.namespace,
    );
    let mut script = Command::new("script")
        .args(["-qec", &ctr, "/dev/null"])
        .env("PATH", containerd.path_env())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script is installed");
    // Its input must not end before the command has.
    let _input = script.stdin.take();
    let mut seen = String::new();
    std::io::Read::read_to_string(&mut script.stdout.take().unwrap(), &mut seen).unwrap();
    assert!(seen.contains("parted"), "{seen}");
    assert_eq!(script.wait().unwrap().code(), Some(6), "{seen}");
}

#[test]
fn a_log_file_gets_the_output() {
    let containerd = Containerd::new();
    let log = containerd.path("output");
    let uri = format!("file://{}", log.display());
    let script = "echo out; echo err >&2; sleep 1000";
    let flags = ["-d", "--log-uri", &uri];
    let output = containerd.run(TARE, &flags, "logged", &["/bin/sh", "-c", script]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    until("both lines are there", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.contains("out\n") && text.contains("err\n")
    });
    let uri = "npipe:///log";
    let unknown = containerd.run(TARE, &["-d", "--log-uri", uri], "no", &["true"]);
    assert!(text(&unknown.stderr).contains("npipe"), "{}", text(&unknown.stderr));
}

#[test]
fn events_are_told_in_order() {
    let containerd = Containerd::new();
    let events = Events::listen(&containerd);
    containerd.run(TARE, &["--rm"], "last", &["/bin/true"]);
    until("the end is told", || events.of("last").contains(&"/tasks/delete".to_owned()));
    assert_eq!(
        events.of("last"),
        ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]
    );
}

#[test]
fn a_killed_shim_takes_its_container_with_it() {
    let containerd = Containerd::new();
    containerd.detach(TARE, "orphan", &["/bin/sleep", "1000"]);
    let (pid, _) = containerd.task("orphan").unwrap();
    let [shim] = containerd.shims()[..] else { panic!("one shim: {:?}", containerd.shims()) };
    assert!(Command::new("kill").args(["-9", &shim.to_string()]).status().unwrap().success());
    until("the container ends", || !is_alive(pid));
    containerd.ctr(&["task", "delete", "orphan"]);
    containerd.ok(&["container", "delete", "orphan"]);
    containerd.assert_clean();
    // The name is free again.
    let again = containerd.run(TARE, &["--rm"], "orphan", &["/bin/echo", "again"]);
    check(&again, 0, "again\n", "");
}

#[test]
fn a_killed_container_is_told_and_deleted() {
    let containerd = Containerd::new();
    containerd.detach(TARE, "killed", &["/bin/sleep", "1000"]);
    let (pid, _) = containerd.task("killed").unwrap();
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    containerd.wait_for("killed", "STOPPED");
    let deleted = containerd.ctr(&["task", "delete", "killed"]);
    assert!(text(&deleted.stderr).contains("137"), "{}", text(&deleted.stderr));
    containerd.ok(&["container", "delete", "killed"]);
    containerd.assert_clean();
}

#[test]
fn containers_survive_a_containerd() {
    let mut containerd = Containerd::new();
    containerd.detach(TARE, "stays", &["/bin/sleep", "1000"]);
    containerd.detach(TARE, "ends", &["/bin/sleep", "1000"]);
    let (stays, ends) = (containerd.task("stays").unwrap().0, containerd.task("ends").unwrap().0);
    containerd.stop();
    assert!(is_alive(stays) && containerd.shims().len() == 2);
    assert!(Command::new("kill").args(["-15", &ends.to_string()]).status().unwrap().success());
    assert!(Command::new("kill").args(["-9", &ends.to_string()]).status().unwrap().success());
    until("it ends", || !is_alive(ends));
    containerd.start();
    assert_eq!(containerd.task("stays"), Some((stays, "RUNNING".to_owned())));
    assert_eq!(containerd.task("ends").unwrap().1, "STOPPED");
    let deleted = containerd.ctr(&["task", "delete", "ends"]);
    assert!(text(&deleted.stderr).contains("137"), "{}", text(&deleted.stderr));
    let exec = ["task", "exec", "--exec-id", "e", "stays", "/bin/echo", "still here"];
    assert_eq!(containerd.ok(&exec), "still here");
    containerd.ok(&["task", "delete", "-f", "stays"]);
    containerd.ok(&["container", "delete", "stays", "ends"]);
    containerd.assert_clean();
}

#[test]
fn what_shares_the_hosts_pids_ends_with_the_first_process() {
    let containerd = Containerd::new();
    let mark = format!("{}", 100_000 + std::process::id());
    let script = format!("sleep {mark} & sleep 1000");
    let namespace = format!("pid:/proc/{}/ns/pid", std::process::id());
    let flags = ["-d", "--null-io", "--with-ns", &namespace];
    let output = containerd.run(TARE, &flags, "shared", &["/bin/sh", "-c", &script]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let stray = || processes().any(|(_, line)| line.contains(&mark) && line[0].ends_with("sleep"));
    until("the stray begins", stray);
    let (pid, _) = containerd.task("shared").unwrap();
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    until("the stray ends", || !stray());
    containerd.ok(&["task", "delete", "shared"]);
    containerd.ok(&["container", "delete", "shared"]);
    containerd.assert_clean();
}

#[test]
fn another_runtime_does_as_well() {
    let mut containerd = Containerd::new();
    containerd.shadow_runc_shim();
    containerd.stop();
    containerd.start();
    let runc = Command::new("sh").args(["-c", "command -v runc"]).output().unwrap();
    let runc = text(&runc.stdout).trim().to_owned();
    let flags = ["--rm", "--runc-binary", &runc];
    let script = "echo by runc; exit 4";
    check(&containerd.run(RUNC, &flags, "a", &["/bin/sh", "-c", script]), 4, "by runc\n", "");
    let flags = ["--rm", "--runc-binary", "/no/such/runtime"];
    let missing = containerd.run(RUNC, &flags, "b", &["/bin/true"]);
    assert!(text(&missing.stderr).contains("/no/such/runtime"), "{}", text(&missing.stderr));
    containerd.assert_clean();
}

#[test]
fn many_at_once() {
    let containerd = Containerd::new();
    let image = containerd.image();
    let children: Vec<_> = (0..12)
        .map(|number| {
            let id = format!("many-{number}");
            let args = ["run", "--rm", "--runtime", TARE, &image, &id, "/bin/echo", &id];
            (id.clone(), containerd.command(&args).stdout(Stdio::piped()).spawn().unwrap())
        })
        .collect();
    for (id, child) in children {
        let output = child.wait_with_output().unwrap();
        check(&output, 0, &format!("{id}\n"), "");
    }
    containerd.assert_clean();
}
