//! `start`: run the program of a created container.

use clap::Args;
use container::ContainerId;

use super::create::notify_socket;
use crate::arguments::Globals;

/// Run the program of a created container
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The container
    container_id: ContainerId,
}

pub(crate) fn run(globals: &Globals, options: &Options) -> anyhow::Result<u8> {
    container::start(&globals.root()?, &options.container_id, notify_socket().as_deref())?;
    Ok(0)
}
