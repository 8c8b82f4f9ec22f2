//! `tare-store tree`: the files of an image, or of one layer, as a tree.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use image::Platform;
use serde::Serialize;
use store::Store;
use tree::{ChangeKind, LayerPath};

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

pub(crate) fn change_name(change: ChangeKind) -> &'static str {
    match change {
        ChangeKind::Added => "added",
        ChangeKind::Modified => "modified",
        ChangeKind::Removed => "removed",
    }
}

/// docker diff's letters.
pub(crate) fn change_letter(change: ChangeKind) -> char {
    match change {
        ChangeKind::Added => 'A',
        ChangeKind::Modified => 'C',
        ChangeKind::Removed => 'D',
    }
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

/// The lines that hang the rows on each other.
#[derive(Debug)]
pub(crate) struct Branches {
    /// Of each row its depth below the first, and whether it is the last in its directory.
    rows: Vec<(usize, bool)>,
    /// Whether the directory at each depth goes on below the row.
    open: Vec<bool>,
}

impl Branches {
    pub(crate) fn of<'a>(rows: impl IntoIterator<Item = &'a Row>, start: usize) -> Self {
        let depth = |row: &Row| row.path.components().count() - start;
        let mut rows: Vec<_> = rows.into_iter().map(|row| (depth(row), false)).collect();
        // From the end: a row is the last where none of its depth came since its parent.
        let mut seen: Vec<bool> = Vec::new();
        for (depth, last) in rows.iter_mut().rev() {
            seen.resize((*depth + 1).max(seen.len()), false);
            *last = !seen[*depth];
            seen[*depth] = true;
            seen.truncate(*depth + 1);
        }
        Self { rows, open: Vec::new() }
    }

    /// Goes over the row `index`; rows are gone over in their order.
    pub(crate) fn pass(&mut self, index: usize) {
        let (depth, last) = self.rows[index];
        self.open.resize(depth + 1, false);
        self.open[depth] = !last;
    }

    /// Goes over the row `index`; what stands before its name.
    pub(crate) fn before(&mut self, index: usize) -> String {
        self.pass(index);
        let (depth, last) = self.rows[index];
        let mut text = String::with_capacity(depth * 8);
        for level in 1..depth {
            text.push_str(if self.open[level] { "│   " } else { "    " });
        }
        if depth > 0 {
            text.push_str(if last { "└── " } else { "├── " });
        }
        text
    }
}
