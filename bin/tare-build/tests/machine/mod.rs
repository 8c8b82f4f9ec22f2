//! A scratch machine for a test: a folder with a store that holds a small base image, a context, and
//! the programs that `cargo build` left beside the tests. When it goes, so do its mounts.
//!
//! The tests run as root and, by `scripts/as-user`, as an ordinary user, whose builds mount where nobody else
//! sees it.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The base image's name in every machine's store.
pub(crate) const BASE: &str = "busybox:base";

/// Whether the tests, and so the builds, are an ordinary user's.
pub(crate) fn is_rootless() -> bool {
    !rustix::process::geteuid().is_root()
}

/// The drivers that work for who runs the tests.
pub(crate) fn drivers() -> &'static [&'static str] {
    if is_rootless() { &["directory"] } else { &["erofs", "directory"] }
}

/// By which number the machine knows the user of a container: scripts/as-user says which an ordinary user has.
pub(crate) fn outer_id(user: u32) -> u32 {
    if is_rootless() { 3_000_000 + user - 1 } else { user }
}

/// A folder with a store, a context and the base image.
pub(crate) struct Machine {
    dir: tempfile::TempDir,
}

/// What a build said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Machine {
    /// A machine whose store holds [`BASE`].
    pub(crate) fn new() -> Self {
        let machine = Self::empty();
        let tar = machine.path("base.tar");
        fs::write(&tar, base()).unwrap();
        let store = machine.command("tare-store").args(["import", "base.tar", BASE]).output();
        assert_ok(&store.unwrap());
        machine
    }

    /// A machine with an empty store.
    pub(crate) fn empty() -> Self {
        let machine = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(machine.path("ctx")).unwrap();
        machine
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file of the context.
    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path("ctx").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// One of our programs on this machine's store.
    pub(crate) fn command(&self, name: &str) -> Command {
        let ours = Path::new(env!("CARGO_BIN_EXE_tare-build"));
        let program = ours.with_file_name(name);
        assert!(program.exists(), "{} is missing: run cargo build first", program.display());
        let mut command = Command::new(program);
        command
            .current_dir(self.dir.path())
            .env("TARE_STORE", self.path("store"))
            .env_remove("SOURCE_DATE_EPOCH");
        command
    }

    /// Builds the context with this Dockerfile and these further arguments.
    pub(crate) fn build(&self, dockerfile: &str, args: &[&str]) -> Said {
        self.file("Dockerfile", dockerfile);
        self.tare_build(&[args, &["ctx"]].concat())
    }

    /// Runs tare-build.
    pub(crate) fn tare_build(&self, args: &[&str]) -> Said {
        let output = self.command("tare-build").args(args).stdin(Stdio::null()).output().unwrap();
        Said::new(&output)
    }

    /// Builds what must succeed; the digest.
    pub(crate) fn built(&self, dockerfile: &str, args: &[&str]) -> String {
        let said = self.build(dockerfile, args);
        assert_eq!(said.code, Some(0), "{}", said.err);
        let digest = said.out.trim_end().to_owned();
        assert!(digest.starts_with("sha256:") && digest.len() == 71, "{:?}", said.out);
        digest
    }

    /// Builds and runs `cat` on a file that a `RUN` wrote: what the command saw.
    pub(crate) fn seen(&self, dockerfile: &str, args: &[&str]) -> String {
        let digest = self.built(dockerfile, args);
        self.cat(&digest, "seen")
    }

    /// A file of an image, from its layers.
    pub(crate) fn cat(&self, image: &str, path: &str) -> String {
        let bytes = self.files(image).into_iter().find(|file| file.path == path);
        let file = bytes.unwrap_or_else(|| panic!("{path} is not in the image"));
        String::from_utf8(file.content).unwrap()
    }

    /// The files of an image's own layers, those of the base left out, lowest layer first.
    pub(crate) fn files(&self, image: &str) -> Vec<FileInLayer> {
        let layers = self.layers(image);
        layers.iter().skip(1).flat_map(|digest| files_of(&self.blob(digest))).collect()
    }

    /// The files of one layer.
    pub(crate) fn layer(&self, digest: &str) -> Vec<FileInLayer> {
        files_of(&self.blob(digest))
    }

    /// The paths in the layers that were built, as tar has them.
    pub(crate) fn paths(&self, image: &str) -> Vec<String> {
        self.files(image).into_iter().map(|file| file.path).collect()
    }

    /// The digests of an image's layers.
    pub(crate) fn layers(&self, image: &str) -> Vec<String> {
        let layers = self.manifest(image)["layers"].as_array().unwrap().clone();
        layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn manifest(&self, image: &str) -> Value {
        serde_json::from_slice(&self.blob(image)).unwrap()
    }

    /// The image's configuration.
    pub(crate) fn config(&self, image: &str) -> Value {
        let config = self.manifest(image)["config"]["digest"].as_str().unwrap().to_owned();
        serde_json::from_slice(&self.blob(&config)).unwrap()
    }

    pub(crate) fn blob(&self, digest: &str) -> Vec<u8> {
        let hex = digest.strip_prefix("sha256:").unwrap();
        fs::read(self.path("store/blobs/sha256").join(hex)).unwrap()
    }

    /// The names of images in the store.
    pub(crate) fn names(&self) -> Vec<String> {
        let index: Value =
            serde_json::from_slice(&fs::read(self.path("store/index.json")).unwrap()).unwrap();
        let name = |entry: &Value| {
            entry["annotations"]["org.opencontainers.image.ref.name"].as_str().map(str::to_owned)
        };
        index["manifests"].as_array().unwrap().iter().filter_map(name).collect()
    }

    /// Whatever a build may have left: working directories, mounts.
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.left(), [] as [PathBuf; 0], "working directories");
        assert_eq!(self.mounts(), [] as [String; 0], "mounts");
    }

    /// The working directories of builds.
    pub(crate) fn left(&self) -> Vec<PathBuf> {
        fs::read_dir(self.path("store/tare/build/tmp"))
            .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
            .unwrap_or_default()
    }

    /// Mount points below this machine's folder.
    pub(crate) fn mounts(&self) -> Vec<String> {
        self.mounts_of("self")
    }

    /// Those that a process sees.
    pub(crate) fn mounts_of(&self, process: impl std::fmt::Display) -> Vec<String> {
        let table = fs::read_to_string(format!("/proc/{process}/mountinfo")).unwrap_or_default();
        let point = |line: &str| line.split(' ').nth(4).unwrap().to_owned();
        let below = self.dir.path().to_str().unwrap();
        table.lines().map(point).filter(|point| point.starts_with(below)).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for mount in self.mounts().iter().rev() {
            let _ = Command::new("umount").arg("-l").arg(mount).status();
        }
    }
}

