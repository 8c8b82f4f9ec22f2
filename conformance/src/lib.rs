//! What the tests of the whole share: a scratch machine, the programs, and their real peers.
//!
//! A [`Machine`] is a folder with a store, a base image of busybox, and whatever a test puts there.
//! When it goes, so do its mounts and its containers, also after a failure. Programs are the ones
//! that `cargo build` left beside the tests; a missing program or peer fails the test that wants it.

pub mod oci_suite;

use std::ffi::OsStr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The base image's name in every machine's store.
pub const BASE: &str = "busybox:base";

/// A folder with a store, programs that use it, and the base image.
pub struct Machine {
    dir: tempfile::TempDir,
}

/// What a command that succeeded has printed, without the last line's end.
#[derive(Debug)]
pub struct Printed {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Machine {
    /// A fresh machine whose store holds [`BASE`].
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        let machine = Self { dir };
        let root = machine.path("base");
        busybox_root(&root);
        machine.sh(&format!(
            "tar -C {} -cf {} .",
            root.display(),
            machine.path("base.tar").display()
        ));
        machine.ok("tare-store", ["import", &machine.text("base.tar"), BASE]);
        machine
    }

    /// A path inside the machine's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same as text; the folder's own name is plain.
    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("temporary folders have plain names").to_owned()
    }

    /// The store.
    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        let parent = path.parent().expect("a file has a folder");
        std::fs::create_dir_all(parent).expect("folders can be made");
        std::fs::write(&path, text).expect("a file can be written");
        path
    }

    /// One of ours, ready to be run on this machine's store and with its state apart from others'.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command
            .env("TARE_STORE", self.store())
            .env("TARE_ROOT", self.path("containers"))
            .current_dir(self.dir.path());
        command
    }

    /// Runs one of ours that must succeed.
    pub fn ok<S: AsRef<OsStr>>(&self, name: &str, args: impl IntoIterator<Item = S>) -> Printed {
        succeed(self.program(name).args(args))
    }

    /// Runs one of ours, however it ends.
    pub fn any<S: AsRef<OsStr>>(&self, name: &str, args: impl IntoIterator<Item = S>) -> Output {
        self.program(name).args(args).output().unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Runs a shell script that must succeed, in the machine's folder, with our programs on its PATH.
    pub fn sh(&self, script: &str) -> Printed {
        let programs = program("tare");
        let programs = programs.parent().expect("a program has a folder").display();
        let script = format!("PATH={programs}:$PATH; {script}");
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", &script])
            .env("TARE_STORE", self.store())
            .env("TARE_ROOT", self.path("containers"))
            .current_dir(self.dir.path());
        succeed(&mut command)
    }

    /// Builds a Dockerfile with the files given, and tags the result; the image's digest.
    pub fn build(&self, name: &str, dockerfile: &str, files: &[(&str, &str)]) -> String {
        self.write(&format!("{name}/Dockerfile"), dockerfile);
        for (file, text) in files {
            self.write(&format!("{name}/{file}"), text);
        }
        self.ok("tare-build", ["-q", "-t", name, &self.text(name)]).out
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Machine {
    /// Containers first, then whatever is still mounted below the folder, the deepest first.
    fn drop(&mut self) {
        if let Ok(listed) = self.program("tare").args(["ps", "-aq"]).output() {
            for id in String::from_utf8_lossy(&listed.stdout).split_whitespace() {
                let _ = self.program("tare").args(["rm", "-f", id]).output();
            }
        }
        let mut mounts = mounts_below(self.dir.path());
        mounts.reverse();
        for mount in mounts {
            let _ = Command::new("umount").arg("-l").arg(mount).output();
        }
    }
}

/// The mount points at or below a folder, in the order in which they were mounted.
pub fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .filter(|point| point.starts_with(folder))
        .collect()
}

/// One of the programs that were built with the tests.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own file");
    let built =
        test.parent().and_then(Path::parent).expect("tests lie in target/…/deps").join(name);
    assert!(built.exists(), "{} is missing: run `cargo build --workspace` first", built.display());
    built
}

/// Runs a command that must succeed.
pub fn succeed(command: &mut Command) -> Printed {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let printed = Printed { out: text(&output.stdout), err: text(&output.stderr) };
    assert!(output.status.success(), "{command:?}: {}\n{printed:#?}", output.status);
    printed
}

/// A root file system with busybox, its applets as links, and the files that programs expect.
pub fn busybox_root(root: &Path) {
    for folder in ["bin", "etc", "tmp", "root", "proc", "sys", "dev", "var/lib"] {
        std::fs::create_dir_all(root.join(folder)).expect("folders can be made");
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
    let list = succeed(Command::new("/bin/busybox").arg("--list"));
    for applet in list.out.lines().filter(|it| *it != "busybox") {
        symlink("busybox", root.join("bin").join(applet)).expect("links can be made");
    }
    let users = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/tmp:/bin/sh\n";
    std::fs::write(root.join("etc/passwd"), users).expect("a file can be written");
    let groups = "root:x:0:\napp:x:1001:\nextra:x:2000:app\n";
    std::fs::write(root.join("etc/group"), groups).expect("a file can be written");
}
