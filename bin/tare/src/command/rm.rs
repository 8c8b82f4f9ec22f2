//! `tare rm`: remove containers with their read-write layers.

use std::process::ExitCode;

use anyhow::anyhow;

use crate::Context;
use crate::container::{Container, Status};
use crate::runtime::Runtime;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Kill those that run
    #[arg(short, long)]
    force: bool,
    /// Accepted as docker does; there are no anonymous volumes
    #[arg(short, long, hide = true)]
    volumes: bool,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    if arguments.force {
        // From outside a namespace its user may do so, from another namespace not.
        for container in arguments.containers.iter().filter_map(|it| context.root.find(it).ok()) {
            end(&container)?;
        }
    }
    crate::rootless::enter()?;
    super::each(&arguments.containers, context, |container| remove(container, arguments.force))
}

/// Kills a container that runs.
fn end(container: &Container) -> anyhow::Result<()> {
    if !container.status().is_running() {
        return Ok(());
    }
    let killed = Runtime::of(container).kill(container.record.id.as_str(), "9");
    match container.process() {
        Some(process) if process.is_alive() => {
            killed?;
            process.wait_end(None).map(drop)
        }
        _ => Ok(()),
    }
}

fn remove(container: &Container, force: bool) -> anyhow::Result<()> {
    let runtime = Runtime::of(container);
    let id = container.record.id.as_str();
    match container.status() {
        Status::Running { .. } if force => end(container)?,
        Status::Running { .. } | Status::Created => return Err(running(container)),
        Status::Exited { .. } | Status::Dead => {}
    }
    // Its monitor records the end, and with `--rm` removes it; what follows is idempotent.
    container.wait_unwatched()?;
    runtime.delete(id)?;
    container.remove()
}

fn running(container: &Container) -> anyhow::Error {
    let name = &container.record.name;
    let hint = format!("stop it first with: tare stop {name}, or kill it with: tare rm -f {name}");
    cli::hinted(anyhow!("container {name} is running"), hint)
}
