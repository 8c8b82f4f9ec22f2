//! `list`: all containers below the state root.

use std::io::Write;

use clap::{Args, ValueEnum};
use container::State;

use crate::arguments::Globals;

/// List containers
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Form of the list
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Print only the ids
    #[arg(short, long)]
    quiet: bool,
}

/// Form of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}

pub(crate) fn run(globals: &Globals, options: &Options) -> anyhow::Result<u8> {
    let states = container::list(&globals.root()?)?;
    let mut out = std::io::stdout().lock();
    match options.format {
        _ if options.quiet => states.iter().try_for_each(|state| writeln!(out, "{}", state.id))?,
        Format::Json => writeln!(out, "{}", serde_json::to_string(&states)?)?,
        Format::Table => write!(out, "{}", table(&states))?,
    }
    Ok(0)
}

/// Columns as wide as their widest cell and three spaces, at least twelve.
fn table(states: &[State]) -> String {
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows = states.iter().map(|state| {
        [
            state.id.clone(),
            state.pid.to_string(),
            state.status.as_str().to_owned(),
            state.bundle.display().to_string(),
            state.created.clone(),
            state.owner.clone(),
        ]
    });
    let rows: Vec<_> = [head].into_iter().chain(rows).collect();
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count() + 3).max().unwrap_or(0).max(12)
    };
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let padding = if column + 1 < row.len() { width(column) } else { 0 };
            text.push_str(&format!("{cell:padding$}"));
        }
        text.push('\n');
    }
    text
}
