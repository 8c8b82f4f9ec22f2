//! `tare-store pull`: an image from a registry into the store.

use std::process::ExitCode;

use anyhow::Context as _;
use cli::Interrupt;
use image::{Platform, Reference};
use registry::{Options, Pulled};
use store::Store;

use crate::bars::{self, Bars};
use crate::registries::{self, Word};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Platform of the image, such as linux/arm64 [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Unpack each layer as soon as it is here, so that the image is ready to run
    #[arg(long)]
    unpack: bool,
    #[command(flatten)]
    shown: bars::ProgressFlags,
    #[command(flatten)]
    registry: registries::RegistryFlags,
    /// How many layers are fetched at a time
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
    /// The image: NAME, NAME:TAG or NAME@DIGEST. Where no registry is named, registries.conf says which
    /// one is meant, or else docker.io is; docker://NAME is always that of docker.io
    name: Word,
}

/// Prints the digest of the image's manifest.
pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let name = &arguments.name;
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
        unpack: arguments.unpack,
        ..arguments.registry.options()?
    };
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let bars = Bars::new(arguments.shown.mode());
    let mut names = arguments.name.candidates(&options.registries)?;
    let last = names.pop().context("there is no registry to ask")?;
    let get = |name| registry::pull(store, name, &options, &bars, &interrupt.flag());
    for name in &names {
        match get(name) {
            Err(error @ registry::Error::Registry { .. }) => {
                cli::note(error.one_line());
            }
            done => return named(done, name, arguments),
        }
    }
    named(get(&last), &last, arguments)
}

/// Says what a short name meant, where that is not what it means to docker.
fn named(
    pulled: Result<Pulled, registry::Error>,
    name: &Reference,
    arguments: &Arguments,
) -> anyhow::Result<Pulled> {
    let pulled = pulled.map_err(registries::explain)?;
    let word = arguments.name.to_string();
    if word.parse().is_ok_and(|usual: Reference| usual != *name) {
        cli::note(format_args!("{word} is {name}"));
    }
    Ok(pulled)
}
