//! The runtime program: started on a container, and what it had to say when it has ended.
//!
//! Its result and its messages go to files in memory, which it is given by their names in procfs: a
//! container's own output never mixes with them, and nothing is left on the disk.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use rustix::fs::MemfdFlags;
use serde_json::{Deserializer, Value};

use crate::bundle::Record;
use crate::options::Options;

/// Below it a namespace's containers have their state, unless an option says otherwise.
const STATE: &str = "/run/containerd/tare";

/// No more than this is read of a runtime's output, bytes.
const OUTPUT_MAX: u64 = 4 << 20;

/// A container's runtime.
#[derive(Clone, Debug)]
pub(crate) struct Runtime {
    record: Record,
    bundle: PathBuf,
}

/// The standard streams of a runtime that hands them to a container.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) stdin: Stdio,
    pub(crate) stdout: Stdio,
    pub(crate) stderr: Stdio,
}

/// A runtime that was started: its pid, and where its words will be.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) pid: u32,
    output: File,
    messages: File,
    log: File,
    /// What the runtime reads, until it has ended.
    kept: Vec<File>,
    what: String,
}

impl Runtime {
    /// The runtime that the options ask for.
    ///
    /// # Errors
    /// There is no such program.
    pub(crate) fn choose(
        options: &Options,
        namespace: &str,
        bundle: &Path,
    ) -> anyhow::Result<Self> {
        let program = options.program()?;
        let root = options.root.clone().unwrap_or_else(|| STATE.into()).join(namespace);
        let record = Record {
            program,
            root,
            systemd_cgroup: options.systemd_cgroup,
            criu: options.criu.clone(),
        };
        Ok(Self::of(record, bundle))
    }

    /// The runtime that has a container already.
    pub(crate) fn of(record: Record, bundle: &Path) -> Self {
        Self { record, bundle: bundle.to_owned() }
    }

    /// What is to be known of it after the shim's end.
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// Starts it. Without `streams` its output is kept for [`Started::end`].
    ///
    /// # Errors
    /// The program cannot be started.
    pub(crate) fn start(
        &self,
        arguments: &[OsString],
        streams: Option<Streams>,
    ) -> anyhow::Result<Started> {
        let (output, messages, log) = (memory()?, memory()?, memory()?);
        let streams = match streams {
            Some(streams) => streams,
            None => Streams {
                stdin: Stdio::null(),
                stdout: output.try_clone().context("pass the output on")?.into(),
                stderr: messages.try_clone().context("pass the messages on")?.into(),
            },
        };
        let mut command = Command::new(&self.record.program);
        command
            .arg("--root")
            .arg(&self.record.root)
            .arg("--log")
            .arg(name_of(&log))
            .args(["--log-format", "json"])
            .args(self.record.systemd_cgroup.then_some("--systemd-cgroup"))
            .args(self.record.criu.iter().flat_map(|criu| ["--criu", criu]))
            .args(arguments)
            .current_dir(&self.bundle)
            // containerd's own; a runtime would pass descriptors on by it.
            .env_remove("LISTEN_FDS")
            .stdin(streams.stdin)
            .stdout(streams.stdout)
            .stderr(streams.stderr);
        let what = format!("{} {}", self.record.program.display(), arguments[0].display());
        crate::log::debug(&format!("{command:?}"));
        let child = command.spawn().with_context(|| format!("start {what}"))?;
        Ok(Started { pid: child.id(), output, messages, log, kept: Vec::new(), what })
    }
}

impl Started {
    /// Keeps a file open that the runtime knows by [`name_of`].
    pub(crate) fn keep(&mut self, file: File) {
        self.kept.push(file);
    }

    /// What it printed; or, where it failed, why.
    ///
    /// # Errors
    /// Its exit code was not 0.
    pub(crate) fn end(mut self, code: u32) -> anyhow::Result<String> {
        if code == 0 {
            return Ok(read(&mut self.output)?);
        }
        let log = read(&mut self.log).unwrap_or_default();
        let messages = read(&mut self.messages).unwrap_or_default();
        let reason = last_error(&log)
            .or_else(|| messages.lines().last().map(str::to_owned))
            .unwrap_or_else(|| format!("exit code {code}"));
        anyhow::bail!("{}: {reason}", self.what)
    }
}

/// A file in memory.
pub(crate) fn memory() -> anyhow::Result<File> {
    let file = rustix::fs::memfd_create("shim", MemfdFlags::CLOEXEC);
    Ok(File::from(file.context("make a file in memory")?))
}

/// The name by which others of this user open it, as long as this process has it open.
pub(crate) fn name_of(file: &File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

fn read(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(OUTPUT_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last error in a log of JSON objects, in logrus's words, which all runtimes use. runc writes a line for each,
/// crun several; what is no object is passed over.
fn last_error(log: &str) -> Option<String> {
    let (mut rest, mut last) = (log, None);
    while let Some(start) = rest.find('{') {
        rest = &rest[start..];
        let mut entries = Deserializer::from_str(rest).into_iter::<Value>();
        let entry = entries.next();
        let Some(Ok(entry)) = entry else {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
            continue;
        };
        rest = &rest[entries.byte_offset()..];
        if entry["level"] == "error" || entry["level"] == "fatal" {
            last = entry["msg"].as_str().map(str::to_owned).or(last);
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_last_error_of_the_log() {
        let log = "{\"level\":\"error\",\"msg\":\"first\"}\nnoise\n{\"level\":\"error\",\"msg\":\"last\"}\n{\"level\":\"info\",\"msg\":\"no\"}\n";
        assert_eq!(last_error(log).as_deref(), Some("last"));
        let spread = "{ noise\n{\n  \"msg\": \"over lines\",\n  \"level\": \"error\"\n}\n";
        assert_eq!(last_error(spread).as_deref(), Some("over lines"));
        assert_eq!(last_error(""), None);
    }

    #[test]
    fn output_and_failure_are_told_apart() {
        let bundle = tempfile::tempdir().unwrap();
        let run = |code: u32| {
            let (program, root) = ("/bin/echo".into(), "/r".into());
            let record = Record { program, root, systemd_cgroup: false, criu: None };
            let runtime = Runtime::of(record, bundle.path());
            let started = runtime.start(&["ps".into()], None).unwrap();
            let pid = rustix::process::Pid::from_raw(started.pid as i32);
            rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap();
            started.end(code)
        };
        assert!(run(0).unwrap().starts_with("--root /r --log /proc/"));
        assert_eq!(run(3).unwrap_err().to_string(), "/bin/echo ps: exit code 3");
    }
}
