//! `ps`: the processes of a container.

use std::process::Command;

use anyhow::{Context, bail};
use clap::Args;
use container::ContainerId;

use super::list::Format;
use crate::arguments::Globals;

/// List the processes of a container
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Form of the list: the lines of ps(1), or the numbers as JSON
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The container
    container_id: ContainerId,
    /// Options for ps(1)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, default_values_t = ["-ef".to_owned()])]
    ps_options: Vec<String>,
}

pub(crate) fn run(globals: &Globals, options: &Options) -> anyhow::Result<u8> {
    let pids = container::processes(&globals.root()?, &options.container_id)?;
    if options.format == Format::Json {
        println!("{}", serde_json::to_string(&pids)?);
        return Ok(0);
    }
    let output = Command::new("ps").args(&options.ps_options).output().context("start ps")?;
    if !output.status.success() {
        bail!("ps: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    print!("{}", select(&String::from_utf8_lossy(&output.stdout), &pids)?);
    Ok(0)
}

/// The head and the lines of the given processes.
fn select(listing: &str, pids: &[i32]) -> anyhow::Result<String> {
    let head = listing.lines().next().unwrap_or_default();
    let Some(column) = head.split_whitespace().position(|title| title == "PID") else {
        bail!("ps prints no PID column with these options");
    };
    let wanted = |line: &&str| {
        let cell = line.split_whitespace().nth(column);
        cell.and_then(|pid| pid.parse().ok()).is_some_and(|pid| pids.contains(&pid))
    };
    let lines = [head].into_iter().chain(listing.lines().skip(1).filter(wanted));
    Ok(lines.flat_map(|line| [line, "\n"]).collect())
}
