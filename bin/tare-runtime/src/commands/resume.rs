//! `resume`.

use clap::Args;
use container::ContainerId;

use crate::arguments::Globals;

/// Let the processes of a paused container go on
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The container
    container_id: ContainerId,
}

pub(crate) fn run(globals: &Globals, options: &Options) -> anyhow::Result<u8> {
    container::resume(&globals.root()?, &options.container_id)?;
    Ok(0)
}
