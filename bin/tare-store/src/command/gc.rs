//! `tare-store gc`: remove what no image, bundle or build holds.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;
use cli::ErrorExt as _;
use serde::Serialize;
use store::{CacheLimit, Error, Garbage, GarbageKind, GcOptions, GcReport, Store};

/// What to do where nobody knows what an image holds.
const UNREADABLE: &str = "tare-store ls shows the images that cannot be read; what they hold goes once tare-store rm has \
     taken their names";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Remove the build cache too, all of it; prune takes parts of it
    #[arg(long)]
    build_cache: bool,
    #[command(flatten)]
    pub(super) showing: Showing,
}

/// Whether something is removed, and how that is shown.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Showing {
    /// Only say what would go
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Name every file
    #[arg(short, long)]
    verbose: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The report as `--json` shows it.
///
/// ```json
/// {"DryRun": false, "FreedBytes": 1200000, "Removed": [{"Kind": "blob", "Path": "/…", "Size": 1200000}]}
/// ```
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    dry_run: bool,
    freed_bytes: u64,
    removed: Vec<Removed>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Removed {
    kind: &'static str,
    path: std::path::PathBuf,
    size: u64,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let limits: &[CacheLimit] = if arguments.build_cache { &[CacheLimit::ALL] } else { &[] };
    collect(store, limits, arguments.showing)
}

/// Collects garbage, and so much of the build cache, and prints what that gave.
pub(super) fn collect(
    store: &Store,
    build_cache: &[CacheLimit],
    showing: Showing,
) -> anyhow::Result<ExitCode> {
    let collected = store.gc(GcOptions { dry_run: showing.dry_run, build_cache });
    let unreadable = matches!(
        collected,
        Err(Error::MissingBlob { .. } | Error::Corrupt { .. } | Error::Size { .. })
    );
    let report = collected
        .context("cannot collect garbage")
        .hint_with(|| unreadable.then(|| UNREADABLE.to_owned()))?;
    if showing.json {
        cli::print_json(&json(report, showing.dry_run))?;
        return Ok(ExitCode::SUCCESS);
    }
    if showing.verbose || showing.dry_run {
        for garbage in &report.removed {
            cli::print(format_args!("{} {}", word(garbage.kind), garbage.path.display()))?;
        }
    }
    let verb = if showing.dry_run { "would free" } else { "freed" };
    cli::print(format_args!("{verb} {}: {}", cli::bytes(report.freed_bytes), counts(&report)))?;
    Ok(ExitCode::SUCCESS)
}

fn json(report: GcReport, dry_run: bool) -> Report {
    let removed = |Garbage { kind, path, size }| Removed { kind: word(kind), path, size };
    Report {
        dry_run,
        freed_bytes: report.freed_bytes,
        removed: report.removed.into_iter().map(removed).collect(),
    }
}

/// `3 blobs, 1 layer file`, or that there is nothing.
fn counts(report: &GcReport) -> String {
    let mut counts: BTreeMap<GarbageKind, usize> = BTreeMap::new();
    for garbage in &report.removed {
        *counts.entry(garbage.kind).or_default() += 1;
    }
    if counts.is_empty() {
        return "nothing to remove".to_owned();
    }
    let part = |(kind, count): (GarbageKind, usize)| match (count, kind) {
        (1, kind) => format!("1 {}", word(kind)),
        (count, GarbageKind::Repository) => format!("{count} repositories"),
        (count, kind) => format!("{count} {}s", word(kind)),
    };
    counts.into_iter().map(part).collect::<Vec<_>>().join(", ")
}

fn word(kind: GarbageKind) -> &'static str {
    match kind {
        GarbageKind::Blob => "blob",
        GarbageKind::Layer => "layer file",
        GarbageKind::Rootfs => "root file system",
        GarbageKind::BuildCache => "build record",
        GarbageKind::CacheMount => "cache mount",
        GarbageKind::Repository => "repository",
        GarbageKind::BuilderFile => "builder's file",
        GarbageKind::Temporary => "temporary file",
    }
}
