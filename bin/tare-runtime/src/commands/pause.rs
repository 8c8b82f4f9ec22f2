//! `pause`.

use clap::Args;
use container::ContainerId;

use crate::arguments::Globals;

/// Stop all processes of a container
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The container
    container_id: ContainerId,
}

pub(crate) fn run(globals: &Globals, options: &Options) -> anyhow::Result<u8> {
    container::pause(&globals.root()?, &options.container_id)?;
    Ok(0)
}
