//! `tare build|store|runtime …`: become the program of that job.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::Context as _;

use crate::Context;

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub(crate) struct Arguments {
    /// Arguments of the program
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Replaces this process, so that signals, terminal and exit code need no handing on.
pub(crate) fn run(
    name: &str,
    arguments: &Arguments,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let program = cli::sibling(name)?;
    let mut command = Command::new(&program);
    command.args(&arguments.arguments);
    // A `--store` that stood before the command is meant for it.
    if let Some(store) = context.store.given() {
        command.env("TARE_STORE", store);
    }
    Err(command.exec()).with_context(|| format!("cannot execute {}", program.display()))
}
