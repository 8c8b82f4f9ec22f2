//! A folder of a test's own with a base image as an archive, the two runtimes, and daemons that end with
//! the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use conformance::{busybox_root, mounts_below, program, succeed};

/// Runs a test over runc, then over ours.
#[track_caller]
pub(crate) fn over_both(test: impl Fn(&Path)) {
    for runtime in [PathBuf::from("/usr/sbin/runc"), program("tare-runtime")] {
        eprintln!("--- over {}", runtime.display());
        test(&runtime);
    }
}

/// A folder that takes its mounts with it. It lies on a disk: an overlay cannot lie on an overlay.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    /// A folder with `base.tar`, the root of a busybox.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("engine-").tempdir_in("/var/tmp");
        let scratch = Self(folder.expect("a temporary folder can be made"));
        let root = scratch.path("base");
        busybox_root(&root);
        fs::create_dir(root.join("data")).expect("a folder can be made");
        succeed(
            Command::new("tar")
                .arg("-C")
                .arg(&root)
                .arg("-cf")
                .arg(scratch.path("base.tar"))
                .arg("."),
        );
        scratch
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a plain name").to_owned()
    }
}

impl Drop for Scratch {
    /// An engine may still be cleaning up behind a container, and mount or write meanwhile.
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.0.path().exists() && Instant::now() < deadline {
            for mount in mounts_below(self.0.path()).iter().rev() {
                let _ = Command::new("umount").arg("-l").arg(mount).output();
            }
            let _ = fs::remove_dir_all(self.0.path());
        }
    }
}

/// The directories of a cgroup in all hierarchies, removed at the end: engines leave a parent that they made.
pub(crate) struct CgroupParent(pub(crate) String);

impl Drop for CgroupParent {
    fn drop(&mut self) {
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            // podman keeps a group for its conmons below.
            let _ = fs::remove_dir(hierarchy.path().join(&self.0).join("conmon"));
            let _ = fs::remove_dir(hierarchy.path().join(&self.0));
        }
    }
}

/// A daemon that is ended with the test.
pub(crate) struct Daemon(Child);

impl Daemon {
    /// Starts it with its messages in a file, and waits until `ready`.
    pub(crate) fn start(
        command: &mut Command,
        log: &Path,
        mut ready: impl FnMut() -> bool,
    ) -> Self {
        let log = fs::File::create(log).expect("a file can be made");
        let errors = log.try_clone().expect("a descriptor can be copied");
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        let daemon = Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}")));
        until(&format!("{command:?} is ready"), &mut ready);
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let deadline = Instant::now() + Duration::from_secs(15);
        while let Ok(None) = self.0.try_wait() {
            if Instant::now() > deadline {
                let _ = self.0.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Runs a command on a terminal, which types `input` when `prompt` is seen; what was seen, and the exit
/// code.
pub(crate) fn on_terminal(command: &Command, prompt: &str, input: &str) -> (String, Option<i32>) {
    use std::io::{Read, Write};
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quote = |word: &std::ffi::OsStr| {
        format!("'{}'", word.to_str().expect("plain").replace('\'', "'\\''"))
    };
    let line = words.map(quote).collect::<Vec<_>>().join(" ");
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut script = script.spawn().expect("script is installed");
    let mut typed = script.stdin.take().expect("a pipe");
    let mut shown = script.stdout.take().expect("a pipe");
    let (mut seen, mut byte, mut answered) = (String::new(), [0], false);
    while shown.read(&mut byte).expect("a terminal can be read") == 1 {
        seen.push(char::from(byte[0]));
        if !answered && seen.contains(prompt) {
            typed.write_all(input.as_bytes()).expect("a terminal can be written to");
            answered = true;
        }
    }
    (seen, script.wait().expect("it ends").code())
}

/// A command's exit code, and all that it printed.
pub(crate) fn ended(output: &Output) -> (i32, String) {
    let printed = [&output.stdout[..], &output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&printed).into_owned())
}

/// Asks until it is so, twenty seconds long.
#[track_caller]
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !so() {
        assert!(Instant::now() < deadline, "not within twenty seconds: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
