//! `tare-store analyze`: how well an image's layers use their bytes, and limits for it in CI.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use image::Platform;
use serde::Serialize;
use store::Store;
use tree::{EntryKind, Waste};

use crate::look::Opened;
use crate::look::names::printable;

/// The numbers are those of dive. A file that several layers have, or that a layer takes away, is wasted
/// with all that the layers carry for it. Where a limit is not kept the exit code is 1.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON, as dive --json writes it
    #[arg(long)]
    json: bool,
    /// Keep dive's limits: an efficiency of 0.9, and 0.1 of the user's bytes wasted
    #[arg(long)]
    ci: bool,
    /// The least efficiency, from 0 to 1
    #[arg(long, alias = "lowestEfficiency", value_name = "RATIO", value_parser = ratio)]
    lowest_efficiency: Option<f64>,
    /// The most bytes wasted, such as 20MB
    #[arg(long, alias = "highestWastedBytes", value_name = "SIZE", value_parser = cli::parse_bytes)]
    highest_wasted_bytes: Option<u64>,
    /// The most bytes wasted ÷ the bytes of all layers but the lowest, from 0 to 1
    #[arg(long, alias = "highestUserWastedPercent", value_name = "RATIO", value_parser = ratio)]
    highest_user_wasted_percent: Option<f64>,
    /// How many of the wasted files to list
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    top: usize,
    /// Which image of several
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Image, by name or id
    image: String,
}

