use super::*;

use oci_spec::runtime::{LinuxSchedulerFlag, Process, Spec};

fn spec(text: &str) -> Document<Spec> {
    parse("config.json", text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    parse::<Spec>("config.json", text.as_bytes()).unwrap_err().to_string()
}

/// Each stands in configurations that runc accepts.
#[test]
fn null_and_missing_members_are_zero() {
    for text in [
        r#"{}"#,
        r#"null"#,
        r#"{"ociVersion":null,"mounts":null,"hooks":null,"annotations":null,"linux":null}"#,
        r#"{"linux":{"resources":null,"namespaces":null,"sysctl":null,"seccomp":null}}"#,
        r#"{"linux":{"resources":{"devices":null,"memory":{"limit":null},"unified":null}}}"#,
        r#"{"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":null,"flags":null}}}"#,
        r#"{"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
            {"names":null,"action":"SCMP_ACT_LOG","args":[{"op":"SCMP_CMP_EQ"}]},
            {"names":["x"],"action":"SCMP_ACT_LOG","args":[]}]}}}"#,
        r#"{"linux":{"devices":[{"path":"/dev/x","type":"c","fileMode":null}]}}"#,
        r#"{"process":{"args":["a"],"cwd":"/"}}"#,
        r#"{"process":{"user":null,"cwd":null,"env":null,"rlimits":null,"capabilities":null}}"#,
        r#"{"process":{"capabilities":{"bounding":null}}}"#,
        r#"{"root":{"path":"rootfs","readonly":null}}"#,
        r#"{"mounts":[{"destination":"/x","options":null,"type":null,"source":null}]}"#,
        r#"{"hooks":{"prestart":[{"path":"/x","args":null,"env":null,"timeout":null}]}}"#,
        r#"{"annotations":{"a":null}}"#,
        r#"{"linux":{"netDevices":{"eth0":{}},"timeOffsets":{"boottime":{}}}}"#,
        r#"{"unknown":{"deep":[[[{"a":1.5e300}]]]},"linux":{"unknown":null}}"#,
    ] {
        spec(text);
    }
}

#[test]
fn missing_members_of_a_process() {
    let text = br#"{"args":["a"],"cwd":"/","user":{"additionalGids":null}}"#;
    let process: Document<Process> = parse("process.json", text).unwrap();
    assert_eq!((process.value.user().uid(), process.value.user().gid()), (0, 0));
    assert_eq!(process.value.args().as_deref(), Some(&["a".to_owned()][..]));
}

#[test]
fn names_match_in_any_case() {
    let spec =
        spec(r#"{"OCIVersion":"1.0.0","Linux":{"MaskedPaths":["/x"],"intelrdt":{"closid":"y"}}}"#);
    let linux = spec.value.linux().as_ref().unwrap();
    assert_eq!(spec.value.version(), "1.0.0");
    assert_eq!(linux.masked_paths().as_deref(), Some(&["/x".to_owned()][..]));
    assert_eq!(linux.intel_rdt().as_ref().unwrap().clos_id().as_deref(), Some("y"));
}

#[test]
fn an_error_names_the_member() {
    for (text, path) in [
        (r#"{"process":{"args":"x"}}"#, "process.args: "),
        (r#"{"process":{"args":["a",5]}}"#, "process.args[1]: "),
        (r#"{"linux":{"resources":{"memory":{"limit":"1"}}}}"#, "linux.resources.memory.limit: "),
        (r#"{"linux":{"resources":{"pids":{"limit":1.5}}}}"#, "linux.resources.pids.limit: "),
        (r#"{"linux":{"sysctl":{"a.b":5}}}"#, "linux.sysctl[\"a.b\"]: "),
        (r#"{"linux":{"namespaces":[{"type":"pid"},{"type":"x"}]}}"#, "linux.namespaces[1].type: "),
        (r#"{"linux":{"namespaces":[{"path":"/x"}]}}"#, "linux.namespaces[0].type: missing"),
        (r#"{"process":{"rlimits":[{"type":"RLIMIT_X"}]}}"#, "process.rlimits[0].type: "),
        (r#"{"process":{"user":{"uid":-1}}}"#, "process.user.uid: "),
        (r#"{"process":{"user":{"uid":4294967296}}}"#, "process.user.uid: "),
        (r#"{"process":{"terminal":"yes"}}"#, "process.terminal: "),
        (r#"{"process":[]}"#, "process: "),
        (r#"{"linux":{"devices":{}}}"#, "linux.devices: "),
        (r#"{"hostname":"a","hostname":"b"}"#, "config.json: hostname is given twice"),
        (r#"{"hostname":"a"} x"#, "config.json: trailing"),
        ("", "config.json: EOF"),
        ("[]", "config.json: "),
        ("7", "config.json: "),
    ] {
        let error = refused(text);
        assert!(error.starts_with(path), "{text}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn depth_is_bounded() {
    for deep in ["[".repeat(1 << 20), r#"{"linux":"#.repeat(1 << 16), r#"{"x":["#.repeat(1 << 16)] {
        refused(&deep);
        refused(&format!(r#"{{"annotations":{deep}"#));
    }
}

#[test]
fn unknown_capabilities_are_left_out() {
    let spec = spec(
        r#"{"process":{"capabilities":{"bounding":["CAP_KILL","CAP_NEW","kill","CAP_NEW"],
            "effective":["UNKNOWN_CAP"]}}}"#,
    );
    assert_eq!(spec.unknown_capabilities, ["CAP_NEW", "kill", "UNKNOWN_CAP"]);
    let capabilities = spec.value.process().as_ref().unwrap().capabilities().clone().unwrap();
    assert_eq!(capabilities.bounding().as_ref().unwrap().len(), 1);
    assert_eq!(capabilities.effective().as_ref().unwrap().len(), 0);
}

#[test]
fn spellings() {
    let process: Document<Process> = parse(
        "process.json",
        br#"{"scheduler":{"policy":"SCHED_DEADLINE","flags":["SCHED_FLAG_DL_OVERRUN"]}}"#,
    )
    .unwrap();
    let scheduler = process.value.scheduler().clone().unwrap();
    assert_eq!(scheduler.flags().clone().unwrap(), [LinuxSchedulerFlag::SchedFlagDLOverrun]);
    assert!(spec(r#"{"linux":{"seccomp":{}}}"#).without_default_action);
    assert!(!spec(r#"{"linux":{}}"#).without_default_action);
}
