//! `tare unshare`: become a command in a user namespace, as `podman unshare` does.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::Context as _;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Command and arguments [default: sh]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// The exit code is the command's.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    crate::rootless::enter()?;
    let shell = [OsString::from("sh")];
    let words = if arguments.command.is_empty() { &shell[..] } else { &arguments.command };
    let (program, rest) = words.split_first().context("no command")?;
    Err(Command::new(program).args(rest).exec())
        .with_context(|| format!("cannot execute {}", program.display()))
}
