//! `tare kill`: send a signal.

use std::process::ExitCode;

use anyhow::bail;

use crate::Context;
use crate::runtime::Runtime;
use crate::signals;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Signal, by name or number
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL", value_parser = signals::parse)]
    signal: i32,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    super::each(&arguments.containers, context, |container| {
        if !container.status().is_running() {
            bail!("container {} is not running", container.record.name);
        }
        Runtime::of(container).kill(container.record.id.as_str(), &arguments.signal.to_string())
    })
}
