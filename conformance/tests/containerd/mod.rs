//! A containerd of the test's own: everything that it makes is below one folder, or bears its namespace's
//! name, and is taken away when the test ends, however it ends.
//!
//! `TARE_CONTAINERD` names a folder of programs that go before the machine's: another containerd, with its
//! ctr, shim and runc (`scripts/test-containerd`).

mod events;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub(crate) use events::Events;

use conformance::{Machine, mounts_below, program, succeed};

/// Our runtime's name.
pub(crate) const TARE: &str = "io.containerd.tare.v2";

/// The one of containerd itself, with runc: it shows that a test is right.
pub(crate) const RUNC: &str = "io.containerd.runc.v2";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A running containerd with an image, `image()`.
pub(crate) struct Containerd {
    folder: tempfile::TempDir,
    daemon: Option<Child>,
    pub(crate) namespace: String,
}

impl Containerd {
    /// Starts one, with the image imported.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("shim-test-{}-{count}", std::process::id());
        let mut containerd = Self { folder, daemon: None, namespace };
        containerd.configure();
        containerd.start();
        containerd.import("overlayfs");
        containerd
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self) {
        let at = |name: &str| self.path(name).display().to_string();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\n{}\n\
             [grpc]\n  address = {:?}\n[debug]\n  level = \"debug\"\n",
            at("root"),
            at("state"),
            // 2.x needs it for sandboxes.
            if self.is_second() {
                ""
            } else {
                "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]"
            },
            at("containerd.sock")
        );
        fs::write(self.path("config.toml"), config).expect("a file can be written");
        // A way to give our shim runc's options, which ctr sends to no other runtime.
        fs::create_dir(self.path("bin")).expect("a folder can be made");
    }

    /// Starts the daemon, anew after [`Containerd::stop`].
    pub(crate) fn start(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log"));
        let daemon = self
            .peer("containerd")
            .arg("-c")
            .arg(self.path("config.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a file can be made"))
            .spawn()
            .expect("containerd is installed");
        self.daemon = Some(daemon);
        until("containerd answers", || self.ctr(&["version"]).status.success());
    }

    /// Kills the daemon; the containers go on.
    pub(crate) fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }

    /// Puts our shim in the place of containerd's own, for this daemon.
    pub(crate) fn shadow_runc_shim(&self) {
        let shim = program("containerd-shim-tare-v2");
        fs::copy(shim, self.path("bin/containerd-shim-runc-v2")).expect("a program can be copied");
        let runtime = program("tare-runtime");
        std::os::unix::fs::symlink(runtime, self.path("bin/tare-runtime")).expect("a link");
    }

    /// A program of containerd's, of the folder that was asked for or of the machine.
    fn peer(&self, name: &str) -> Command {
        let given = newer().map(|folder| folder.join(name)).filter(|it| it.exists());
        let mut command = Command::new(given.unwrap_or_else(|| PathBuf::from(name)));
        command.env("PATH", self.path_env());
        command
    }

    /// Whether it is 2.x.
    pub(crate) fn is_second(&self) -> bool {
        succeed(self.peer("containerd").arg("--version")).out.contains("containerd/v2")
    }

    /// Where programs are looked for: with ours before all others.
    pub(crate) fn path_env(&self) -> String {
        let newer = newer().map(|it| format!("{}:", it.display())).unwrap_or_default();
        let programs = program("containerd-shim-tare-v2");
        let programs = programs.parent().expect("a program has a folder").display().to_string();
        let bin = self.path("bin").display().to_string();
        format!("{bin}:{programs}:{newer}{}", std::env::var("PATH").expect("a PATH"))
    }

    /// Imports the image, and unpacks it with a snapshotter.
    pub(crate) fn import(&self, snapshotter: &str) {
        let machine = Machine::new();
        let archive = self.path("image.tar");
        let store = machine.store();
        succeed(Command::new("tar").arg("-C").arg(store).arg("-cf").arg(&archive).args([
            "oci-layout",
            "index.json",
            "blobs",
        ]));
        let archive = archive.to_str().expect("a plain name");
        // The service that imports for 2.x knows one snapshotter only.
        let local: &[&str] = if self.is_second() { &["--local"] } else { &[] };
        let import = [&["images", "import", "--snapshotter", snapshotter], local, &[archive]];
        self.ok(&import.concat());
    }

    /// The image's name.
    pub(crate) fn image(&self) -> String {
        let names = self.ok(&["images", "ls", "-q"]);
        names.lines().find(|name| !name.contains("sha256")).expect("an image").to_owned()
    }

    /// ctr on this containerd, in the test's namespace.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.peer("ctr");
        command.arg("-a").arg(self.path("containerd.sock"));
        command.args(["-n", &self.namespace]).args(args).stdin(Stdio::null());
        command
    }

    pub(crate) fn ctr(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("ctr is installed")
    }

    /// The output of a command that must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        succeed(&mut self.command(args)).out
    }

    /// `ctr run` of a command in the image.
    pub(crate) fn run(&self, runtime: &str, flags: &[&str], id: &str, command: &[&str]) -> Output {
        let image = self.image();
        let args = [&["run", "--runtime", runtime][..], flags, &[&image, id], command].concat();
        self.ctr(&args)
    }

    /// Starts a container in the background that must start.
    pub(crate) fn detach(&self, runtime: &str, id: &str, command: &[&str]) {
        let output = self.run(runtime, &["-d", "--null-io"], id, command);
        assert!(output.status.success(), "{}\n{}", text(&output.stderr), self.log());
    }

    /// A task's pid and status, as `ctr task ls` tells them.
    pub(crate) fn task(&self, id: &str) -> Option<(u32, String)> {
        let list = self.ok(&["task", "ls"]);
        let line = list.lines().find(|line| line.split_whitespace().next() == Some(id))?;
        let mut cells = line.split_whitespace().skip(1);
        Some((cells.next()?.parse().ok()?, cells.next()?.to_owned()))
    }

    pub(crate) fn wait_for(&self, id: &str, status: &str) {
        until(&format!("{id} is {status}"), || self.task(id).is_some_and(|it| it.1 == status));
    }

    /// The serving shims of this namespace.
    pub(crate) fn shims(&self) -> Vec<u32> {
        processes().filter(|(_, line)| self.is_shim(line)).map(|(pid, _)| pid).collect()
    }

    fn is_shim(&self, line: &[String]) -> bool {
        let shim = line.first().is_some_and(|program| program.contains("containerd-shim-"));
        shim && line.windows(2).any(|it| it[0] == "-namespace" && it[1] == self.namespace)
    }

    /// containerd's log, for failures.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().filter(|it| !it.contains("loading plugin")).collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Nothing of any container is left but images: no shim, mount, cgroup, state or bundle.
    pub(crate) fn assert_clean(&self) {
        let what = format!("nothing is left of {}", self.namespace);
        until(&what, || {
            self.leftovers().is_empty() || {
                std::thread::sleep(Duration::from_millis(50));
                false
            }
        });
    }

    /// All that is left.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let mut found = mounts_below(&self.path("state"));
        found.extend(self.shims().into_iter().map(|pid| PathBuf::from(format!("/proc/{pid}"))));
        let tasks = self.path("state/io.containerd.runtime.v2.task").join(&self.namespace);
        found.extend(entries(&tasks));
        found.extend(entries(&Path::new("/run/containerd/tare").join(&self.namespace)));
        for group in self.cgroups() {
            found.extend(entries(&group).filter(|it| it.is_dir()));
        }
        found
    }

    fn cgroups(&self) -> impl Iterator<Item = PathBuf> {
        let name = self.namespace.clone();
        entries(Path::new("/sys/fs/cgroup")).map(move |it| it.join(&name)).filter(|it| it.is_dir())
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {:?}\n{}", self.leftovers(), self.log());
        }
        for id in text(&self.ctr(&["task", "ls", "-q"]).stdout).split_whitespace() {
            self.ctr(&["task", "rm", "-f", id]);
        }
        self.stop();
        for pid in self.shims() {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
        let state = Path::new("/run/containerd/tare").join(&self.namespace);
        for container in entries(&state) {
            let id = container.file_name().expect("an entry has a name").to_owned();
            let mut delete = Command::new(program("tare-runtime"));
            let _ = delete.arg("--root").arg(&state).args(["delete", "--force"]).arg(id).output();
        }
        let _ = fs::remove_dir_all(&state);
        for mount in mounts_below(self.folder.path()).iter().rev() {
            let _ = Command::new("umount").arg("-l").arg(mount).output();
        }
        for group in self.cgroups() {
            let _ = fs::remove_dir(group);
        }
    }
}

fn newer() -> Option<PathBuf> {
    std::env::var_os("TARE_CONTAINERD").map(PathBuf::from)
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => panic!("{folder:?}: {error}"),
        entries => entries.into_iter().flatten(),
    };
    entries.map(|entry| entry.expect("a folder can be read").path())
}

/// All processes with their command lines.
pub(crate) fn processes() -> impl Iterator<Item = (u32, Vec<String>)> {
    entries(Path::new("/proc")).filter_map(|entry| {
        let pid = entry.file_name()?.to_str()?.parse().ok()?;
        let line = fs::read(entry.join("cmdline")).ok()?;
        Some((pid, line.split(|byte| *byte == 0).map(text).collect()))
    })
}

/// Whether a process is there, not merely waiting to be reaped.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Asks until it is so, twenty seconds long.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !so() {
        assert!(Instant::now() < deadline, "not within twenty seconds: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
