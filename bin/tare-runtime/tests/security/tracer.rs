//! A container that lies in wait for the process that enters it (CVE-2016-9962).

use std::fs;

use super::support::{error, until};
use super::{capable, python};

/// Looks at every new process's root and directory until it has seen some, and writes down where it
/// found the host's: a runtime that is born in the pid namespace before it joins the mount namespace
/// is caught within a few entries by who holds CAP_SYS_PTRACE.
const WATCH: &str = r#"
import os
known = set(os.listdir('/proc'))
open('/tmp/ready', 'w').close()
while not os.path.exists('/tmp/stop'):
    for pid in os.listdir('/proc'):
        if not pid.isdigit() or pid in known: continue
        for link in ('root', 'cwd'):
            try:
                if os.path.exists(f'/proc/{pid}/{link}/' + MARK.lstrip('/')):
                    open('/tmp/caught', 'w').write(link)
            except OSError: pass
"#;

#[test]
fn no_way_to_the_host_through_a_process_that_enters() {
    let bundle = python("");
    let mark = bundle.directory.path().join("config.json");
    let script = format!("MARK = {mark:?}\n{WATCH}");
    let mut bundle = capable(bundle, &["CAP_SYS_PTRACE"]);
    bundle.config["process"]["args"][2] = script.into();
    bundle.config["root"]["readonly"] = false.into();
    fs::create_dir(bundle.rootfs().join("tmp")).unwrap();
    bundle.create();
    bundle.succeed(&["start", "@"]);
    until(|| bundle.rootfs().join("tmp/ready").exists(), "the watcher watches");
    for _ in 0..60 {
        bundle.succeed(&["exec", "@", "true"]);
    }
    fs::write(bundle.rootfs().join("tmp/stop"), "").unwrap();
    let caught = fs::read_to_string(bundle.rootfs().join("tmp/caught"));
    assert!(caught.is_err(), "the host's files through /proc/<pid>/{}", caught.unwrap());
}

/// The container's end kills what is in its cgroup: another's processes must never be there.
#[test]
fn a_cgroup_with_processes_is_not_taken() {
    let victim = super::Bundle::new(&["sleep", "600"]);
    victim.create();
    victim.succeed(&["start", "@"]);
    let thief = super::Bundle::new(&["true"]).with(|config| {
        config["linux"]["cgroupsPath"] = victim.config["linux"]["cgroupsPath"].clone();
    });
    assert!(error(&thief.run()).contains("is not empty"));
    assert_eq!(victim.status(), "running");
}
