//! `tare-store unbundle`: release a bundle.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Bundles that `tare-store bundle` made
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    for dir in &arguments.dirs {
        bundle::release(dir)
            .with_context(|| format!("cannot release the bundle {}", dir.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
