//! `tare-store list-tags`, `delete`, `referrers`: what is in a registry, and no longer.

use std::process::ExitCode;

use anyhow::Context as _;
use cli::Interrupt;
use registry::{Options, Remote};
use serde::Serialize;

use crate::registries::{self, Name};

/// The tags of a repository, one a line.
#[derive(Debug, clap::Args)]
pub(crate) struct TagArguments {
    #[command(flatten)]
    format: cli::FormatFlags,
    #[command(flatten)]
    registry: registries::RegistryFlags,
    /// The repository
    repository: Name,
}

/// The manifest goes, and with it all tags that it has. Prints its digest.
#[derive(Debug, clap::Args)]
pub(crate) struct DeleteArguments {
    #[command(flatten)]
    registry: registries::RegistryFlags,
    /// The image in the registry
    image: Name,
}

/// Signatures, attestations and other artifacts of an image.
#[derive(Debug, clap::Args)]
pub(crate) struct ReferrerArguments {
    /// Only artifacts of this type
    #[arg(long, value_name = "TYPE")]
    artifact_type: Option<String>,
    #[command(flatten)]
    format: cli::FormatFlags,
    #[command(flatten)]
    registry: registries::RegistryFlags,
    /// The image in the registry
    image: Name,
}

/// Tags as `--json` shows them: skopeo's form.
///
/// ```json
/// {"Repository": "docker.io/library/debian", "Tags": ["12", "latest"]}
/// ```
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tags {
    repository: String,
    tags: Vec<String>,
}

pub(crate) fn tags(arguments: &TagArguments) -> anyhow::Result<ExitCode> {
    let Name(name) = &arguments.repository;
    let options = arguments.registry.options()?;
    let tags = with(name, &options, |remote| remote.tags())
        .with_context(|| format!("cannot list the tags of {}", name.name()))?;
    if arguments.format.is_json() {
        cli::print_json(&Tags { repository: name.name(), tags })?;
    } else {
        tags.iter().try_for_each(cli::print)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn delete(arguments: &DeleteArguments) -> anyhow::Result<ExitCode> {
    let Name(name) = &arguments.image;
    let options = arguments.registry.options()?;
    let digest = with(name, &options, |remote| remote.delete())
        .with_context(|| format!("cannot delete {}", name.familiar()))?;
    cli::print(digest)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn referrers(arguments: &ReferrerArguments) -> anyhow::Result<ExitCode> {
    let Name(name) = &arguments.image;
    let options = arguments.registry.options()?;
    let kind = arguments.artifact_type.as_deref();
    let found = with(name, &options, |remote| remote.referrers(kind))
        .with_context(|| format!("cannot list what refers to {}", name.familiar()))?;
    if arguments.format.is_json() {
        cli::print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table =
        cli::Table::with_columns(["DIGEST", "TYPE", "SIZE"].map(str::to_owned).to_vec());
    for entry in found {
        let kind = entry.artifact_type().as_ref().unwrap_or(entry.media_type()).to_string();
        table.row(vec![entry.digest().to_string(), kind, cli::bytes(entry.size())]);
    }
    table.print()?;
    Ok(ExitCode::SUCCESS)
}

/// Does something with what a name stands for in its registry.
pub(crate) fn with<T>(
    name: &image::Reference,
    options: &Options,
    work: impl FnOnce(&Remote<'_>) -> Result<T, registry::Error>,
) -> anyhow::Result<T> {
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let flag = interrupt.flag();
    work(&Remote::new(name, options, &flag)).map_err(registries::explain)
}
