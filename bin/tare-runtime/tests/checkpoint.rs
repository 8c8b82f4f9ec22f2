//! `checkpoint` and `restore`, by a real criu.
//!
//! `TARE_CRIU` names the criu program, without it the one in `PATH` is used. Where criu itself says that
//! it cannot work on this kernel (`criu check`), the tests check instead that this is a clear error.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "the test program is the edge: it is told by the environment which criu to use"
)]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};
use support::{Bundle, NOTHING, until};

/// The program, and whether it can work here.
fn criu() -> &'static (String, bool) {
    static CRIU: OnceLock<(String, bool)> = OnceLock::new();
    CRIU.get_or_init(|| {
        let program = std::env::var("TARE_CRIU").unwrap_or_else(|_| "criu".into());
        let check = Command::new(&program).arg("check").output().expect("criu is installed");
        if !check.status.success() {
            let said = String::from_utf8_lossy(&check.stderr).into_owned();
            eprintln!("CRIU CANNOT WORK HERE, only its refusal is tested: {said}");
        }
        (program, check.status.success())
    })
}

/// A container with a checkpoint directory.
struct Written {
    bundle: Bundle,
}

impl Written {
    /// None when criu cannot work: then its refusal has been checked.
    fn run(script: &str, change: impl FnOnce(&mut Value)) -> Option<Self> {
        let bundle = Bundle::shell(script).with(|config| {
            config["root"]["readonly"] = json!(false);
            change(config);
        });
        fs::create_dir(bundle.rootfs().join("real")).expect("make a directory");
        symlink("/real", bundle.rootfs().join("link")).expect("make a link");
        bundle.write();
        // A stream that is a file of the host's could not be written into an image.
        let mut run = bundle.runtime();
        run.args(["run", "--detach", "--bundle"]).arg(bundle.directory.path()).arg(&bundle.id);
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(run.status().expect("start the runtime").success());
        let made = Self { bundle };
        if criu().1 {
            return Some(made);
        }
        let error = made.bundle.fail(&made.arguments("checkpoint", &[]));
        assert!(error.contains("criu failed"), "{error}");
        assert_eq!(made.bundle.status(), "running");
        None
    }

    fn image(&self) -> PathBuf {
        self.bundle.directory.path().join("image")
    }

    fn arguments(&self, command: &str, more: &[&str]) -> Vec<&'static str> {
        let place = self.bundle.directory.path();
        let image = self.image().display().to_string();
        let mut arguments = vec![
            "--criu".to_owned(),
            criu().0.clone(),
            command.into(),
            "--image-path".into(),
            image,
        ];
        if command == "restore" {
            arguments.extend(["--bundle".into(), place.display().to_string()]);
        }
        arguments.extend(more.iter().map(|&text| text.to_owned()).chain(["@".into()]));
        arguments.into_iter().map(|text| &*text.leak()).collect()
    }

    fn checkpoint(&self, more: &[&str]) {
        self.bundle.succeed(&self.arguments("checkpoint", more));
    }

    fn restore(&self, more: &[&str]) {
        self.bundle.succeed(&self.arguments("restore", &[&["--detach"], more].concat()));
    }

    fn state(&self) -> Value {
        serde_json::from_str(&self.bundle.succeed(&["state", "@"])).expect("JSON")
    }

    /// A number that the container writes to a file of its root.
    fn count(&self) -> u64 {
        let text = fs::read_to_string(self.bundle.rootfs().join("count")).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }
}

const COUNTING: &str = "i=0; while :; do i=$((i+1)); echo $i > /new; busybox mv /new /count; \
                        sleep 0.02; done";

