//! `tare monitor ID`, hidden: the process that watches one container in the background.
//!
//! `tare run -d` starts it with the container's monitor lock as standard input (so that there is no
//! moment without a holder), a pipe as standard output, and its own standard error. It writes a line to
//! the pipe once the container runs; until then its errors are those of `tare run`. One per
//! container, and gone with it.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;
use cli::ErrorExt as _;

use crate::Context;
use crate::attach::{Input, Output, Plan};
use crate::container::{Container, MonitorLock};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    id: String,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let container = context.root.find(&arguments.id).default_exit_code(125)?;
    // The terminal that `tare run -d` was typed at may go away.
    rustix::process::setsid().context("cannot leave the terminal").default_exit_code(125)?;
    let record = &container.record;
    let input = if record.interactive { Input::Silent } else { Input::Closed };
    let plan = Plan { tty: record.tty, input, output: Output::LogOnly };
    crate::monitor::watch(&container, plan, leave_caller)
        .with_context(|| format!("cannot run {}", record.image))
        .default_exit_code(125)?;
    Ok(ExitCode::SUCCESS)
}

/// Tells the caller that the container runs, and lets go of its standard error.
fn leave_caller() -> anyhow::Result<()> {
    // A caller that was killed meanwhile does not matter: the container is to run.
    let _ = cli::print("running");
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = null.context("cannot open /dev/null")?;
    rustix::stdio::dup2_stdout(&null).context("cannot close standard output")?;
    rustix::stdio::dup2_stderr(&null).context("cannot close standard error")
}

/// Starts the monitor of a container; `None` once the container runs, else the exit code of a monitor
/// that has said why not.
pub(crate) fn start(container: &Container, lock: MonitorLock) -> anyhow::Result<Option<u8>> {
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    let mut monitor = Command::new("/proc/self/exe")
        .arg("--root")
        .arg(container.root().path())
        .args(["monitor", container.record.id.as_str()])
        .current_dir("/")
        .stdin(lock.into_stdio())
        .stdout(Stdio::from(OwnedFd::from(writer)))
        .spawn()
        .context("cannot start the monitor of the container")?;
    let mut said = String::new();
    File::from(OwnedFd::from(reader))
        .read_to_string(&mut said)
        .context("cannot read from the monitor of the container")?;
    if !said.is_empty() {
        return Ok(None);
    }
    let status = monitor.wait().context("cannot wait for the monitor of the container")?;
    Ok(Some(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(125)))
}
