//! `tare-store pull`: an image from a registry into the store.

use std::process::ExitCode;

use anyhow::Context as _;
use cli::Interrupt;
use image::Platform;
use registry::{Options, Pulled};
use store::Store;

use crate::bars::{self, Bars};
use crate::registries::{self, Name};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Platform of the image, such as linux/arm64 [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    #[command(flatten)]
    shown: bars::ProgressFlags,
    #[command(flatten)]
    registry: registries::RegistryFlags,
    /// How many layers are fetched at a time
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
    /// The image: NAME, NAME:TAG or NAME@DIGEST, with docker.io where no registry is named
    name: Name,
}

/// Prints the digest of the image's manifest.
pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let name = arguments.name.0.familiar();
    let pulled = pull(arguments, store).with_context(|| format!("cannot pull {name}"))?;
    if arguments.platform.is_none() && !Platform::host().accepts(&pulled.platform) {
        cli::warn(format_args!("{name} is for {}, not for this machine", pulled.platform));
    }
    cli::print(pulled.manifest.digest())?;
    Ok(ExitCode::SUCCESS)
}

fn pull(arguments: &Arguments, store: &Store) -> anyhow::Result<Pulled> {
    let options = Options {
        platform: arguments.platform.clone(),
        parallel: arguments.jobs.into(),
        ..arguments.registry.options()?
    };
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let bars = Bars::new(arguments.shown.mode());
    registry::pull(store, &arguments.name.0, &options, &bars, &interrupt.flag())
        .map_err(registries::explain)
}
