//! `tare info`: versions, places, and what this machine can do.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};

use crate::Context;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What it knows itself, and what `tare-store info` knows of the store.
pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let containers = context.root.list()?;
    let running = containers.iter().filter(|one| one.status().is_running()).count();
    let runtime = cli::sibling("tare-runtime").ok();
    let store = store_info(context)?;
    if arguments.json {
        cli::print_json(&serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "root": context.root.path(),
            "containers": containers.len(),
            "running": running,
            "runtime": runtime,
            "store": store,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    cli::print(format_args!("Version:     {}", env!("CARGO_PKG_VERSION")))?;
    cli::print(format_args!("Root:        {}", context.root.path().display()))?;
    cli::print(format_args!("Containers:  {} ({running} running)", containers.len()))?;
    let runtime = runtime.map_or("none found".to_owned(), |path| path.display().to_string());
    cli::print(format_args!("Runtime:     {runtime}"))?;
    for (name, value) in store.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let name = format!("{}{}:", name[..1].to_uppercase(), name[1..].replace('_', " "));
        cli::print(format_args!("{name:<12} {value}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn store_info(context: &Context) -> anyhow::Result<serde_json::Value> {
    let program = cli::sibling("tare-store")?;
    let mut command = Command::new(&program);
    if let Some(store) = context.store.given() {
        command.arg("--store").arg(store);
    }
    let output = command
        .args(["info", "--json"])
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot execute {}", program.display()))?;
    if !output.status.success() {
        bail!("tare-store info failed");
    }
    serde_json::from_slice(&output.stdout)
        .context("cannot understand the answer of tare-store info")
}