#[test]
fn a_container_goes_on_where_it_was() {
    let Some(it) = Written::run(COUNTING, |_| {}) else { return };
    until(|| it.count() > 20, "it counts");

    it.checkpoint(&[]);
    let written = it.count();
    assert_eq!(it.bundle.leftovers(), NOTHING);
    assert_eq!(fs::metadata(it.image()).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(it.image().join("descriptors.json").exists());
    let again = it.bundle.fail(&["state", "@"]);
    assert!(again.contains("does not exist"), "{again}");

    let pid_file = it.bundle.directory.path().join("pid");
    it.restore(&["--pid-file", pid_file.to_str().unwrap()]);
    until(|| it.count() > written, "it goes on counting");
    let state = it.state();
    assert_eq!(state["status"], "running");
    assert_eq!(fs::read_to_string(pid_file).unwrap(), state["pid"].to_string());
    assert_eq!(it.bundle.succeed(&["exec", "@", "echo", "inside"]), "inside\n");
    let group = fs::read_to_string(format!("/proc/{}/cgroup", state["pid"])).unwrap();
    assert!(group.contains(&format!("/tare-runtime-test-{}", it.bundle.id)), "{group}");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let copy = it.bundle.state_root().join(&it.bundle.id).join("criu-root");
    assert!(!mounts.contains(copy.to_str().unwrap()), "the root's copy is gone");
    assert!(!copy.exists());
}

#[test]
fn leave_running_leaves_it_running() {
    let Some(it) = Written::run(COUNTING, |_| {}) else { return };
    let work = it.bundle.directory.path().join("work");
    it.checkpoint(&["--leave-running", "--work-path", work.to_str().unwrap()]);
    let written = it.count();
    assert_eq!(it.bundle.status(), "running");
    until(|| it.count() > written, "it goes on counting");
    assert!(work.join("dump.log").exists());
}

#[test]
fn a_paused_container_can_be_written_too() {
    let Some(it) = Written::run(COUNTING, |_| {}) else { return };
    it.bundle.succeed(&["pause", "@"]);
    it.checkpoint(&["--leave-running"]);
    assert_eq!(it.bundle.status(), "paused");
    it.checkpoint(&[]);
    assert_eq!(it.bundle.leftovers(), NOTHING);
}

#[test]
fn restore_in_the_foreground_gives_the_exit_code() {
    let script = "while [ ! -e /go ]; do sleep 0.02; done; exit 7";
    let Some(it) = Written::run(script, |_| {}) else { return };
    it.checkpoint(&[]);
    let id = it.bundle.id.clone();
    let arguments = it.arguments("restore", &[]).into_iter().map(|text| match text {
        "@" => id.as_str(),
        text => text,
    });
    let mut restore = it.bundle.runtime();
    restore.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let mut restore = restore.spawn().unwrap();
    let state = it.bundle.state_root().join(&it.bundle.id).join("state.json");
    until(|| state.exists(), "it is back");
    fs::write(it.bundle.rootfs().join("go"), "").unwrap();
    assert_eq!(restore.wait().unwrap().code(), Some(7));
    assert_eq!(it.bundle.leftovers(), NOTHING);
}

#[test]
fn a_run_in_the_foreground_ends_with_its_checkpoint() {
    let Some(it) = Written::run(COUNTING, |_| {}) else { return };
    it.bundle.succeed(&["delete", "--force", "@"]);
    let mut run = it.bundle.runtime();
    run.args(["run", "--bundle"]).arg(it.bundle.directory.path()).arg(&it.bundle.id);
    run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _ = fs::remove_file(it.bundle.rootfs().join("count"));
    let mut run = run.spawn().unwrap();
    until(|| it.count() > 5, "it counts");
    it.checkpoint(&[]);
    assert_eq!(run.wait().unwrap().code(), Some(128 + 9));
    assert_eq!(it.bundle.leftovers(), NOTHING);
}

#[test]
fn bind_mounts_come_back_where_links_lead_and_inside_each_other() {
    let shared = tempfile::tempdir().unwrap();
    fs::create_dir_all(shared.path().join("outer")).unwrap();
    fs::create_dir_all(shared.path().join("inner")).unwrap();
    fs::write(shared.path().join("inner/file"), "from the host").unwrap();
    let Some(it) = Written::run("while :; do sleep 0.05; done", |config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        for (name, place) in [("outer", "/link/outer"), ("inner", "/link/outer/deep/inner")] {
            let source = shared.path().join(name);
            mounts.push(json!({ "destination": place, "source": source, "type": "bind",
                                "options": ["bind"] }));
        }
    }) else {
        return;
    };
    it.checkpoint(&[]);
    fs::remove_dir_all(shared.path().join("outer/deep")).unwrap();
    it.restore(&[]);
    let file = it.bundle.succeed(&["exec", "@", "cat", "/link/outer/deep/inner/file"]);
    assert_eq!(file, "from the host");
}

