//! `tare-store history`: an image's layers: the size of each, and the instruction that made it.

use std::process::ExitCode;

use image::Platform;
use serde::Serialize;
use store::{Image, Store};

use crate::find;

/// Instructions are cut here, unless `--no-trunc` is given.
const WIDTH: usize = 72;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print whole ids and instructions
    #[arg(long)]
    no_trunc: bool,
    #[command(flatten)]
    format: cli::FormatFlags,
    /// Print only the diff ids of the layers
    #[arg(short, long)]
    quiet: bool,
    /// Which image of several
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Image, by name or id
    image: String,
}

/// One step as `--json` shows it; the last step comes first.
///
/// ```json
/// {"CreatedBy": "COPY . /app", "Created": "2026-01-31T10:20:30Z", "Comment": "", "DiffId": "sha256:…",
///  "Digest": "sha256:…", "Size": 10240}
/// ```
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Step {
    created_by: String,
    created: Option<String>,
    comment: String,
    /// The layer that the step made; `null` where it changed no file.
    diff_id: Option<String>,
    /// The layer's blob.
    digest: Option<String>,
    /// Bytes of the layer; 0 where there is none.
    size: u64,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let (_, image) = find::image(store, &arguments.image, arguments.platform.as_ref())?;
    let steps = steps(store, &image);
    if arguments.format.is_json() {
        cli::print_json(&steps)?;
    } else if arguments.quiet {
        for diff_id in steps.iter().filter_map(|step| step.diff_id.as_ref()) {
            cli::print(id(diff_id, arguments.no_trunc))?;
        }
    } else {
        table(&steps, arguments.no_trunc).print()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the table for `inspect --history`.
pub(super) fn print(store: &Store, image: &Image) -> anyhow::Result<()> {
    Ok(table(&steps(store, image), false).print()?)
}

/// The steps of the history with the layers that belong to them. Layers that the history does not
/// mention come last, as steps without an instruction.
fn steps(store: &Store, image: &Image) -> Vec<Step> {
    let mut layers = image.layers().into_iter();
    let mut steps: Vec<Step> = Vec::new();
    for entry in &image.config.history {
        let layer = if entry.empty_layer { None } else { layers.next() };
        let mut step = step(store, layer);
        step.created_by.clone_from(&entry.created_by);
        step.created.clone_from(&entry.created);
        step.comment.clone_from(&entry.comment);
        steps.push(step);
    }
    steps.extend(layers.map(|layer| step(store, Some(layer))));
    steps.reverse();
    steps
}

fn step(store: &Store, layer: Option<(image::Descriptor, image::DiffId)>) -> Step {
    let size = layer.as_ref().map_or(0, |(blob, diff_id)| find::layer_size(store, blob, diff_id));
    Step {
        created_by: String::new(),
        created: None,
        comment: String::new(),
        diff_id: layer.as_ref().map(|(_, diff_id)| diff_id.to_string()),
        digest: layer.as_ref().map(|(blob, _)| blob.digest().to_string()),
        size,
    }
}

fn table(steps: &[Step], whole: bool) -> cli::Table {
    let mut table = cli::Table::new(["LAYER", "CREATED", "SIZE", "CREATED BY", "COMMENT"]);
    for step in steps {
        let created = step.created.as_deref().and_then(|time| cli::parse_time(time).ok());
        table.row([
            step.diff_id.as_ref().map_or_else(|| "-".to_owned(), |it| id(it, whole)),
            created.map_or_else(|| "N/A".to_owned(), cli::age),
            cli::bytes(step.size),
            cut(&step.created_by, whole),
            step.comment.clone(),
        ]);
    }
    table
}

fn id(digest: &str, whole: bool) -> String {
    if whole { digest.to_owned() } else { find::short(digest) }
}

/// One line: line feeds and indentation of the instruction become single spaces.
pub(super) fn cut(instruction: &str, whole: bool) -> String {
    let line = instruction.split_whitespace().collect::<Vec<_>>().join(" ");
    if whole || line.chars().count() <= WIDTH {
        return line;
    }
    let start: String = line.chars().take(WIDTH - 1).collect();
    format!("{start}…")
}
