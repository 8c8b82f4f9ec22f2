//! `spec`: a configuration to start from.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

/// Write a config.json to start from
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The bundle's directory
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,
    /// For a user without privileges
    #[arg(long)]
    rootless: bool,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<u8> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let spec = container::default_spec(options.rootless.then_some((uid, gid)))?;
    let name = options.bundle.join("config.json");
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&name)
        .with_context(|| format!("make {}", name.display()))?;
    let text = serde_json::to_string_pretty(&spec)?;
    file.write_all(text.as_bytes()).with_context(|| format!("write {}", name.display()))?;
    Ok(0)
}
