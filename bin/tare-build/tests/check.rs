//! `--check` and `--call`: what is printed, with which code, and that nothing is built.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machine;

use machine::{Machine, Said};
use serde_json::{Value, json};

const DOUBTFUL: &str = "FROM busybox:base AS Base\nWORKDIR app\n";

fn call(machine: &Machine, dockerfile: &str, args: &[&str]) -> Said {
    let said = machine.build(dockerfile, args);
    assert_eq!(machine.names().len(), 1, "something was built");
    said
}

#[test]
fn a_check_prints_what_docker_prints() {
    let machine = Machine::new();
    let said = call(&machine, DOUBTFUL, &["--check"]);
    let expected = "\
Check complete, 2 warnings have been found!

WARNING: StageNameCasing - https://docs.docker.com/go/dockerfile/rule/stage-name-casing/
Stage name 'Base' should be lowercase
ctx/Dockerfile:1
--------------------
   1 | >>> FROM busybox:base AS Base
   2 |     WORKDIR app
   3 |     \n--------------------

WARNING: WorkdirRelativePath - https://docs.docker.com/go/dockerfile/rule/workdir-relative-path/
Relative workdir \"app\" can have unexpected results if the base image changes
ctx/Dockerfile:2
--------------------
   1 |     FROM busybox:base AS Base
   2 | >>> WORKDIR app
   3 |     \n--------------------
";
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(1), expected, ""));
    let fine = call(&machine, "FROM busybox:base\n", &["--check"]);
    let expected = "Check complete, no warnings found.\n";
    assert_eq!((fine.code, fine.out.as_str()), (Some(0), expected));
}

/// No image is pulled for a check; but a name that none can have is told.
#[test]
fn a_base_that_cannot_be() {
    let machine = Machine::new();
    let said = call(&machine, "ARG V\nFROM busybox:$V\n", &["--check"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("Dockerfile:2:6: invalid reference"), "{}", said.err);
    let said = call(&machine, "FROM nobody/has:it\n", &["--check"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
}

#[test]
fn a_check_as_json_and_its_status() {
    let machine = Machine::new();
    let said = call(&machine, DOUBTFUL, &["--call=check,format=json"]);
    let result: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(said.code, Some(1));
    assert_eq!(result["warnings"][1]["ruleName"], "WorkdirRelativePath");
    let place = json!({"ranges": [{"start": {"line": 2}, "end": {"line": 2}}]});
    assert_eq!(result["warnings"][1]["location"], place);
    assert_eq!(result["sources"][0]["filename"], "Dockerfile");
    assert_eq!(call(&machine, DOUBTFUL, &["--call=lint,ignorestatus=true"]).code, Some(0));
    let fine = call(&machine, "FROM busybox:base\n", &["--call=check,format=json"]);
    assert_eq!(serde_json::from_str::<Value>(&fine.out).unwrap()["warnings"], Value::Null);
}

#[test]
fn a_file_that_cannot_be_built_fails_its_check() {
    let machine = Machine::new();
    let broken = "FROM busybox:base AS B\nRNU x\n";
    let said = call(&machine, broken, &["--check"]);
    assert_eq!(said.code, Some(1));
    for words in ["Dockerfile:2", "unknown instruction: RNU", ">>> RNU x", "did you mean RUN"] {
        assert!(said.err.contains(words), "{words}: {}", said.err);
    }
    assert!(said.out.starts_with("Check complete, 1 warning has been found!"), "{}", said.out);
    let said = call(&machine, broken, &["--call=check,format=json"]);
    let result: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(result["buildError"]["location"]["ranges"][0]["start"]["line"], 2);
    // What an image that is not there would set is not known; it is not pulled.
    let unknown = "FROM nowhere.invalid/x\nLABEL a=$JAVA_HOME\nCMD x\n";
    let said = call(&machine, unknown, &["--check"]);
    assert!(said.out.contains("JSONArgsRecommended") && !said.out.contains("UndefinedVar"));
}

#[test]
fn a_build_warns_and_can_be_told_to_refuse() {
    let machine = Machine::new();
    let said = machine.build(DOUBTFUL, &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    for words in ["2 warnings found", " - StageNameCasing: ", "(Dockerfile:1)"] {
        assert!(said.err.contains(words), "{words}: {}", said.err);
    }
    assert!(!machine.build(DOUBTFUL, &["-q"]).err.contains("warning"));
    let strict = "# check=error=true;skip=StageNameCasing\nFROM busybox:base AS B\nWORKDIR x\n";
    let before = machine.names();
    machine.build(strict, &["-t", "app"]).refused(&["WorkdirRelativePath", "--check"]);
    assert_eq!(machine.names(), before);
    let lenient = ["--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all"];
    assert_eq!(machine.build(strict, &lenient).code, Some(0));
}

#[test]
fn an_outline_and_the_targets() {
    let machine = Machine::new();
    let dockerfile = "\
# VERSION the version
ARG VERSION=1
# base starts it
FROM busybox:base AS base
ARG VERSION NONE
RUN --mount=type=secret,id=tok,required --mount=type=ssh --mount=type=cache,target=/c true
# last does the work
FROM base AS last
";
    let said = call(&machine, dockerfile, &["--call=outline"]);
    let expected = "\
TARGET:      last
DESCRIPTION: does the work

BUILD ARG   VALUE   DESCRIPTION
VERSION     1       the version
NONE                \n
SECRET   REQUIRED
tok      true

SSH       REQUIRED
default   \n
";
    assert_eq!((said.code, said.out.as_str()), (Some(0), expected));
    let said = call(&machine, dockerfile, &["--print=outline,format=json"]);
    let outline: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(outline["cache"][0]["ID"], "/c");
    assert_eq!(outline["secrets"][0]["required"], true);
    let said = call(&machine, dockerfile, &["--call=targets"]);
    let expected = "\
TARGET         DESCRIPTION
base           starts it
last (default) does the work
";
    assert_eq!((said.code, said.out.as_str()), (Some(0), expected));
    let said = call(&machine, "", &["--call=subrequests.describe"]);
    assert!(said.out.contains("\noutline              1.0.0   List all"), "{}", said.out);
    assert_eq!(machine.tare_build(&["--call=nope", "ctx"]).code, Some(2));
}
