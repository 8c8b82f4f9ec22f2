//! `tare-store ls`: list images.

use std::process::ExitCode;

use image::{Descriptor, Reference};
use serde::Serialize;
use store::Store;

use crate::find;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    format: cli::FormatFlags,
    /// Print only the ids
    #[arg(short, long)]
    quiet: bool,
    /// Print the digests of the manifests too
    #[arg(long)]
    digests: bool,
    /// Print whole ids
    #[arg(long)]
    no_trunc: bool,
    /// Only images of this repository, or of this name
    name: Option<String>,
}

/// One image as `--json` shows it.
///
/// ```json
/// {"Name": "docker.io/library/app:latest", "Repository": "app", "Tag": "latest", "Id": "sha256:…",
///  "Digest": "sha256:…", "Created": "2026-01-31T10:20:30Z", "Size": 12300000, "Platform": "linux/amd64"}
/// ```
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    /// The full reference as it stands in the index; `null` for an image without a name.
    name: Option<String>,
    repository: Option<String>,
    tag: Option<String>,
    /// The digest of the configuration: docker's image id. Absent where the image cannot be read.
    id: Option<String>,
    /// The digest of the manifest or index.
    digest: String,
    created: Option<String>,
    /// Bytes of all layers.
    size: Option<u64>,
    platform: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let mut rows: Vec<Row> = store
        .references()?
        .into_iter()
        .map(|(name, descriptor)| row(store, name, &descriptor))
        .filter(|row| arguments.name.as_deref().is_none_or(|wanted| row.is_called(wanted)))
        .collect();
    // The youngest first, as docker lists them.
    rows.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.name.cmp(&b.name)));
    if arguments.format.is_json() {
        cli::print_json(&rows)?;
    } else if arguments.quiet {
        for row in &rows {
            cli::print(row.short_id(arguments.no_trunc))?;
        }
    } else {
        table(&rows, arguments).print()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An image that cannot be read is listed too: only so can it be removed.
fn row(store: &Store, name: Option<String>, descriptor: &Descriptor) -> Row {
    let image = find::any_platform(store, descriptor).ok();
    let reference: Option<Reference> = name.as_deref().and_then(|name| name.parse().ok());
    let familiar = reference.as_ref().map(|it| repository(&it.familiar()).to_owned());
    Row {
        repository: familiar.or_else(|| name.clone()),
        tag: reference.as_ref().and_then(|it| it.tag()).map(str::to_owned),
        name,
        id: image.as_ref().map(|image| image.config_digest.to_string()),
        digest: descriptor.digest().to_string(),
        created: image.as_ref().and_then(|image| image.config.created.clone()),
        size: image.as_ref().map(|image| find::size(store, image)),
        platform: image.as_ref().map(|image| image.config.platform().to_string()),
    }
}

/// A familiar name without tag and digest.
fn repository(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

impl Row {
    fn is_called(&self, wanted: &str) -> bool {
        let full = |wanted: &str| wanted.parse::<Reference>().ok().map(|it| it.to_string());
        self.repository.as_deref() == Some(wanted)
            || self.name.as_deref() == Some(wanted)
            || (self.name.is_some() && self.name == full(wanted))
    }

    fn short_id(&self, whole: bool) -> String {
        match &self.id {
            Some(id) if whole => id.clone(),
            Some(id) => find::short(id),
            None => "<unreadable>".to_owned(),
        }
    }
}

fn table(rows: &[Row], arguments: &Arguments) -> cli::Table {
    let mut head = vec!["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "PLATFORM"];
    if arguments.digests {
        head.insert(2, "DIGEST");
    }
    let mut table = cli::Table::with_columns(head.into_iter().map(str::to_owned).collect());
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "<none>".to_owned());
    for row in rows {
        let created = row.created.as_deref().and_then(|time| cli::parse_time(time).ok());
        let mut cells = vec![
            or_none(&row.repository),
            or_none(&row.tag),
            row.short_id(arguments.no_trunc),
            created.map_or_else(|| "N/A".to_owned(), cli::age),
            row.size.map_or_else(String::new, cli::bytes),
            row.platform.clone().unwrap_or_default(),
        ];
        if arguments.digests {
            cells.insert(2, row.digest.clone());
        }
        table.row(cells);
    }
    table
}