/// What `--json` prints: dive's document.
#[derive(Debug, Serialize)]
struct Document {
    layer: Vec<Layer>,
    image: Image,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    index: usize,
    id: String,
    digest_id: String,
    /// The sizes of its files.
    size_bytes: u64,
    command: String,
    file_list: Vec<File>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    path: String,
    size: u64,
    file_mode: u16,
    uid: u32,
    gid: u32,
    is_dir: bool,
    link_name: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Image {
    size_bytes: u64,
    inefficient_bytes: u64,
    efficiency_score: f64,
    /// The wasted files, those with the most bytes first.
    file_reference: Vec<Reference>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    count: usize,
    size_bytes: u64,
    file: String,
}

/// The figures of an image.
#[derive(Debug)]
struct Figures {
    efficiency: f64,
    wasted: u64,
    size: u64,
    /// Wasted bytes ÷ the bytes of all layers but the lowest.
    of_user: f64,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let opened = Opened::read(store, &arguments.image, arguments.platform.as_ref())?;
    let mut layers: Vec<Layer> =
        (0..opened.layers.all().len()).map(|it| layer(&opened, it)).collect();
    let changesets = opened.layers.changesets();
    let waste = Waste::of(&changesets)
        .with_context(|| format!("the layers of {} do not fit on each other", arguments.image))?;
    let figures = figures(&layers, &waste);
    if arguments.json {
        for (layer, changeset) in layers.iter_mut().zip(&changesets) {
            layer.file_list = changeset.entries().iter().map(file).collect();
        }
        cli::print_json(&document(layers, &waste, &figures))?;
    } else {
        print(&figures, &waste, arguments.top)?;
    }
    let kept = arguments.limits().into_iter().filter(|limit| !limit.is_kept(&figures)).count() == 0;
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn layer(opened: &Opened, index: usize) -> Layer {
    let files = &opened.layers.all()[index];
    let (blob, _) = &opened.image.layers()[index];
    Layer {
        index,
        id: blob.digest().to_string(),
        digest_id: files.diff_id.to_string(),
        size_bytes: files.changeset.content_size(),
        command: opened.instruction(index).to_owned(),
        file_list: Vec::new(),
    }
}

fn file(entry: &tree::Entry) -> File {
    let mut path = entry.path.as_bytes().to_vec();
    let (size, link) = match &entry.kind {
        EntryKind::File(content) => (content.size, String::new()),
        EntryKind::Symlink(target) => (0, String::from_utf8_lossy(target).into_owned()),
        EntryKind::HardLink(target) => (0, target.to_string()),
        EntryKind::Whiteout => {
            let start = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
            path.splice(start..start, *b".wh.");
            (0, String::new())
        }
        EntryKind::Opaque => {
            path.extend(b"/.wh..wh..opq");
            (0, String::new())
        }
        _ => (0, String::new()),
    };
    let metadata = &entry.metadata;
    File {
        path: String::from_utf8_lossy(&path).into_owned(),
        size,
        file_mode: metadata.mode,
        uid: metadata.uid,
        gid: metadata.gid,
        is_dir: entry.kind == EntryKind::Directory,
        link_name: link,
    }
}

fn figures(layers: &[Layer], waste: &Waste) -> Figures {
    let size: u64 = layers.iter().map(|layer| layer.size_bytes).sum();
    let user: u64 = layers.iter().skip(1).map(|layer| layer.size_bytes).sum();
    let wasted = waste.bytes();
    let of_user = if user == 0 { 0.0 } else { wasted as f64 / user as f64 };
    Figures { efficiency: waste.efficiency, wasted, size, of_user }
}

fn document(layer: Vec<Layer>, waste: &Waste, figures: &Figures) -> Document {
    let reference = |path: &tree::WastedPath| Reference {
        count: path.layers,
        size_bytes: path.bytes,
        file: path.path.to_string(),
    };
    Document {
        layer,
        image: Image {
            size_bytes: figures.size,
            inefficient_bytes: figures.wasted,
            efficiency_score: figures.efficiency,
            file_reference: waste.paths.iter().map(reference).collect(),
        },
    }
}

fn print(figures: &Figures, waste: &Waste, top: usize) -> anyhow::Result<()> {
    let mut out = cli::Out::new();
    writeln!(out, "size:               {} ({} bytes)", cli::bytes(figures.size), figures.size)?;
    writeln!(out, "efficiency:         {:.4} %", figures.efficiency * 100.0)?;
    writeln!(out, "wasted:             {} ({} bytes)", cli::bytes(figures.wasted), figures.wasted)?;
    writeln!(out, "wasted of the user: {:.4} %", figures.of_user * 100.0)?;
    let wasted: Vec<_> = waste.paths.iter().filter(|path| path.bytes > 0).collect();
    if !wasted.is_empty() {
        writeln!(out, "\nLAYERS     WASTED  FILE")?;
    }
    for path in wasted.iter().take(top) {
        let name = printable(path.path.as_bytes());
        writeln!(out, "{:>6} {:>10}  /{name}", path.layers, cli::bytes(path.bytes))?;
    }
    if wasted.len() > top {
        writeln!(out, "       and {} more", wasted.len() - top)?;
    }
    Ok(out.finish()?)
}

/// A limit that an image must keep.
#[derive(Clone, Copy, Debug)]
enum Limit {
    Efficiency(f64),
    Wasted(u64),
    OfUser(f64),
}

impl Arguments {
    fn limits(&self) -> Vec<Limit> {
        let by_default = |ratio| self.ci.then_some(ratio);
        [
            self.lowest_efficiency.or(by_default(0.9)).map(Limit::Efficiency),
            self.highest_wasted_bytes.map(Limit::Wasted),
            self.highest_user_wasted_percent.or(by_default(0.1)).map(Limit::OfUser),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Limit {
    /// Whether it is kept; says so.
    fn is_kept(self, figures: &Figures) -> bool {
        let (kept, told) = match self {
            Self::Efficiency(least) => (
                figures.efficiency >= least,
                format!("lowest efficiency: {:.4}, at least {least}", figures.efficiency),
            ),
            Self::Wasted(most) => (
                figures.wasted <= most,
                format!("highest wasted bytes: {}, at most {most}", figures.wasted),
            ),
            Self::OfUser(most) => (
                figures.of_user <= most,
                format!("highest user wasted percent: {:.4}, at most {most}", figures.of_user),
            ),
        };
        cli::note(format_args!("{} {told}", if kept { "PASS" } else { "FAIL" }));
        kept
    }
}

fn ratio(word: &str) -> Result<f64, String> {
    let ratio: f64 = word.parse().map_err(|_| "it is no number".to_owned())?;
    match (0.0..=1.0).contains(&ratio) {
        true => Ok(ratio),
        false => Err("it is not between 0 and 1".to_owned()),
    }
}
