//! `tare wait`: wait until containers end, and print their exit codes.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::Context;
use crate::container::Container;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let containers: Vec<Container> = arguments
        .containers
        .iter()
        .map(|name| context.root.find(name))
        .collect::<anyhow::Result<_>>()?;
    for container in containers {
        cli::print(exit_code(&container)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn exit_code(container: &Container) -> anyhow::Result<u8> {
    let code = container.wait_unwatched()?;
    // Where the monitor was killed, the container may still run.
    if let Some(process) = container.process().filter(|_| code.is_none()) {
        process.wait_end(None)?;
    }
    code.with_context(|| {
        format!(
            "the exit code of container {} is unknown: its monitor was killed",
            container.record.name
        )
    })
}
