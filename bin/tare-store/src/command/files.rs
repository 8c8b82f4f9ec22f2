//! `tare-store files` and `tare-store which-layer`: which layer a file comes from.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use image::Platform;
use serde::Serialize;
use store::Store;
use tree::NodeKind;

use crate::find::short;
use crate::look::changes::{change_letter, change_name};
use crate::look::listing::{Listing, Row};
use crate::look::names::printable;
use crate::look::shown::{Shown, file_size, permissions};
use crate::look::{self, Opened};

/// One line for each path: the number of the layer that it comes from, its size, its name.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    /// Which image of several
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Image, by name or id
    image: String,
    /// Only what is at and below this path
    path: Option<String>,
}

/// Every layer that put something at the path or took it away, the last of which decides.
#[derive(Debug, clap::Args)]
pub(crate) struct WhichArguments {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    /// Which image of several
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Image, by name or id
    image: String,
    /// The path
    path: String,
}

/// One layer's deed as `which-layer --json` shows it.
#[derive(Debug, Serialize)]
struct Deed {
    /// The layer's number, from 1.
    layer: usize,
    diff_id: String,
    change: &'static str,
    /// The instruction that made the layer.
    created_by: String,
    /// The file as it is with the layer; absent where it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<Shown>,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let opened = Opened::read(store, &arguments.image, arguments.platform.as_ref())?;
    let mut listing = Listing::of(opened.layers.tree()?);
    if let Some(path) = &arguments.path {
        let top = inspect::real_path(&listing.tree, &look::path(path)?);
        listing = listing.below(&top);
        if listing.rows.is_empty() {
            bail!("there is no {top} in {}", arguments.image);
        }
    }
    if arguments.json {
        let shown = |row: &Row| Shown::new(&row.path, listing.node(row), None);
        cli::print_json(&listing.rows.iter().map(shown).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = cli::Out::new();
    for row in listing.rows.iter().filter(|row| !row.path.is_root()) {
        let node = listing.node(row);
        let layer = match node.kind {
            NodeKind::File { layer, .. } => (layer + 1).to_string(),
            _ => "-".to_owned(),
        };
        let size = file_size(node).map_or_else(|| "-".to_owned(), |size| size.to_string());
        let slash = if node.is_directory() { "/" } else { "" };
        writeln!(out, "{layer:>3} {size:>12} /{}{slash}", printable(row.path.as_bytes()))?;
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn which(arguments: &WhichArguments, store: &Store) -> anyhow::Result<ExitCode> {
    let opened = Opened::read(store, &arguments.image, arguments.platform.as_ref())?;
    let asked = look::path(&arguments.path)?;
    let path = inspect::real_path(&opened.layers.tree()?, &asked);
    let traces = opened.layers.trace(&path)?;
    if traces.is_empty() {
        bail!("no layer of {} has {path}", arguments.image);
    }
    let deeds: Vec<Deed> = traces
        .iter()
        .map(|trace| Deed {
            layer: trace.layer + 1,
            diff_id: opened.layers.all()[trace.layer].diff_id.to_string(),
            change: change_name(trace.change),
            created_by: opened.instruction(trace.layer).to_owned(),
            file: trace.node.as_ref().map(|node| Shown::new(&path, node, None)),
        })
        .collect();
    if arguments.json {
        cli::print_json(&deeds)?;
        return Ok(ExitCode::SUCCESS);
    }
    if path != asked {
        cli::note(format_args!("{asked} is {path}"));
    }
    let mut table =
        cli::Table::new(["", "LAYER", "DIFF ID", "PERMISSIONS", "OWNER", "SIZE", "CREATED BY"]);
    for (trace, deed) in traces.iter().zip(&deeds) {
        let node = trace.node.as_ref();
        let owner = |node: &tree::Node| format!("{}:{}", node.metadata.uid, node.metadata.gid);
        table.row([
            change_letter(trace.change).to_string(),
            deed.layer.to_string(),
            short(&deed.diff_id),
            node.map_or_else(String::new, permissions),
            node.map_or_else(String::new, owner),
            node.and_then(file_size).map_or_else(String::new, cli::bytes),
            super::history::cut(&deed.created_by, false),
        ]);
    }
    table.print()?;
    Ok(ExitCode::SUCCESS)
}
