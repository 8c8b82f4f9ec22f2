//! A container of one of both runtimes with one of both drivers, and what the kernel and systemd say of it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::Bundle;

/// runc is the reference.
const RUNTIMES: [&str; 2] = ["runc", env!("CARGO_BIN_EXE_tare-runtime")];

/// Files that tell what happened, and those that do not say what was set.
const TELLING: [&str; 12] = [
    ".current",
    ".effective",
    ".events",
    ".kill",
    ".local",
    ".peak",
    ".pressure",
    ".procs",
    ".reclaim",
    ".stat",
    ".threads",
    "_stat",
];

/// Properties with which no two units are alike, or which say what happened.
const OWN: [&str; 17] = [
    "Active",
    "Assert",
    "CPUUsage",
    "Condition",
    "ControlGroupId",
    "Description",
    "DropInPaths",
    "Effective",
    "IO",
    "IP",
    "Inactive",
    "InvocationID",
    "Memory",
    "NeedDaemon",
    "StateChange",
    "TasksCurrent",
    "UID",
];
/// Of those whose beginning is above, what was set.
const SET: [&str; 9] = [
    "IOAccounting=",
    "IODeviceWeight=",
    "IOWeight=",
    "MemoryAccounting=",
    "MemoryHigh=",
    "MemoryLow=",
    "MemoryMax=",
    "MemoryMin=",
    "MemorySwapMax=",
];

/// The ordinary user of the machine, with a systemd of its own.
pub(crate) const USER: u32 = 1000;

pub(crate) struct Subject {
    bundle: Bundle,
    program: &'static str,
    systemd: bool,
    /// Whether it is the ordinary user's.
    rootless: bool,
}

/// Has both runtimes show something of a container with each driver: cgroupfs's, then systemd's. What
/// they show must be the same.
pub(crate) fn same(change: impl Fn(&mut Value), show: impl Fn(&Subject) -> String) -> [String; 2] {
    [false, true].map(|systemd| same_with(systemd, &change, &show))
}

/// The same with one driver.
pub(crate) fn same_with(
    systemd: bool,
    change: impl Fn(&mut Value),
    show: impl Fn(&Subject) -> String,
) -> String {
    compare(|program| Subject::new(program, systemd, &change), show)
}

/// The same as the ordinary user, with a configuration of `spec --rootless`.
pub(crate) fn same_rootless(
    systemd: bool,
    change: impl Fn(&mut Value),
    show: impl Fn(&Subject) -> String,
) -> String {
    compare(|program| Subject::new_rootless(program, systemd, &change), show)
}

/// What only this runtime can do.
pub(crate) fn shown_by_ours(
    systemd: bool,
    change: impl Fn(&mut Value),
    show: impl Fn(&Subject) -> String,
) -> String {
    show(&Subject::new(RUNTIMES[1], systemd, &change))
}

