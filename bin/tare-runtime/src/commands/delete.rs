//! `delete`: forget a stopped container.

use clap::Args;
use container::ContainerId;

use crate::arguments::Globals;

/// Delete a stopped container
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Kill it first if it runs; a missing container is no error
    #[arg(short, long)]
    force: bool,
    /// The container
    container_id: ContainerId,
}

pub(crate) fn run(globals: &Globals, options: &Options) -> anyhow::Result<u8> {
    container::delete(&globals.root()?, &options.container_id, options.force)?;
    Ok(0)
}
