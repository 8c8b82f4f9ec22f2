//! `tare-store df`: what takes how much room, as `docker system df` shows it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use image::{Descriptor, Digest};
use serde::Serialize;
use store::{BundleUsage, ImageUsage, Room, Store, Usage};

use crate::find;

/// Nothing is counted twice: the sizes add up to what the store and its bundles take. What is reclaimable goes
/// with tare-store gc, that of the build cache with gc --build-cache. A layer that is a blob, too, counts as a
/// blob; what only the build cache holds counts there.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    format: cli::FormatFlags,
    /// Show each image and each bundle
    #[arg(short, long)]
    verbose: bool,
}

/// What `--json` prints.
///
/// ```json
/// {"Kinds": [{"Type": "Images", "Total": 2, "Active": 1, "Size": 170000000, "Reclaimable": 0}, …],
///  "Size": 171000000, "Reclaimable": 0,
///  "Images": [{"Names": ["docker.io/library/app:latest"], "Digest": "sha256:…", "Id": "sha256:…",
///              "Size": 1000000, "SharedSize": 800000, "UniqueSize": 200000, "Bundles": 1, "Readable": true}],
///  "Bundles": [{"Path": "/srv/app", "Size": 20480}]}
/// ```
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    kinds: Vec<KindRow>,
    size: u64,
    reclaimable: u64,
    images: Vec<ImageRow>,
    bundles: Vec<BundleRow>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct KindRow {
    r#type: &'static str,
    total: usize,
    active: usize,
    size: u64,
    reclaimable: u64,
}

/// Sizes are bytes on disk, of all that the image holds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ImageRow {
    names: Vec<String>,
    digest: String,
    /// The digest of the configuration. Absent where the image cannot be read.
    id: Option<String>,
    size: u64,
    /// Bytes that other images hold, too.
    shared_size: u64,
    unique_size: u64,
    bundles: usize,
    readable: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct BundleRow {
    path: PathBuf,
    size: u64,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let usage = store.usage()?;
    if !usage.is_known {
        cli::warn("not all images can be read, so gc removes nothing: tare-store fsck says why");
    }
    let report = report(store, usage)?;
    if arguments.format.is_json() {
        cli::print_json(&report)?;
    } else if arguments.verbose {
        kinds(&report).print()?;
        cli::print("")?;
        images(&report.images).print()?;
        cli::print("")?;
        bundles(&report.bundles).print()?;
    } else {
        kinds(&report).print()?;
    }
    Ok(ExitCode::SUCCESS)
}

fn report(store: &Store, usage: Usage) -> anyhow::Result<Report> {
    let descriptors: HashMap<String, Descriptor> = store
        .references()?
        .into_iter()
        .map(|(_, descriptor)| (descriptor.digest().to_string(), descriptor))
        .collect();
    let id = |digest: &Digest| {
        let descriptor = descriptors.get(&digest.to_string())?;
        Some(find::any_platform(store, descriptor).ok()?.config_digest.to_string())
    };
    let mut images: Vec<ImageRow> =
        usage.by_image.iter().map(|image| image_row(image, id(&image.digest))).collect();
    images.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.names.cmp(&b.names)));
    let kinds = kind_rows(&usage);
    Ok(Report {
        size: kinds.iter().map(|row| row.size).sum(),
        reclaimable: kinds.iter().map(|row| row.reclaimable).sum(),
        kinds,
        images,
        bundles: usage.by_bundle.into_iter().map(bundle_row).collect(),
    })
}

fn kind_rows(usage: &Usage) -> Vec<KindRow> {
    let row = |(kind, room): (&'static str, Room)| KindRow {
        r#type: kind,
        total: room.total,
        active: room.active,
        size: room.bytes,
        reclaimable: room.reclaimable,
    };
    let kinds = [
        ("Images", usage.images),
        ("Layers", usage.layers),
        ("Root file systems", usage.rootfs),
        ("Build cache", usage.build_cache),
        ("Partial files", usage.partial),
        ("Bundles", usage.bundles),
    ];
    kinds.map(row).into()
}

fn image_row(image: &ImageUsage, id: Option<String>) -> ImageRow {
    ImageRow {
        names: image.names.iter().flatten().cloned().collect(),
        digest: image.digest.to_string(),
        id,
        size: image.bytes,
        shared_size: image.shared,
        unique_size: image.bytes - image.shared,
        bundles: image.bundles,
        readable: image.is_readable,
    }
}

fn bundle_row(bundle: BundleUsage) -> BundleRow {
    BundleRow { path: bundle.path, size: bundle.bytes }
}

fn kinds(report: &Report) -> cli::Table {
    let mut table = cli::Table::new(["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]);
    for row in &report.kinds {
        table.row([
            row.r#type.to_owned(),
            row.total.to_string(),
            row.active.to_string(),
            cli::bytes(row.size),
            share(row.reclaimable, row.size),
        ]);
    }
    table
}

/// Bytes, and how much of all that is.
fn share(part: u64, of: u64) -> String {
    match u128::from(part) * 100 {
        0 => cli::bytes(0),
        hundredfold => format!("{} ({}%)", cli::bytes(part), hundredfold / u128::from(of.max(1))),
    }
}

fn images(rows: &[ImageRow]) -> cli::Table {
    let head = ["IMAGE", "IMAGE ID", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "BUNDLES"];
    let mut table = cli::Table::new(head);
    for row in rows {
        let names: Vec<String> = row.names.iter().map(|name| find::familiar(name)).collect();
        table.row([
            if names.is_empty() { "<none>".to_owned() } else { names.join(", ") },
            row.id.as_deref().map_or_else(|| "<unreadable>".to_owned(), find::short),
            cli::bytes(row.size),
            cli::bytes(row.shared_size),
            cli::bytes(row.unique_size),
            row.bundles.to_string(),
        ]);
    }
    table
}

fn bundles(rows: &[BundleRow]) -> cli::Table {
    let mut table = cli::Table::new(["BUNDLE", "SIZE"]);
    for row in rows {
        table.row([row.path.display().to_string(), cli::bytes(row.size)]);
    }
    table
}
