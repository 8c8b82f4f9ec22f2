//! `tare info`: versions, places, and what this machine can do.

use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};

use crate::Context;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What it knows itself, then what `tare-store info` knows of the store.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let containers = context.root.list()?;
    let running = containers.iter().filter(|one| one.status().is_running()).count();
    let runtime = cli::sibling("tare-runtime").ok();
    if arguments.json {
        cli::print_json(&serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "root": context.root.path(),
            "containers": containers.len(),
            "running": running,
            "runtime": runtime,
            "store": serde_json::from_slice::<serde_json::Value>(&store_info(context, &["--json"])?)
                .context("cannot understand the answer of tare-store info")?,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let store = store_info(context, &[])?;
    let runtime = runtime.map_or("none found".to_owned(), |path| path.display().to_string());
    let mut out = cli::Out::new();
    writeln!(out, "State:   {}", context.root.path().display())?;
    writeln!(out, "Running: {running} of {} containers", containers.len())?;
    writeln!(out, "Runtime: {runtime}")?;
    out.write_all(&store)?;
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn store_info(context: &Context, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let program = cli::sibling("tare-store")?;
    let mut command = Command::new(&program);
    if let Some(store) = context.store.given() {
        command.arg("--store").arg(store);
    }
    let output = command
        .arg("info")
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot execute {}", program.display()))?;
    if !output.status.success() {
        bail!("tare-store info failed");
    }
    Ok(output.stdout)
}
