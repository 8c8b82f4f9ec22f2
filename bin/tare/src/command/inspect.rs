//! `tare inspect`: all that is known of containers, as JSON.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use crate::Context;
use crate::container::{Container, Exit, Process, Record};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// One container: a JSON array of these is printed. Field names are docker's where docker has them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    name: String,
    created: String,
    image: String,
    image_name: String,
    path: Option<String>,
    args: Vec<String>,
    state: State,
    bundle: PathBuf,
    log_path: PathBuf,
    runtime: PathBuf,
    detached: bool,
    auto_remove: bool,
    tty: bool,
    open_stdin: bool,
    stop_signal: Option<String>,
    labels: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: &'static str,
    running: bool,
    /// 0 when it does not run.
    pid: i32,
    /// `null` while it runs, and where nobody saw how it ended.
    exit_code: Option<u8>,
    started_at: Option<String>,
    finished_at: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let found: Vec<Inspected> = arguments
        .containers
        .iter()
        .map(|name| Ok(inspected(&context.root.find(name)?)))
        .collect::<anyhow::Result<_>>()?;
    cli::print_json(&found)?;
    Ok(ExitCode::SUCCESS)
}

fn inspected(container: &Container) -> Inspected {
    let Record { id, name, image, image_id, command, created, runtime, .. } =
        container.record.clone();
    let record = &container.record;
    Inspected {
        id: id.to_string(),
        name,
        created: cli::rfc3339(created),
        image: image_id,
        image_name: image,
        path: command.first().cloned(),
        args: command.into_iter().skip(1).collect(),
        state: state(container),
        bundle: container.bundle(),
        log_path: container.log_path(),
        runtime,
        detached: record.detached,
        auto_remove: record.auto_remove,
        tty: record.tty,
        open_stdin: record.interactive,
        stop_signal: record.stop_signal.clone(),
        labels: record.labels.clone(),
    }
}

fn state(container: &Container) -> State {
    let status = container.status();
    let process: Option<Process> = container.process();
    let exit: Option<Exit> = container.exit();
    let running = status.is_running();
    State {
        status: status.word(),
        running,
        pid: process.filter(|_| running).map_or(0, |process| process.pid),
        exit_code: exit.map(|exit| exit.code),
        started_at: process.map(|process| cli::rfc3339(process.started)),
        finished_at: exit.map(|exit| cli::rfc3339(exit.finished)),
    }
}
