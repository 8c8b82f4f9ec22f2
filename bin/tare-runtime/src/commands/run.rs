//! `run`: create, start, wait, delete.

use clap::Args;
use container::{ContainerId, RunOptions};

use super::create::BundleOptions;
use crate::arguments::Globals;

/// Create a container, run its program and wait for it
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    bundle: BundleOptions,
    /// Return as soon as the program runs
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Do not delete the container when it has ended
    #[arg(long)]
    keep: bool,
    /// Do not adopt processes that the container orphans
    #[arg(long)]
    no_subreaper: bool,
    /// Name for the container, unique below the state root
    container_id: ContainerId,
}

pub(crate) fn run(globals: &Globals, options: &Options) -> anyhow::Result<u8> {
    let create = options.bundle.resolve(globals);
    let stay = RunOptions {
        detach: options.detach,
        keep: options.keep,
        no_subreaper: options.no_subreaper,
    };
    let code = container::run(&globals.root()?, &options.container_id, &create, &stay)?;
    Ok(code as u8)
}
