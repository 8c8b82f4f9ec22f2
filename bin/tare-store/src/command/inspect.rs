//! `tare-store inspect`: an image's configuration, manifest and history.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use image::{ContainerConfig, Descriptor, Platform, Reference};
use registry::Options;
use serde::Serialize;
use serde_json::Value;
use store::{Image, Store};

use super::remote::with;
use crate::{find, registries};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print the image configuration
    #[arg(long, group = "part")]
    config: bool,
    /// Print the manifest
    #[arg(long, group = "part")]
    manifest: bool,
    /// Print the history as a table
    #[arg(long, group = "part")]
    history: bool,
    /// Print the bytes as they are stored: of the manifest, or with --config of the configuration
    #[arg(long)]
    raw: bool,
    /// How to print: json
    #[arg(short, long, value_name = "FORMAT", value_parser = ["json"])]
    format: Option<String>,
    /// Which image of several
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    #[command(flatten)]
    registry: registries::RegistryFlags,
    /// Image, by name or id; docker://NAME looks at it in its registry, without pulling it
    image: String,
}

/// What is printed by default. Field names are docker's where docker has them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    /// The digest of the manifest.
    digest: String,
    /// All names of the image.
    repo_tags: Vec<String>,
    created: Option<String>,
    author: String,
    architecture: String,
    variant: String,
    os: String,
    /// Bytes of all layers, uncompressed where that is known.
    size: u64,
    config: ContainerConfig,
    #[serde(rename = "RootFS")]
    root_fs: RootFs,
    /// The layers' blobs, lowest first.
    layers: Vec<Layer>,
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    r#type: String,
    layers: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Layer {
    digest: String,
    diff_id: String,
    media_type: String,
    /// Bytes of the blob.
    size: u64,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    if let Some(name) = arguments.image.strip_prefix("docker://") {
        return remote(arguments, store, &name.parse()?);
    }
    let (_, descriptor) = find::descriptor(store, &arguments.image)?;
    if arguments.raw && !arguments.config && arguments.platform.is_none() {
        return print_blob(store, &descriptor, true);
    }
    let (_, image) = find::image(store, &arguments.image, arguments.platform.as_ref())?;
    if arguments.config {
        return print_blob(store, image.manifest.config(), arguments.raw);
    }
    if arguments.manifest || arguments.raw {
        return print_blob(store, &image.manifest_descriptor, arguments.raw);
    }
    if arguments.history {
        super::history::print(store, &image)?;
    } else {
        cli::print_json(&inspected(store, &image, &descriptor)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An image in its registry.
fn remote(arguments: &Arguments, store: &Store, name: &Reference) -> anyhow::Result<ExitCode> {
    let platform = arguments.platform.clone();
    let options = Options { platform, ..arguments.registry.options()? };
    let failed = || format!("cannot inspect {}", name.familiar());
    if arguments.raw && !arguments.config && arguments.platform.is_none() {
        let document = with(name, &options, |remote| remote.document()).with_context(failed)?;
        return print_bytes(&document.bytes, true);
    }
    let found = with(name, &options, |remote| remote.image()).with_context(failed)?;
    if arguments.config {
        return print_bytes(&found.config_bytes, arguments.raw);
    }
    if arguments.manifest || arguments.raw {
        return print_bytes(&found.manifest.bytes, arguments.raw);
    }
    let manifest: image::ImageManifest = serde_json::from_slice(&found.manifest.bytes)?;
    let image = Image {
        config_digest: image::manifest::digest(manifest.config())?,
        manifest_descriptor: found.manifest.descriptor.clone(),
        manifest,
        config: found.config,
    };
    if arguments.history {
        super::history::print(store, &image)?;
    } else {
        let names = vec![name.to_string()];
        let shown = inspected(store, &image, &found.manifest.descriptor)?;
        cli::print_json(&Inspected { repo_tags: names, ..shown })?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_blob(store: &Store, descriptor: &Descriptor, raw: bool) -> anyhow::Result<ExitCode> {
    print_bytes(&store.read_blob(descriptor)?, raw)
}

fn print_bytes(bytes: &[u8], raw: bool) -> anyhow::Result<ExitCode> {
    if raw {
        let mut out = cli::Out::new();
        out.write_all(bytes)?;
        out.finish()?;
    } else {
        cli::print_json(&serde_json::from_slice::<Value>(bytes)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn inspected(store: &Store, image: &Image, entry: &Descriptor) -> anyhow::Result<Inspected> {
    let names = store.references()?.into_iter();
    let same = names.filter(|(_, descriptor)| descriptor.digest() == entry.digest());
    let layers = image.layers();
    let platform = image.config.platform();
    Ok(Inspected {
        id: image.config_digest.to_string(),
        digest: image.manifest_descriptor.digest().to_string(),
        repo_tags: same.filter_map(|(name, _)| name).collect(),
        created: image.config.created.clone(),
        author: image.config.author.clone(),
        architecture: platform.architecture().to_owned(),
        variant: platform.variant().unwrap_or_default().to_owned(),
        os: platform.os().to_owned(),
        size: find::size(store, image),
        config: image.config.config.clone(),
        root_fs: RootFs {
            r#type: image.config.rootfs.kind.clone(),
            layers: layers.iter().map(|(_, diff_id)| diff_id.to_string()).collect(),
        },
        layers: layers.iter().map(|(blob, diff_id)| layer(blob, diff_id)).collect(),
        annotations: image.manifest.annotations().clone().unwrap_or_default().into_iter().collect(),
    })
}

fn layer(blob: &Descriptor, diff_id: &image::DiffId) -> Layer {
    Layer {
        digest: blob.digest().to_string(),
        diff_id: diff_id.to_string(),
        media_type: blob.media_type().to_string(),
        size: blob.size(),
    }
}
