//! `--progress=rawjson`: BuildKit's status, line by line.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use machine::Machine;
use serde_json::Value;

fn lines(err: &str) -> Vec<Value> {
    err.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

fn all<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter_map(|line| line[kind].as_array()).flatten().collect()
}

#[test]
fn vertexes_start_and_complete_and_logs_are_theirs() {
    let machine = Machine::new();
    let dockerfile = "FROM busybox:base as x\nRUN echo hello\n";
    let said = machine.build(dockerfile, &["--progress=rawjson", "--explain"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let (json, note) = said.err.split_once("1 of 2 steps").unwrap();
    assert!(note.contains("no earlier build"), "{note}");
    let status = lines(json);
    let vertexes = all(&status, "vertexes");
    let run: Vec<_> = vertexes.iter().filter(|it| it["name"] == "[2/2] RUN echo hello").collect();
    assert_eq!(run.len(), 2, "{vertexes:?}");
    assert_eq!(run[0]["digest"], run[1]["digest"]);
    assert!(run[0]["completed"].is_null() && run[1]["completed"].is_string());
    let from = vertexes.iter().find(|it| it["cached"] == true).unwrap();
    assert_eq!(from["name"], "[1/2] FROM busybox:base");
    let logs = all(&status, "logs");
    assert_eq!((&logs[0]["vertex"], &logs[0]["data"]), (&run[0]["digest"], &"aGVsbG8K".into()));
    assert_eq!(all(&status, "statuses")[0]["name"], "no earlier build had this step");
    let warnings = all(&status, "warnings");
    assert_eq!(warnings[0]["range"][0]["start"]["line"], 1, "FromAsCasing: {warnings:?}");
}

#[test]
fn a_failure_is_a_vertex_with_an_error() {
    let machine = Machine::new();
    let mut command = machine.command("tare-build");
    machine.file("Dockerfile", "FROM busybox:base\nRUN false\n");
    let output = command.arg("ctx").env("BUILDKIT_PROGRESS", "rawjson").output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    let status: Vec<Value> = err
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let failed: Vec<_> =
        all(&status, "vertexes").into_iter().filter(|it| it["error"].is_string()).collect();
    assert_eq!(failed.len(), 1, "{err}");
    assert_eq!(failed[0]["name"], "[2/2] RUN false");
}
