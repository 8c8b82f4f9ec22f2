//! A store with a small image and a place for containers' state, gone with all containers when dropped.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a module of test programs"
)]
#![allow(unreachable_pub, missing_docs, reason = "a module of test programs")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The programs: this package's, and its siblings beside it.
fn program(name: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_BIN_EXE_tare"));
    let path = own.with_file_name(name);
    assert!(path.is_file(), "{} is missing: build the whole workspace first", path.display());
    path
}

/// Whether the tests, and so the containers, are an ordinary user's (`scripts/as-user`).
pub fn is_rootless() -> bool {
    !rustix::process::geteuid().is_root()
}

/// The drivers that work for who runs the tests.
pub fn drivers() -> &'static [&'static str] {
    if is_rootless() { &["directory"] } else { &["erofs", "directory"] }
}

pub struct World {
    dir: tempfile::TempDir,
}

/// What a program said, for exact comparison.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl World {
    /// With the image `box`: busybox, users `root` and `app`, no command of its own but `sh`.
    pub fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().expect("a temporary directory") };
        let root = world.path("image");
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::create_dir(root.join("tmp")).unwrap();
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
        for applet in [
            "sh", "cat", "echo", "id", "sleep", "true", "env", "ps", "touch", "stty", "tty", "yes",
            "kill",
        ] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
        )
        .unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\napp:x:1000:\nextra:x:2000:app\n").unwrap();
        let tar = world.path("image.tar");
        let made =
            Command::new("tar").arg("-C").arg(&root).args(["-cf"]).arg(&tar).arg(".").status();
        assert!(made.expect("tar runs").success());
        let mut import = world.command(program("tare-store"));
        let done = import
            .args(["import", "-q", "-c", r#"CMD ["sh"]"#])
            .arg(&tar)
            .arg("box")
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        command.env("TARE_STORE", self.path("store")).env("TARE_ROOT", self.path("run"));
        command.stdin(Stdio::null());
        command
    }

    /// `tare ARGUMENTS…`, not started yet.
    pub fn tare<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = self.command(program("tare"));
        command.args(arguments);
        // Another runtime may be tried with the same tests.
        if let Some(runtime) = std::env::var_os("TARE_TEST_RUNTIME")
            && arguments.first().is_some_and(|first| first.as_ref() == "run")
        {
            command = self.command(program("tare"));
            command.arg("run").arg("--runtime").arg(runtime).args(&arguments[1..]);
        } else {
            program("tare-runtime");
        }
        command
    }

    /// Runs `tare WORDS…`, where the words are split at blanks.
    pub fn run(&self, words: &str) -> Said {
        self.run_args(&words.split_whitespace().collect::<Vec<_>>())
    }

    pub fn run_args(&self, arguments: &[&str]) -> Said {
        said(self.tare(arguments).output().unwrap())
    }

    /// Runs `tare WORDS…`, expects success, and gives what it printed without the last line's end.
    pub fn ok(&self, words: &str) -> String {
        let said = self.run(words);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "tare {words}: {}", said.out);
        said.out.trim_end().to_owned()
    }

    /// The state of a container as `ps` tells it, `gone` where there is none.
    pub fn state(&self, name: &str) -> String {
        let all: serde_json::Value = serde_json::from_str(&self.ok("ps -a --json")).unwrap();
        let found = all.as_array().unwrap().iter().find(|one| one["Name"] == name);
        found.map_or_else(|| "gone".to_owned(), |one| one["State"].as_str().unwrap().to_owned())
    }

    pub fn wait_for_state(&self, name: &str, state: &str) {
        until(&format!("{name} to be {state}"), || self.state(name) == state);
    }

    /// The process that holds the container's monitor lock, by /proc/locks.
    pub fn monitor(&self) -> rustix::process::Pid {
        use std::os::unix::fs::MetadataExt as _;
        let id = self.ok("ps -q --no-trunc");
        let lock = self.path("run/containers").join(id).join("lock");
        let inode = format!(":{} ", std::fs::metadata(lock).unwrap().ino());
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        // The lock was taken by `tare run`, and passed on; who has the file open holds it.
        assert!(locks.lines().any(|line| line.contains(&inode)), "{locks}");
        let holder = std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let link = std::fs::read_link(entry.path().join("fd/0")).ok()?;
            link.starts_with(self.path("run")).then_some(pid)
        });
        rustix::process::Pid::from_raw(holder.expect("a monitor")).unwrap()
    }

    /// Nothing of any container is left: no state, no mount, no cgroup.
    pub fn assert_clean(&self) {
        for dir in ["run/containers", "run/names", "run/runtime", "store/tare/containers"] {
            let mut left: Vec<_> =
                fs::read_dir(self.path(dir)).into_iter().flatten().flatten().collect();
            // The runtime keeps compiled filters there, which are no container's.
            left.retain(|entry| entry.file_name() != "@seccomp");
            assert!(left.is_empty(), "{dir}: {left:?}");
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let own = self.dir.path().to_str().unwrap().to_owned();
        let left: Vec<&str> = mounts.lines().filter(|line| line.contains(&own)).collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(
            fs::read_dir(self.path("store/tare/leases")).into_iter().flatten().next().is_none()
        );
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let all = said(self.tare(&["ps", "-aq", "--no-trunc"]).output().unwrap()).out;
        for id in all.lines() {
            let removed = self.tare(&["rm", "-f", id]).output().unwrap();
            if !removed.status.success() {
                eprintln!("{}", String::from_utf8_lossy(&removed.stderr));
            }
        }
    }
}

/// The program's words, with what differs from run to run taken out by the caller.
pub fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Asks until it is so; fails after 20 seconds.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
