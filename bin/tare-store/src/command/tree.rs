//! `tare-store tree`: the files of an image, or of one layer, as a tree.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use image::Platform;
use serde::Serialize;
use store::Store;
use tree::LayerPath;

use crate::look::branches::Branches;
use crate::look::changes::{change_letter, change_name};
use crate::look::listing::{Listing, Row};
use crate::look::names::printable;
use crate::look::shown::{Shown, permissions, tail};
use crate::look::{self, Opened};

/// Sizes of directories are the sums of what is in them. Nothing is unpacked.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only what this layer changed: its number from 1, the lowest, or the start of its digest
    #[arg(short, long, value_name = "LAYER")]
    layer: Option<String>,
    /// Go so many directories deep
    #[arg(short = 'L', long, value_name = "LEVELS")]
    depth: Option<usize>,
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

/// A row as `--json` shows it: the file, and with `--layer` what the layer did.
#[derive(Debug, Serialize)]
struct Line {
    #[serde(flatten)]
    file: Shown,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'static str>,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let opened = Opened::read(store, &arguments.image, arguments.platform.as_ref())?;
    let mut listing = match &arguments.layer {
        Some(layer) => Listing::of_step(&opened, opened.layer(layer)?)?.only_changed(),
        None => Listing::of(opened.layers.tree()?),
    };
    let mut top = LayerPath::root();
    if let Some(path) = &arguments.path {
        top = inspect::real_path(&listing.tree, &look::path(path)?);
        listing = listing.below(&top);
        if listing.rows.is_empty() {
            bail!("there is no {top} in {}", arguments.image);
        }
    }
    let start = top.components().count();
    if let Some(depth) = arguments.depth {
        listing.rows.retain(|row| row.path.components().count() <= start + depth);
    }
    let printed = if arguments.json { print_json(&listing) } else { print(&listing, start) };
    printed.context("cannot print the tree")?;
    Ok(ExitCode::SUCCESS)
}

fn print_json(listing: &Listing) -> anyhow::Result<()> {
    let line = |row: &Row| Line {
        file: Shown::new(&row.path, listing.node(row), size(listing, row)),
        change: row.change.map(change_name),
    };
    cli::print_json(&listing.rows.iter().map(line).collect::<Vec<_>>())
}

/// Bytes of what has some.
fn size(listing: &Listing, row: &Row) -> Option<u64> {
    matches!(listing.node(row).kind, tree::NodeKind::Directory(_) | tree::NodeKind::File { .. })
        .then_some(row.size)
}

fn print(listing: &Listing, start: usize) -> anyhow::Result<()> {
    let mut out = cli::Out::new();
    let marked = listing.rows.iter().any(|row| row.change.is_some());
    let mut branches = Branches::of(&listing.rows, start);
    for (index, row) in listing.rows.iter().enumerate() {
        let node = listing.node(row);
        if marked {
            write!(out, "{} ", row.change.map_or(' ', change_letter))?;
        }
        let owner = format!("{}:{}", node.metadata.uid, node.metadata.gid);
        let bytes = size(listing, row).map_or_else(String::new, cli::bytes);
        write!(out, "{} {owner:>9} {bytes:>8}  {}", permissions(node), branches.before(index))?;
        let name = match row.path.name() {
            Some(_) if index == 0 => row.path.to_string(),
            Some(name) => printable(name),
            None => "/".to_owned(),
        };
        writeln!(out, "{name}{}", tail(node))?;
    }
    Ok(out.finish()?)
}