impl Said {
    pub(crate) fn new(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Asserts that the build failed with code 1 and said all of `words`, and nothing on stdout.
    pub(crate) fn refused(&self, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{}", self.err);
        assert_eq!(self.out, "");
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in: {}", self.err);
        }
    }

    /// How many steps the cache gave.
    pub(crate) fn cached(&self) -> usize {
        self.err.lines().filter(|line| line.ends_with(" CACHED")).count()
    }
}

/// A file of a layer.
#[derive(Clone, Debug)]
pub(crate) struct FileInLayer {
    pub(crate) path: String,
    pub(crate) mode: u32,
    pub(crate) owner: (u64, u64),
    pub(crate) mtime: u64,
    pub(crate) link: Option<String>,
    pub(crate) content: Vec<u8>,
}

/// The entries of a tar, read by tar(1), which is not ours.
pub(crate) fn files_of(tar: &[u8]) -> Vec<FileInLayer> {
    let list = r"
import sys, tarfile, json, base64
with tarfile.open(fileobj=sys.stdin.buffer, mode='r|') as t:
    for m in t:
        data = t.extractfile(m).read() if m.isreg() else b''
        print(json.dumps([m.name, m.mode, m.uid, m.gid, int(m.mtime), m.linkname, list(data)]))
";
    let mut child = Command::new("python3")
        .args(["-c", list])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let tar = tar.to_vec();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &tar));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert_ok(&output);
    let entry = |line: &str| {
        let entry: Value = serde_json::from_str(line).unwrap();
        let number = |index: usize| entry[index].as_u64().unwrap();
        let content = entry[6].as_array().unwrap();
        FileInLayer {
            path: entry[0].as_str().unwrap().to_owned(),
            mode: number(1) as u32,
            owner: (number(2), number(3)),
            mtime: number(4),
            link: entry[5].as_str().filter(|link| !link.is_empty()).map(str::to_owned),
            content: content.iter().map(|byte| byte.as_u64().unwrap() as u8).collect(),
        }
    };
    String::from_utf8(output.stdout).unwrap().lines().map(entry).collect()
}

pub(crate) fn assert_ok(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Asks until the answer is yes, for half a minute.
pub(crate) fn wait_until(what: &str, mut asked: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !asked() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A tar of a root file system: a static busybox, two users, a link to a directory.
fn base() -> &'static [u8] {
    static TAR: OnceLock<Vec<u8>> = OnceLock::new();
    TAR.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        for folder in ["bin", "etc", "tmp", "root", "data/real", "usr", "dev", "proc", "sys"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
        for applet in
            ["cat", "chmod", "echo", "env", "false", "grep", "hostname", "id", "ip", "ls", "ln"]
                .iter()
                .chain(&["mkdir", "mount", "mv", "pwd", "rm", "sh", "sleep", "stat", "touch"])
                .chain(&["true", "wc", "wget", "find", "sort", "test", "kill", "dd", "head"])
        {
            symlink("/bin/busybox", root.join("bin").join(applet)).unwrap();
        }
        symlink("real", root.join("data/link")).unwrap();
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n",
        )
        .unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\napp:x:1001:\nstaff:x:50:\n").unwrap();
        let tar = Command::new("tar").arg("-C").arg(&root).args(["-c", "."]).output().unwrap();
        assert_ok(&tar);
        tar.stdout
    })
}
