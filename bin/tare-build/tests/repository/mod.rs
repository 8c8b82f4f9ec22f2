//! Git repositories on the loopback interface, served by git's own daemon.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder of repositories, and a daemon for each connection to them. They end with the test.
pub(crate) struct Repositories {
    dir: tempfile::TempDir,
    port: u16,
}

impl Repositories {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // The port is the test's own from the start: a daemon that binds one may find it taken.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let base = dir.path().to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &base);
            }
        });
        Self { dir, port }
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("git://127.0.0.1:{}/{name}", self.port)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A repository with one file on its branch `main`, and other commits elsewhere:
    /// `v1` is an annotated tag of the first commit, `light` a plain one, `side` a branch.
    pub(crate) fn sample(&self, name: &str) -> PathBuf {
        let path = self.empty(name);
        self.commit(name, "file", "one\n");
        git(&path, &["tag", "-a", "-m", "first", "v1"]);
        git(&path, &["tag", "light"]);
        git(&path, &["checkout", "-q", "-b", "side"]);
        self.commit(name, "sub/deep/file", "side\n");
        git(&path, &["update-ref", "refs/pull/7/head", "HEAD"]);
        git(&path, &["checkout", "-q", "main"]);
        self.commit(name, "file", "two\n");
        path
    }

    pub(crate) fn empty(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        git(&path, &["init", "-q", "-b", "main"]);
        path
    }

    /// Writes a file and commits everything; the commit.
    pub(crate) fn commit(&self, name: &str, file: &str, text: &str) -> String {
        let path = self.path(name);
        let file = path.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        self.commit_all(name)
    }

    pub(crate) fn commit_all(&self, name: &str) -> String {
        let path = self.path(name);
        git(&path, &["add", "-A"]);
        git(&path, &["commit", "-q", "--allow-empty", "-m", "change"]);
        git(&path, &["rev-parse", "HEAD"])
    }
}

/// Hands a connection to git's daemon, as inetd would.
fn serve(stream: TcpStream, base: &Path) {
    let output: OwnedFd = stream.into();
    let input = output.try_clone().unwrap();
    let mut daemon = Command::new("git");
    daemon
        .args(["daemon", "--inetd", "--export-all"])
        .arg(format!("--base-path={}", base.display()));
    let started =
        daemon.stdin(Stdio::from(input)).stdout(Stdio::from(output)).stderr(Stdio::null()).spawn();
    let mut daemon = started.expect("git is installed");
    std::thread::spawn(move || daemon.wait());
}

/// Runs git in a repository, with a clock that stands still; what it says.
pub(crate) fn git(path: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "gc.auto=0"])
        .args(["-c", "protocol.file.allow=always"])
        .args(arguments)
        .current_dir(path)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_DATE", "1000000000 +0000")
        .env("GIT_COMMITTER_DATE", "1000000000 +0000")
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
