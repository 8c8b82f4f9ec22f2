//! `state`: what is known of a container, as JSON.

use clap::Args;
use container::ContainerId;

use crate::arguments::Globals;

/// Print a container's state as JSON
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The container
    container_id: ContainerId,
}

pub(crate) fn run(globals: &Globals, options: &Options) -> anyhow::Result<u8> {
    let state = container::state(&globals.root()?, &options.container_id)?;
    println!("{}", serde_json::to_string_pretty(&state)?);
    Ok(0)
}
