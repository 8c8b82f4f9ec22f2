//! A container that lies in wait for the process that enters it (CVE-2016-9962), or looks at one of
//! another container that waits for its start in the same pid namespace.
//!
//! What Linux cannot prevent: who holds CAP_SYS_PTRACE in the host's user namespace reads the memory and
//! the maps of every process in view. So there must be nothing in them, and no way on from them. The
//! numbers of its descriptors are everybody's to list who has its user, but not where they lead.

use std::fs;

use serde_json::json;

use super::support::{Bundle, error, until};
use super::{capable, python};

/// Looks at every process that runs the runtime still, and writes down what it learned of the host: its
/// files by root, directory and descriptors, the caller's environment; without CAP_SYS_PTRACE anything
/// at all. `cmdline` is everybody's to read.
const LOOK: &str = r#"
import os
def entering(pid):
    try: return b'tare-runtime' in open(f'/proc/{pid}/cmdline', 'rb').read()
    except OSError: return False
def look(pid, traces):
    ways = ['root', 'cwd']
    try: ways += [f'fd/{n}/../../../../../../../../..' for n in os.listdir(f'/proc/{pid}/fd')]
    except OSError: pass
    for way in ways:
        try:
            if os.path.exists(f'/proc/{pid}/{way}/' + MARK.lstrip('/')): yield way
        except OSError: pass
    try:
        if b'TARE_SECRET=' in open(f'/proc/{pid}/environ', 'rb').read(): yield 'environ'
    except OSError: pass
    if traces: return
    try:
        os.readlink(f'/proc/{pid}/fd/0')
        if entering(pid): yield 'fd'
    except OSError: pass
    for name in ('maps', 'mem', 'environ', 'auxv', 'syscall'):
        try:
            file = open(f'/proc/{pid}/{name}', 'rb')
            if name != 'mem' and not file.read(): continue
            if entering(pid): yield name
        except OSError: pass
"#;

const WATCH: &str = r#"
known = set(os.listdir('/proc'))
open('/tmp/ready', 'w').close()
seen = 0
while not os.path.exists('/tmp/stop'):
    for pid in os.listdir('/proc'):
        if not pid.isdigit() or pid in known or not entering(pid): continue
        seen += 1
        open('/tmp/some', 'w').close()
        for found in look(pid, TRACES): open('/tmp/caught', 'a').write(found + ' ')
open('/tmp/seen', 'w').write(str(seen))
"#;

/// A bundle that may write to /tmp, and a script that knows a file of the host's.
fn watcher(traces: bool, script: &str) -> Bundle {
    let bundle = python("");
    let mark = bundle.directory.path().join("config.json");
    let traced = if traces { "True" } else { "False" };
    let script = format!("MARK, TRACES = {mark:?}, {traced}\n{LOOK}{script}");
    let mut bundle = if traces { capable(bundle, &["CAP_SYS_PTRACE"]) } else { bundle };
    bundle.config["process"]["args"][2] = script.into();
    bundle.config["root"]["readonly"] = false.into();
    fs::create_dir(bundle.rootfs().join("tmp")).expect("make a directory");
    bundle
}

/// A runtime that is born in the pid namespace before it joins the mount namespace, that keeps a
/// directory of the host's open there, or that can be traced by its user, is caught within a few
/// entries.
#[test]
fn no_way_to_the_host_through_a_process_that_enters() {
    for traces in [true, false] {
        let bundle = watcher(traces, WATCH);
        bundle.create();
        bundle.succeed(&["start", "@"]);
        until(|| bundle.rootfs().join("tmp/ready").exists(), "the watcher watches");
        let some = bundle.rootfs().join("tmp/some");
        for _ in (0..600).take_while(|&entry| entry < 60 || !some.exists()) {
            let mut exec = bundle.runtime();
            exec.env("TARE_SECRET", "1").args(["exec", &bundle.id, "true"]);
            assert!(exec.status().unwrap().success());
        }
        fs::write(bundle.rootfs().join("tmp/stop"), "").unwrap();
        let seen = || fs::read_to_string(bundle.rootfs().join("tmp/seen")).unwrap_or_default();
        until(|| !seen().is_empty(), "the watcher ends");
        assert_ne!(seen(), "0", "the watcher saw nobody enter");
        let caught = fs::read_to_string(bundle.rootfs().join("tmp/caught")).unwrap_or_default();
        assert_eq!(caught, "", "through /proc/<pid>, tracing: {traces}");
    }
}

/// The same, with all the time in the world: a container of the same pod waits for its start.
#[test]
fn no_way_to_the_host_through_a_process_that_waits() {
    for traces in [true, false] {
        let show = "import time\nwhile not os.path.exists('/tmp/look'): time.sleep(0.01)\n\
            found = [(p, w) for p in os.listdir('/proc') if p.isdigit() and p != '1' and entering(p)\n\
            \x20        for w in ['seen', *look(p, TRACES)]]\n\
            open('/tmp/said', 'w').write(' '.join(w for p, w in found) + '.')\n";
        let pod = watcher(traces, show);
        pod.create();
        pod.succeed(&["start", "@"]);
        let state: serde_json::Value = serde_json::from_str(&pod.succeed(&["state", "@"])).unwrap();
        let waiting = Bundle::new(&["true"]).with(|config| {
            let spaces = config["linux"]["namespaces"].as_array_mut().unwrap();
            let pid = spaces.iter_mut().find(|space| space["type"] == "pid").unwrap();
            pid["path"] = json!(format!("/proc/{}/ns/pid", state["pid"]));
        });
        waiting.write();
        let mut create = waiting.runtime();
        create.env("TARE_SECRET", "1").arg("create").arg("-b").arg(waiting.directory.path());
        create.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        assert!(create.arg(&waiting.id).status().unwrap().success());
        fs::write(pod.rootfs().join("tmp/look"), "").unwrap();
        let said = || fs::read_to_string(pod.rootfs().join("tmp/said")).unwrap_or_default();
        until(|| said().ends_with('.'), "it has looked");
        assert_eq!(said(), "seen.", "tracing: {traces}");
    }
}

/// The container's end kills what is in its cgroup: another's processes must never be there.
#[test]
fn a_cgroup_with_processes_is_not_taken() {
    let victim = Bundle::new(&["sleep", "600"]);
    victim.create();
    victim.succeed(&["start", "@"]);
    let thief = Bundle::new(&["true"]).with(|config| {
        config["linux"]["cgroupsPath"] = victim.config["linux"]["cgroupsPath"].clone();
    });
    assert!(error(&thief.run()).contains("is not empty"));
    assert_eq!(victim.status(), "running");
}
