//! `tare ps`: list containers.

use std::process::ExitCode;

use serde::Serialize;

use crate::Context;
use crate::container::{Container, Status};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Show those that have ended too
    #[arg(short, long)]
    all: bool,
    /// Print only ids
    #[arg(short, long)]
    quiet: bool,
    /// Print whole ids and commands
    #[arg(long)]
    no_trunc: bool,
    #[command(flatten)]
    format: cli::FormatFlags,
}

/// One container as `--json` shows it.
///
/// ```json
/// {"Id": "4c01…", "Name": "app1", "Image": "app", "ImageId": "sha256:…", "Command": ["python3"],
///  "Created": "2026-01-31T10:20:30Z", "State": "exited", "Status": "Exited (0) 2 hours ago",
///  "ExitCode": 0, "Pid": null, "Labels": {}}
/// ```
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    id: String,
    name: String,
    image: String,
    image_id: String,
    command: Vec<String>,
    created: String,
    /// `created`, `running`, `exited` or `dead`.
    state: &'static str,
    status: String,
    exit_code: Option<u8>,
    pid: Option<i32>,
    labels: std::collections::BTreeMap<String, String>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let mut shown: Vec<(Container, Status)> = Vec::new();
    for container in context.root.list()? {
        let status = container.status();
        if arguments.all || status.is_running() {
            shown.push((container, status));
        }
    }
    if arguments.format.is_json() {
        cli::print_json(&shown.iter().map(row).collect::<Vec<_>>())?;
    } else if arguments.quiet {
        for (container, _) in &shown {
            cli::print(id(container, arguments.no_trunc))?;
        }
    } else {
        table(&shown, arguments.no_trunc).print()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row((container, status): &(Container, Status)) -> Row {
    let record = container.record.clone();
    Row {
        id: record.id.to_string(),
        name: record.name,
        image: record.image,
        image_id: record.image_id,
        command: record.command,
        created: cli::rfc3339(record.created),
        state: status.word(),
        status: status.to_string(),
        exit_code: container.exit().map(|exit| exit.code),
        pid: container.process().filter(|_| status.is_running()).map(|process| process.pid),
        labels: record.labels,
    }
}

fn table(shown: &[(Container, Status)], whole: bool) -> cli::Table {
    let mut table =
        cli::Table::new(["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "NAMES"]);
    for (container, status) in shown {
        let record = &container.record;
        table.row([
            id(container, whole).to_owned(),
            record.image.clone(),
            command(&record.command, whole),
            cli::age(record.created),
            status.to_string(),
            record.name.clone(),
        ]);
    }
    table
}

fn id(container: &Container, whole: bool) -> &str {
    let id = &container.record.id;
    if whole { id.as_str() } else { id.short() }
}

/// In quotes, and no longer than 20 characters, as docker shows it.
fn command(words: &[String], whole: bool) -> String {
    let line = words.join(" ");
    if whole || line.chars().count() <= 20 {
        return format!("\"{line}\"");
    }
    format!("\"{}…\"", line.chars().take(19).collect::<String>())
}
