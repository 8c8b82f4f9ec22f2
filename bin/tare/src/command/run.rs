//! `tare run`: a bundle of an image, a runtime on it, and the bundle released.

mod create;
mod network;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use cli::ErrorExt as _;
use std::io::IsTerminal as _;

use crate::Context;
use crate::attach::{Input, Output, Plan};
use crate::container::{Container, MonitorLock};

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, override_usage = "tare run [OPTIONS] IMAGE [COMMAND]...")]
pub(crate) struct Arguments {
    /// Pass standard input on
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Run in the background and print the container's id
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Remove the container when it ends
    #[arg(long)]
    pub(crate) rm: bool,
    /// Name of the container
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Put a small first process before the command that passes signals on and collects orphans
    #[arg(long)]
    pub(crate) init: bool,
    /// Attach a label to the container
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(crate) label: Vec<String>,
    /// Write the container's id to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) cidfile: Option<PathBuf>,
    /// Seconds that `tare stop` waits
    #[arg(long, value_name = "SECONDS")]
    pub(crate) stop_timeout: Option<u64>,
    /// Platform of the image, such as linux/amd64
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<image::Platform>,
    /// Refused: there is no bridge network to publish ports of
    #[arg(short, long, value_name = "PORTS", hide = true)]
    publish: Vec<String>,
    /// Runtime program, with runc's command line
    #[arg(long, value_name = "PROGRAM", default_value = "tare-runtime")]
    pub(crate) runtime: PathBuf,
    /// How the root file system is made: erofs or directory [default: what works]
    #[arg(long, value_name = "DRIVER")]
    pub(crate) driver: Option<rootfs::Driver>,
    /// Image, by name or id; then command and arguments, in place of the image's
    #[arg(required = true, trailing_var_arg = true, value_name = "IMAGE [COMMAND]")]
    words: Vec<String>,
    #[command(flatten)]
    pub(crate) flags: cli::RunFlags,
}

impl Arguments {
    fn image(&self) -> &str {
        // clap requires one.
        self.words.first().map_or("", String::as_str)
    }

    /// All that follows the image is the command's, options too.
    fn command(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }
}

/// The exit code is the container's; 125 where it never ran, 126 and 127 where its command could not be
/// executed or found.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    launch(arguments, context)
        .with_context(|| format!("cannot run {}", arguments.image()))
        .default_exit_code(125)
}

fn launch(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    check(arguments)?;
    crate::rootless::enter()?;
    let interrupt = cli::Interrupt::install().context("cannot handle signals")?;
    let (container, lock) = create::create(arguments, context, &interrupt)?;
    let unfinished = Unfinished(Some(container));
    let container = unfinished.container()?;
    interrupt.check()?;
    interrupt.uninstall();
    let code =
        if arguments.detach { background(container, lock)? } else { foreground(container, lock)? };
    unfinished.finished();
    Ok(code)
}

fn check(arguments: &Arguments) -> anyhow::Result<()> {
    if !arguments.publish.is_empty() {
        return Err(anyhow!("there is no bridge network whose ports could be published"))
            .hint("leave -p out: the container is in the host's network, and so are its ports");
    }
    let wants_terminal = arguments.flags.tty() && arguments.interactive && !arguments.detach;
    if wants_terminal && !std::io::stdin().is_terminal() {
        return Err(anyhow!("standard input is not a terminal"))
            .hint("use -i without -t, or -t without -i")
            .exit_code(1);
    }
    Ok(())
}

/// Watches the container from this process. The lock is held until it returns.
fn foreground(container: &Container, _lock: MonitorLock) -> anyhow::Result<ExitCode> {
    let record = &container.record;
    let input = if record.interactive { Input::Ours } else { Input::Closed };
    let plan = Plan { tty: record.tty, input, output: Output::Ours };
    Ok(ExitCode::from(crate::monitor::watch(container, plan, || Ok(()))?))
}

fn background(container: &Container, lock: MonitorLock) -> anyhow::Result<ExitCode> {
    match super::monitor::start(container, lock)? {
        None => {
            cli::print(&container.record.id)?;
            Ok(ExitCode::SUCCESS)
        }
        // The monitor has said why.
        Some(code) => {
            container.remove()?;
            Ok(ExitCode::from(code))
        }
    }
}

/// A container that is removed again unless it was started.
#[derive(Debug)]
struct Unfinished(Option<Container>);

impl Unfinished {
    fn container(&self) -> anyhow::Result<&Container> {
        self.0.as_ref().context("no container")
    }

    fn finished(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(container) = self.0.take()
            && let Err(error) = container.remove()
        {
            cli::warn(format_args!("container {}: {error:#}", container.record.id.short()));
        }
    }
}
