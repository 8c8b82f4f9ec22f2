//! A store in a temporary directory, and a small root file system to import.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a module of test programs")]
#![allow(unreachable_pub, missing_docs, reason = "a module of test programs")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub struct World {
    dir: tempfile::TempDir,
}

/// What the program said, for exact comparison.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl World {
    /// With `image.tar` beside the store: busybox, a file, users.
    pub fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().expect("a temporary directory") };
        let root = world.path("image");
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
        for applet in ["sh", "cat", "echo"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
        fs::write(root.join("etc/motd"), "welcome\n").unwrap();
        let mut tar = Command::new("tar");
        // The same bytes each time.
        tar.args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-C"]);
        let made = tar.arg(&root).arg("-cf").arg(world.path("image.tar")).arg(".").status();
        assert!(made.expect("tar runs").success());
        world
    }

    /// With the image `box` imported.
    pub fn with_image() -> Self {
        let world = Self::new();
        world.import("box");
        world
    }

    pub fn import(&self, name: &str) -> String {
        let tar = self.path("image.tar");
        self.ok(&["import", "-q", "-c", r#"CMD ["sh"]"#, tar.to_str().unwrap(), name])
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tare-store"));
        command.args(arguments).env("TARE_STORE", self.path("store")).stdin(Stdio::null());
        // A time that does not change makes digests that do not.
        command.env("SOURCE_DATE_EPOCH", "1700000000");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        said(self.command(arguments).output().unwrap())
    }

    /// Expects success, and gives what was printed without the last line's end.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{arguments:?}: {}", said.out);
        said.out.trim_end().to_owned()
    }

    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.ok(arguments)).expect("JSON")
    }

    /// Files in `blobs/sha256`.
    pub fn blobs(&self) -> usize {
        fs::read_dir(self.path("store/blobs/sha256")).map_or(0, Iterator::count)
    }

    pub fn mounts(&self) -> Vec<String> {
        let own = self.dir.path().to_str().unwrap().to_owned();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        mounts.lines().filter(|line| line.contains(&own)).map(str::to_owned).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.dir.path()).into_iter().flatten().flatten() {
            if entry.path().join("tare.json").exists() {
                let released = self.run(&["unbundle", entry.path().to_str().unwrap()]);
                if released.code != 0 {
                    eprintln!("{}", released.err);
                }
            }
        }
    }
}

pub fn said(output: Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a shell script in the world's directory, and gives what it printed.
pub(crate) fn sh(world: &World, script: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_tare-store"));
    let path = format!(
        "{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        program.parent().unwrap().display()
    );
    let output = Command::new("sh")
        .args(["-euc", script])
        .current_dir(world.path(""))
        .env("TARE_STORE", world.path("store"))
        .env("PATH", path)
        .output()
        .unwrap();
    let said = said(output);
    assert_eq!(said.code, 0, "{script}\n{}{}", said.out, said.err);
    said.out.trim_end().to_owned()
}
