//! `tare-store push`: an image from the store to a registry.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use cli::{ErrorExt as _, Interrupt};
use image::{Platform, Reference};
use registry::{Options, Parcel, Pushed};
use store::Store;

use crate::bars::{self, Bars};
use crate::compression::CompressionFlags;
use crate::find;
use crate::registries::{self, Name};

/// Layers that the store has uncompressed are compressed by gzip; what that gives is remembered, so
/// that pushing again costs nothing. Of an index all images are pushed, unless a platform is named.
/// The digest that the image has in the registry is printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Push the images for all platforms: the default
    #[arg(short, long)]
    all: bool,
    /// Push the image for this platform alone, such as linux/arm64
    #[arg(long, value_name = "PLATFORM", conflicts_with = "all")]
    platform: Option<Platform>,
    #[command(flatten)]
    compression: CompressionFlags,
    /// Give it no tag in the registry: whoever knows the digest finds it
    #[arg(long)]
    by_digest: bool,
    /// Write the digest that the image has in the registry to this file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    #[command(flatten)]
    shown: bars::ProgressFlags,
    #[command(flatten)]
    registry: registries::RegistryFlags,
    /// How many layers are sent at a time
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
    /// Image, by name or id
    image: String,
    /// Where to push it [default: to its own name]
    destination: Option<Name>,
}

/// Prints the digest.
pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let (name, image) = find::descriptor(store, &arguments.image)?;
    let destination = destination(arguments, &name)?;
    let pushed = push(arguments, store, &image, &destination).with_context(|| {
        format!("cannot push {} to {}", find::familiar(&arguments.image), destination.familiar())
    })?;
    let digest = pushed.manifest.digest();
    if let Some(path) = &arguments.digestfile {
        std::fs::write(path, digest.to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    cli::print(digest)?;
    Ok(ExitCode::SUCCESS)
}

/// Where to: as asked for, or to the image's own name.
fn destination(arguments: &Arguments, name: &str) -> anyhow::Result<Reference> {
    if let Some(Name(destination)) = &arguments.destination {
        return Ok(destination.clone());
    }
    name.parse()
        .map_err(|_| anyhow!("the image {} has no name to be pushed to", arguments.image))
        .hint(format!("name one: tare-store push {} REGISTRY/REPOSITORY:TAG", arguments.image))
}

fn push(
    arguments: &Arguments,
    store: &Store,
    image: &image::Descriptor,
    destination: &Reference,
) -> anyhow::Result<Pushed> {
    let form = arguments.compression.for_registries()?;
    let options = Options { parallel: arguments.jobs.into(), ..arguments.registry.options()? };
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let bars = Bars::new(arguments.shown.mode());
    let parcel = Parcel {
        image,
        platform: arguments.platform.as_ref(),
        form,
        by_digest: arguments.by_digest,
    };
    registry::push(store, parcel, destination, &options, &bars, &interrupt.flag())
        .map_err(registries::explain)
}
