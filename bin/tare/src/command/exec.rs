//! `tare exec`: run a further command in a container that runs.

mod process;

use std::ffi::OsStr;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use cli::ErrorExt as _;
use rustix::process::Pid;

use crate::Context;
use crate::attach::{Attached, Input, Output, Plan, Start};
use crate::container::{Container, ContainerId};
use crate::runtime::Runtime;

#[derive(Debug, clap::Args)]
#[command(override_usage = "tare exec [OPTIONS] CONTAINER COMMAND...")]
pub(crate) struct Arguments {
    /// Pass standard input on
    #[arg(short, long)]
    interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    tty: bool,
    /// Do not wait for the command
    #[arg(short, long)]
    detach: bool,
    /// Set a variable: NAME=VALUE, or NAME alone to take it from here
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Read variables from a file, one per line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// User and group, by name or number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// All capabilities
    #[arg(long)]
    privileged: bool,
    /// Name or id of the container; then command and arguments
    #[arg(required = true, num_args = 2.., trailing_var_arg = true, value_name = "CONTAINER COMMAND")]
    words: Vec<String>,
}

impl Arguments {
    fn container(&self) -> &str {
        // clap requires two.
        self.words.first().map_or("", String::as_str)
    }

    /// All that follows the container is the command's, options too.
    fn command(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }
}

/// The exit code is the command's; 125 where it never ran, 126 and 127 where it could not be executed or
/// found.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    exec(arguments, context)
        .with_context(|| {
            let command = arguments.command().first().map_or("", String::as_str);
            format!("cannot execute {command} in {}", arguments.container())
        })
        .default_exit_code(125)
}

fn exec(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    // docker's code for these two.
    let container = context.root.find(arguments.container()).exit_code(1)?;
    check(arguments, &container).exit_code(1)?;
    if let Some(process) = container.process().and_then(|process| Pid::from_raw(process.pid)) {
        crate::rootless::join(process)?;
    }
    let files = Files::write(&container, arguments)?;
    let runtime = Runtime::of(&container);
    let words = ["exec", "--detach", "--process"].map(OsStr::new);
    let start = Start {
        words: &[words[0], words[1], words[2], files.process.as_os_str()],
        pid_file: &files.pid,
        id: container.record.id.as_str(),
        log: arguments.detach.then_some(files.log.as_path()),
    };
    let (input, output) = match (arguments.detach, arguments.interactive) {
        (true, _) => (Input::Closed, Output::Nowhere),
        (false, true) => (Input::Ours, Output::Ours),
        (false, false) => (Input::Closed, Output::Ours),
    };
    let attached = Attached::start(&runtime, start, Plan { tty: arguments.tty, input, output })?;
    if arguments.detach {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(attached.run(None)?))
}

fn check(arguments: &Arguments, container: &Container) -> anyhow::Result<()> {
    if !container.status().is_running() {
        bail!("container {} is not running", container.record.name);
    }
    let wants_terminal = arguments.tty && arguments.interactive && !arguments.detach;
    if wants_terminal && !std::io::stdin().is_terminal() {
        return Err(anyhow!("standard input is not a terminal"))
            .hint("use -i without -t, or -t without -i");
    }
    if arguments.tty && arguments.detach {
        bail!("--tty and --detach do not go together: nobody would hold the terminal");
    }
    Ok(())
}

/// What the runtime reads and writes to start the process. Dropped, the files go.
#[derive(Debug)]
struct Files {
    process: PathBuf,
    pid: PathBuf,
    log: PathBuf,
}

impl Files {
    fn write(container: &Container, arguments: &Arguments) -> anyhow::Result<Self> {
        let id = ContainerId::random()?;
        let name = |ending: &str| container.dir().join(format!("exec-{}.{ending}", id.short()));
        let files = Self { process: name("json"), pid: name("pid"), log: name("log") };
        let process = process::process(container, arguments)?;
        let text = serde_json::to_vec(&process).context("cannot describe the process")?;
        std::fs::write(&files.process, text)
            .with_context(|| format!("cannot write {}", files.process.display()))?;
        Ok(files)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in [&self.process, &self.pid, &self.log] {
            let _ = std::fs::remove_file(path);
        }
    }
}
