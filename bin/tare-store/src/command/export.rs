//! `tare-store export`: an image's root file system as a tar.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use archive::Root;
use cli::{Destination, Interrupt, Progress};
use image::Platform;
use store::Store;

use super::save::explain;
use crate::{bars, find};

/// All layers as one tree, without their whiteouts; import makes an image of it again.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Write to this file [default: standard output]
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true)]
    output: PathBuf,
    /// Which image of several
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    #[command(flatten)]
    shown: bars::ProgressFlags,
    /// Image, by name or id
    image: String,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let (_, image) = find::image(store, &arguments.image, arguments.platform.as_ref())?;
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let mut destination = Destination::open(&arguments.output, "--output")?;
    let failed = || format!("cannot export {}", arguments.image);
    let (tree, layers) =
        archive::fold(store, &image.layers()).map_err(explain).with_context(failed)?;
    let bar = Progress::new(arguments.shown.mode()).bytes("exporting", None);
    let root = Root { prefix: None, tree: &tree, layers: &layers };
    let out = bar.writer(&mut destination);
    let exported = archive::export(&[root], None, &[], out, &interrupt.flag())
        .map_err(explain)
        .with_context(failed)?;
    destination.finish()?;
    bar.done(format_args!(
        "exported {}: {} entries, {}",
        arguments.image,
        exported.entries,
        cli::bytes(exported.size)
    ));
    Ok(ExitCode::SUCCESS)
}
