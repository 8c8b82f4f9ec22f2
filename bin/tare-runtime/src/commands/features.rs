//! `features`: what this runtime can do (runtime-spec, features-linux.md), so that an engine need not try.

use clap::Args;

/// Print what this runtime supports, as JSON
#[derive(Debug, Args)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> anyhow::Result<u8> {
    println!("{}", serde_json::to_string_pretty(&container::features())?);
    Ok(0)
}