fn compare(make: impl Fn(&'static str) -> Subject, show: impl Fn(&Subject) -> String) -> String {
    let [theirs, ours] = RUNTIMES.map(|program| {
        let subject = make(program);
        let shown = show(&subject);
        shown.replace(&subject.bundle.id, "ID")
    });
    assert_eq!(ours, theirs, "ours, and runc's");
    ours
}

impl Subject {
    /// A container that sleeps, unless `change` says otherwise.
    fn new(program: &'static str, systemd: bool, change: impl Fn(&mut Value)) -> Self {
        let bundle = Bundle::new(&["sleep", "600"]).with(|config| {
            config["root"]["readonly"] = json!(false);
        });
        let path = match systemd {
            true => format!("machine.slice:tare-test:{}", bundle.id),
            false => format!("/tare-runtime-test-{}", bundle.id),
        };
        let bundle = bundle.with(|config| {
            config["linux"]["cgroupsPath"] = json!(path);
            change(config);
        });
        bundle.write();
        Self { bundle, program, systemd, rootless: false }
    }

    /// The program must lie where everybody may execute it.
    fn new_rootless(program: &'static str, systemd: bool, change: impl Fn(&mut Value)) -> Self {
        let program = if program == "runc" { program } else { "tare-runtime" };
        let bundle = Bundle::new(&["sleep", "600"]);
        let mut subject = Self { bundle, program, systemd, rootless: true };
        let directory = subject.bundle.directory.path();
        let file = directory.join("config.json");
        fs::remove_file(&file).expect("remove it");
        let owner = format!("{USER}:{USER}");
        let given = Command::new("chown").args(["-hR", &owner]).arg(directory).status();
        assert!(given.expect("chown").success());
        subject.succeed(&["spec", "--rootless"]);
        let text = fs::read_to_string(file).expect("read it");
        let mut config: Value = serde_json::from_str(&text).expect("JSON");
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["sleep", "600"]);
        if systemd {
            config["linux"]["cgroupsPath"] =
                json!(format!("machine.slice:tare-test:{}", subject.id()));
        }
        change(&mut config);
        subject.bundle.config = config;
        subject.bundle.write();
        subject
    }

    pub(crate) fn id(&self) -> &str {
        &self.bundle.id
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.bundle.rootfs()
    }

    pub(crate) fn unit(&self) -> String {
        format!("tare-test-{}.scope", self.id())
    }

    /// Its directory.
    pub(crate) fn cgroup(&self) -> PathBuf {
        let users = format!("user.slice/user-{USER}.slice/user@{USER}.service/machine.slice");
        match self.systemd {
            true if self.rootless => Path::new("/sys/fs/cgroup").join(users).join(self.unit()),
            true => Path::new("/sys/fs/cgroup/machine.slice").join(self.unit()),
            false => Path::new("/sys/fs/cgroup").join(format!("tare-runtime-test-{}", self.id())),
        }
    }

    /// The runtime with this container's state and driver.
    pub(crate) fn command(&self) -> Command {
        let mut command =
            if self.rootless { as_user(self.program) } else { Command::new(self.program) };
        command.current_dir(self.bundle.directory.path());
        command.arg("--root").arg(self.bundle.state_root());
        command.args(self.systemd.then_some("--systemd-cgroup"));
        command
    }

    /// `@` stands for the id. What a container inherits must not be a pipe of ours.
    pub(crate) fn call(&self, args: &[&str]) -> Output {
        let mut command = self.command();
        command.args(args.iter().map(|arg| if *arg == "@" { self.id() } else { arg }));
        command.stdin(Stdio::null());
        if !args.contains(&"-d") {
            return command.output().expect("start the runtime");
        }
        let errors = self.bundle.directory.path().join("stderr");
        let file = fs::File::create(&errors).expect("make a file");
        let status = command.stdout(Stdio::null()).stderr(file).status();
        Output {
            status: status.expect("start the runtime"),
            stdout: Vec::new(),
            stderr: fs::read(errors).expect("read it"),
        }
    }

    /// A call that must succeed; its output.
    pub(crate) fn succeed(&self, args: &[&str]) -> String {
        let output = self.call(args);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{} {args:?}: {errors}", self.program);
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Runs it in the background.
    pub(crate) fn start(&self) {
        self.succeed(&["run", "-d", "@"]);
    }

    /// Runs it in the foreground; its exit code and output.
    pub(crate) fn run(&self) -> String {
        let output = self.call(&["run", "@"]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(!text.is_empty() || output.status.success(), "{}: {errors}", self.program);
        format!("{:?}\n{text}", output.status.code())
    }

    /// `update` with flags; what is set then.
    pub(crate) fn update(&self, flags: &[&str]) -> String {
        let args: Vec<_> = ["update"].iter().chain(flags).copied().chain(["@"]).collect();
        self.succeed(&args);
        format!("{flags:?}\n{}", self.settings())
    }

    /// `update --resources -`; what is set then.
    pub(crate) fn update_with(&self, resources: &Value) -> String {
        let mut command = self.command();
        command.args(["update", "--resources", "-", self.id()]);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start the runtime");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(resources.to_string().as_bytes()).expect("write to it");
        drop(stdin);
        let output = child.wait_with_output().expect("wait for it");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{} {resources}: {errors}", self.program);
        format!("{resources}\n{}", self.settings())
    }

    /// All that is set, by the kernel's word and by systemd's.
    pub(crate) fn settings(&self) -> String {
        self.files() + &self.properties()
    }

    fn files(&self) -> String {
        let directory = self.cgroup();
        let entries = fs::read_dir(&directory).expect("list the cgroup").flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.retain(|name| !TELLING.iter().any(|end| name.ends_with(end)));
        names.sort();
        let line = |name: &String| {
            let text = fs::read_to_string(directory.join(name)).unwrap_or_default();
            format!("{name}: {}\n", text.trim())
        };
        names.iter().map(line).collect()
    }

    fn properties(&self) -> String {
        if !self.systemd {
            return String::new();
        }
        let mut systemctl = Command::new("systemctl");
        if self.rootless {
            systemctl = as_user("systemctl");
            systemctl.arg("--user");
        }
        let output = systemctl.args(["show", &self.unit()]).output();
        let text = String::from_utf8(output.expect("systemctl").stdout).expect("UTF-8");
        let starts = |line: &str, list: &[&str]| list.iter().any(|start| line.starts_with(start));
        let mut lines: Vec<_> =
            text.lines().filter(|line| starts(line, &SET) || !starts(line, &OWN)).collect();
        lines.sort_unstable();
        lines.join("\n") + "\n"
    }
}

/// A program that the ordinary user starts.
pub(crate) fn as_user(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    let id = USER.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--init-groups", "env", "-u", "USER"]);
    let run = format!("/run/user/{USER}");
    command.arg(format!("XDG_RUNTIME_DIR={run}"));
    command.arg(format!("DBUS_SESSION_BUS_ADDRESS=unix:path={run}/bus")).arg(program);
    command
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.call(&["delete", "--force", "@"]);
    }
}
