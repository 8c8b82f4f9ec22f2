//! One row's session with one runtime: a bundle, a shell script, what it told and what it left.
//!
//! A session has a folder, a state root and a cgroup of its own, and a time limit. After the script the
//! containers that are still there are deleted by force; what is left then is told too, and removed.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cases::Case;
use crate::engine::Engine;
use crate::transcript::Places;

const PRELUDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/as_runc/prelude.sh");
const CONFIG: &str = include_str!("config.json");
/// How long a session may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What a session has told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) lines: Vec<String>,
    /// The arguments of each call of the runtime.
    pub(crate) calls: Vec<Vec<String>>,
    /// The configurations that were used.
    pub(crate) configs: Vec<Value>,
}

/// Where sessions take place.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
    count: AtomicUsize,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("as-runc-").tempdir();
        let folder = folder.expect("a temporary folder can be made");
        let root = folder.path().join("rootfs");
        conformance::busybox_root(&root);
        let look = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/as_runc/look.sh");
        fs::copy(look, root.join("bin/look")).expect("a file can be copied");
        Self { folder, count: AtomicUsize::new(0) }
    }

    pub(crate) fn run(&self, case: &Case, engine: &Engine) -> Told {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let group = format!("as-runc-{}-{number}", std::process::id());
        let session = Session { work: self.folder.path().join(number.to_string()), group, engine };
        session.prepare(case, &self.folder.path().join("rootfs"));
        let told = session.tell(case);
        session.clean_up();
        told
    }
}

impl Drop for Bench {
    /// A cgroup whose processes were just ending could not be removed at once.
    fn drop(&mut self) {
        let own = format!("*/as-runc-{}-*", std::process::id());
        let mut find = Command::new("find");
        find.args(["/sys/fs/cgroup", "-depth", "-type", "d", "-path", &own]);
        let _ = find.args(["-exec", "rmdir", "{}", "+"]).output();
    }
}

struct Session<'e> {
    work: PathBuf,
    /// The name of its cgroup.
    group: String,
    engine: &'e Engine,
}

impl Session<'_> {
    fn prepare(&self, case: &Case, rootfs: &Path) {
        let bundle = self.work.join("bundle");
        fs::create_dir_all(&bundle).expect("a folder can be made");
        let config = CONFIG.replace("CGROUP", &format!("/{}/box", self.group));
        let mut config: Value = serde_json::from_str(&config).expect("it is written well");
        if !case.inside.is_empty() {
            config["process"]["args"] = serde_json::json!(["sh", "-c", case.inside]);
        }
        fs::write(self.work.join("base.json"), config.to_string()).expect("a file can be written");
        let mut copy = Command::new("cp");
        conformance::succeed(copy.arg("-al").arg(rootfs).arg(bundle.join("rootfs")));
        let mut jq = Command::new("jq");
        jq.arg(&case.config).arg(self.work.join("base.json"));
        let config = conformance::succeed(&mut jq).out;
        fs::write(bundle.join("config.json"), config).expect("a file can be written");
    }

    fn tell(&self, case: &Case) -> Told {
        let session = if case.session.is_empty() { "r run box\n" } else { &case.session };
        let script = format!(". {PRELUDE}\n{session}");
        let in_time = self.shell(&script);
        let left = self.left();
        let mut text = read(&self.work.join("transcript"));
        if !in_time {
            text.push_str("[takes too long]\n");
        }
        text.push_str(&left);
        let places = Places { work: &self.work, group: &self.group, program: &self.engine.program };
        Told { lines: places.normalize(&text), calls: self.calls(), configs: self.configs() }
    }

    /// Runs a script whose output is the transcript; whether it ended in time.
    fn shell(&self, script: &str) -> bool {
        let transcript =
            fs::File::create(self.work.join("transcript")).expect("a file can be made");
        let errors = transcript.try_clone().expect("descriptors suffice");
        let mut command = Command::new("bash");
        command.args(["-c", script]).current_dir(&self.work).process_group(0);
        command.env("R", &self.engine.program).env("W", &self.work).env("G", &self.group);
        command.env("PATH", self.path());
        command.env_remove("NOTIFY_SOCKET").env_remove("LISTEN_FDS").env("TERM", "xterm");
        command.stdin(Stdio::null()).stdout(transcript).stderr(errors);
        let mut shell = command.spawn().expect("bash is there");
        let deadline = Instant::now() + LIMIT;
        loop {
            if shell.try_wait().expect("a child can be waited for").is_some() {
                return true;
            }
            if Instant::now() > deadline {
                let group = format!("-{}", shell.id());
                let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
                let _ = shell.wait();
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Programs, first among them the criu that can work here (`TARE_CRIU`, see scripts/lib.sh).
    fn path(&self) -> String {
        let path = std::env::var("PATH").unwrap_or_default();
        let criu = std::env::var("TARE_CRIU").unwrap_or_default();
        if !criu.starts_with('/') {
            return path;
        }
        let programs = self.work.join("programs");
        let made = fs::create_dir(&programs).and_then(|()| symlink(criu, programs.join("criu")));
        made.expect("a link can be made");
        format!("{}:{path}", programs.display())
    }

    /// Deletes the containers that are left by force; then tells what is left of them all the same.
    fn left(&self) -> String {
        let root = self.work.join("state");
        for container in names(&root) {
            let mut delete = Command::new(&self.engine.program);
            delete.arg("--root").arg(&root).args(["delete", "--force", &container]);
            let _ = delete.output();
        }
        // Our filters that are compiled already are no container's.
        let states = names(&root).into_iter().filter(|name| !name.starts_with('@'));
        let states = states.map(|name| format!("left: state {name}\n"));
        let groups = self.groups().into_iter();
        let groups =
            groups.filter(|path| path.parent().is_some_and(|up| up.ends_with(&self.group)));
        let groups = groups.map(|path| format!("left: cgroup {}\n", path.display()));
        let mounts = conformance::mounts_below(&self.work).into_iter();
        let mounts = mounts.map(|path| format!("left: mount {}\n", path.display()));
        states.chain(groups).chain(mounts).collect()
    }

    /// The session's cgroups, those inside first.
    fn groups(&self) -> Vec<PathBuf> {
        let mut find = Command::new("find");
        find.args(["/sys/fs/cgroup", "-depth", "-type", "d", "-path"]);
        let output = find.arg(format!("*/{}*", self.group)).output().expect("find is there");
        String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).collect()
    }

    fn calls(&self) -> Vec<Vec<String>> {
        let calls = read(&self.work.join("calls"));
        calls.lines().map(|line| line.split('\x1f').map(str::to_owned).collect()).collect()
    }

    fn configs(&self) -> Vec<Value> {
        let files = ["bundle/config.json", "bundle/process.json"].map(|name| self.work.join(name));
        files.iter().filter_map(|file| serde_json::from_str(&read(file)).ok()).collect()
    }

    fn clean_up(&self) {
        for group in self.groups() {
            for pid in read(&group.join("cgroup.procs")).lines() {
                let _ = Command::new("kill").args(["-KILL", pid]).output();
            }
            let _ = fs::remove_dir(&group);
        }
        for mount in conformance::mounts_below(&self.work).iter().rev() {
            let _ = Command::new("umount").arg("-l").arg(mount).output();
        }
        let _ = fs::remove_dir_all(&self.work);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A file's text; nothing where there is none.
fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
