//! `kill`: a signal to a container.

use clap::Args;
use container::{ContainerId, Signal};

use crate::arguments::Globals;

/// Send a signal to a container's first process
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Send it to all processes of the container
    #[arg(short, long)]
    all: bool,
    /// The container
    container_id: ContainerId,
    /// Name or number: TERM, SIGTERM, 15
    #[arg(default_value = "SIGTERM")]
    signal: Signal,
}

pub(crate) fn run(globals: &Globals, options: &Options) -> anyhow::Result<u8> {
    container::kill(&globals.root()?, &options.container_id, options.signal, options.all)?;
    Ok(0)
}
