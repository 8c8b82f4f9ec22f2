//! The runtime program: `tare-runtime`, or any with runc's command line.
//!
//! A container is started with `run --detach`: when that returns, the runtime is gone and the
//! container's first process is *our* child, as we are a subreaper (prctl(2)). So its exit status
//! comes from the kernel, never mixed up with a failure of the runtime.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use anyhow::{Context as _, anyhow};

use crate::container::Container;

/// A runtime program and where it keeps its state.
#[derive(Clone, Debug)]
pub(crate) struct Runtime {
    program: PathBuf,
    root: PathBuf,
}

impl Runtime {
    /// The runtime that a container was started with.
    pub(crate) fn of(container: &Container) -> Self {
        let program = container.record.runtime.clone();
        Self { program, root: container.root().runtime_root() }
    }

    /// A command of the runtime: `COMMAND ARGUMENTS…`, with its input and outputs closed.
    pub(crate) fn command<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// As [`Runtime::command`], with a log in JSON for [`logged`] to read.
    pub(crate) fn logging_command(&self, log: &Path, arguments: &[&OsStr]) -> Command {
        let options =
            [OsStr::new("--log"), log.as_os_str(), "--log-format".as_ref(), "json".as_ref()];
        self.command(options.iter().chain(arguments))
    }

    /// Sends a signal to the container's first process.
    pub(crate) fn kill(&self, id: &str, signal: &str) -> anyhow::Result<()> {
        self.call(["kill", id, signal])
            .with_context(|| format!("cannot send signal {signal} to container {}", short(id)))
    }

    /// Kills what is left of the container, and removes its cgroup and the runtime's state. It is no
    /// error if there is nothing.
    pub(crate) fn delete(&self, id: &str) -> anyhow::Result<()> {
        self.delete_while(id, || {})
    }

    /// As [`Runtime::delete`], doing something else meanwhile.
    pub(crate) fn delete_while(&self, id: &str, meanwhile: impl FnOnce()) -> anyhow::Result<()> {
        let deleting = self.command(["delete", "--force", id]).stderr(Stdio::piped()).spawn();
        meanwhile();
        let output = deleting.and_then(Child::wait_with_output);
        judged(&output.with_context(|| self.cannot_start())?)
            .with_context(|| format!("cannot delete container {} in the runtime", short(id)))
    }

    /// Runs a command made by [`Runtime::command`] to its end.
    pub(crate) fn status(&self, command: &mut Command) -> anyhow::Result<ExitStatus> {
        command.status().with_context(|| self.cannot_start())
    }

    fn cannot_start(&self) -> String {
        format!("cannot start the runtime {}", self.program.display())
    }

    fn call<const N: usize>(&self, arguments: [&str; N]) -> anyhow::Result<()> {
        let output = self
            .command(arguments)
            .stderr(Stdio::piped())
            .output()
            .with_context(|| self.cannot_start())?;
        judged(&output)
    }

    /// The error of a start that failed, with docker's exit code for it: 127 where the container has no
    /// such command, 126 where it cannot be executed, else 125.
    pub(crate) fn start_error(&self, status: ExitStatus, said: &[u8]) -> anyhow::Error {
        let message = last_words(said);
        let code = match status.code() {
            Some(126) => 126,
            Some(127) => 127,
            _ => code_for(&message),
        };
        let program = self.program.file_name().unwrap_or_default().to_string_lossy();
        cli::coded(anyhow!("{program}: {message}"), code)
    }
}

fn judged(output: &Output) -> anyhow::Result<()> {
    if output.status.success() { Ok(()) } else { Err(anyhow!(last_words(&output.stderr))) }
}

/// The messages of a runtime's log, one per line; empty where there is none.
pub(crate) fn logged(log: &Path) -> Vec<u8> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let message = |line: &str| {
        let entry: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(entry.get("msg")?.as_str()?.to_owned())
    };
    text.lines().filter_map(message).collect::<Vec<_>>().join("\n").into_bytes()
}

/// What kernels and runtimes say when a command cannot be executed.
fn code_for(message: &str) -> u8 {
    let message = message.to_lowercase();
    let about_the_command =
        ["exec", "command", "executable"].iter().any(|word| message.contains(word));
    let missing = ["not found", "no such file or directory", "enoent"];
    let forbidden =
        ["permission denied", "eacces", "exec format error", "enoexec", "is a directory"];
    match () {
        () if !about_the_command => 125,
        () if missing.iter().any(|words| message.contains(words)) => 127,
        () if forbidden.iter().any(|words| message.contains(words)) => 126,
        () => 125,
    }
}

/// What a failed runtime said, as one line, without what only makes sense in a log.
fn last_words(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.map(message).collect::<Vec<_>>().join(": ");
    if line.is_empty() { "failed without a message".to_owned() } else { line }
}

/// The message in one line of runc's log (`time=… level=error msg="…"`) or of our own report
/// (`tare-runtime: error: …`, `caused by: …`).
fn message(line: &str) -> String {
    if let Some((_, quoted)) = line.split_once(" msg=\"") {
        return unquoted(quoted);
    }
    let line = line.strip_prefix("caused by: ").unwrap_or(line);
    match line.split_once(": error: ") {
        Some((program, rest)) if !program.contains(' ') => rest.to_owned(),
        _ => line.to_owned(),
    }
}

/// The text up to the closing quote, without escapes.
fn unquoted(text: &str) -> String {
    let mut result = String::new();
    let mut escaped = false;
    for character in text.chars() {
        match (escaped, character) {
            (false, '\\') => escaped = true,
            (false, '"') => break,
            (_, character) => {
                escaped = false;
                result.push(character);
            }
        }
    }
    result
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_from_each_runtimes_format() {
        let runc =
            br#"time="2026-01-31T10:20:30Z" level=error msg="runc run failed: exec: \"x\": gone""#;
        assert_eq!(last_words(runc), "runc run failed: exec: \"x\": gone");
        let ours = b"tare-runtime: error: cannot run app\n  caused by: no such file\n";
        assert_eq!(last_words(ours), "cannot run app: no such file");
        assert_eq!(last_words(b"plain: words\n"), "plain: words");
    }

    #[test]
    fn a_failed_start_has_dockers_exit_code() {
        for (message, code) in [
            ("exec: \"nope\": executable file not found in $PATH", 127),
            ("exec /nope: no such file or directory", 127),
            ("exec: \"/etc/passwd\": permission denied", 126),
            ("exec /x: exec format error", 126),
            ("cannot mount proc: no such file or directory", 125),
            ("failed without a message", 125),
        ] {
            assert_eq!(code_for(message), code, "{message}");
        }
    }
}