#[test]
fn hooks_run_again_before_it_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("hook");
    let hook =
        json!([{ "path": "/bin/sh", "args": ["sh", "-c", format!("cat > {}", file.display())] }]);
    let Some(it) = Written::run("while :; do sleep 0.05; done", |config| {
        config["hooks"] = json!({ "createRuntime": hook });
    }) else {
        return;
    };
    it.checkpoint(&[]);
    fs::remove_file(&file).unwrap();
    it.restore(&[]);
    let told: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(told["id"], json!(it.bundle.id));
    assert_eq!(told["pid"], it.state()["pid"]);
}

#[test]
fn a_failing_hook_takes_everything_back() {
    let Some(it) = Written::run("while :; do sleep 0.05; done", |_| {}) else { return };
    it.checkpoint(&[]);
    let mut config = it.bundle.config.clone();
    config["hooks"] = json!({ "prestart": [{ "path": "/bin/false" }] });
    let place = it.bundle.directory.path().join("config.json");
    fs::write(place, config.to_string()).unwrap();
    let error = it.bundle.fail(&it.arguments("restore", &["--detach"]));
    assert!(error.contains("prestart hook") && error.contains("/bin/false"), "{error}");
    assert_eq!(it.bundle.leftovers(), NOTHING);
}

#[test]
fn a_network_namespace_of_another_is_found_again() {
    let space = NetworkSpace::new();
    let Some(it) = Written::run("while :; do sleep 0.05; done", |config| {
        for namespace in config["linux"]["namespaces"].as_array_mut().unwrap() {
            if namespace["type"] == "network" {
                namespace["path"] = json!(space.path());
            }
        }
    }) else {
        return;
    };
    it.checkpoint(&[]);
    it.restore(&[]);
    use std::os::unix::fs::MetadataExt;
    let now = fs::metadata(format!("/proc/{}/ns/net", it.state()["pid"])).unwrap().ino();
    assert_eq!(now, fs::metadata(space.path()).unwrap().ino());
}

/// A named network namespace, deleted in the end.
struct NetworkSpace(String);

impl NetworkSpace {
    fn new() -> Self {
        let name = format!("tare-runtime-{}", std::process::id());
        assert!(Command::new("ip").args(["netns", "add", &name]).status().unwrap().success());
        Self(name)
    }

    fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.0)
    }
}

impl Drop for NetworkSpace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

#[test]
fn what_is_wrong_is_said_and_the_container_goes_on() {
    let bundle = Bundle::shell("while :; do sleep 0.05; done");
    bundle.create();
    let created = bundle.fail(&["checkpoint", "@"]);
    assert!(created.contains("cannot checkpoint a container in the created state"), "{created}");
    bundle.succeed(&["start", "@"]);

    let image = bundle.directory.path().join("image").display().to_string();
    let image = image.as_str();
    let wrong: [(&[&str], &str); 8] = [
        (&["--criu", "/none/criu", "checkpoint", "--image-path", image, "@"], "criu not found"),
        (&["--criu", "/bin/false", "checkpoint", "--image-path", image, "@"], "without an answer"),
        (&["checkpoint", "--manage-cgroups-mode", "other", "@"], "manage-cgroups-mode"),
        (&["checkpoint", "--empty-ns", "pid", "@"], "--empty-ns"),
        (&["checkpoint", "--page-server", "nowhere", "@"], "--page-server"),
        (&["checkpoint", "--parent-path", "/abs", "--image-path", image, "@"], "--parent-path"),
        (&["checkpoint", "--parent-path", "none", "--image-path", image, "@"], "--parent-path"),
        (&["checkpoint", "--lazy-pages", "--status-fd", "99", "@"], "--status-fd"),
    ];
    for (arguments, part) in wrong {
        let error = bundle.fail(arguments);
        assert!(error.contains(part), "{arguments:?}: {error}");
        assert_eq!(bundle.status(), "running");
    }
}

#[test]
fn restore_of_nothing_leaves_nothing() {
    let bundle = Bundle::new(&["true"]);
    bundle.write();
    let place = bundle.directory.path().to_str().unwrap();
    let error = bundle.fail(&[
        "--criu",
        &criu().0,
        "restore",
        "--detach",
        "--image-path",
        "/none",
        "--bundle",
        place,
        "@",
    ]);
    assert!(error.contains("/none"), "{error}");
    assert_eq!(bundle.leftovers(), NOTHING);
}
