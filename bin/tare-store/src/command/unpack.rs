//! `tare-store unpack`: an image's files in a plain directory.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use image::Platform;
use store::Store;

use crate::find;

/// No mount is made, and nothing ties the directory to the store. For an ordinary user all files become
/// the user's own, and devices are left out. What is changed there, tare-store commit finds.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which image of several
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Image, by name or id
    image: String,
    /// Where the files go: a new or empty directory
    dir: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    unpack(arguments, store).with_context(|| {
        format!("cannot unpack {} into {}", arguments.image, arguments.dir.display())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn unpack(arguments: &Arguments, store: &Store) -> anyhow::Result<()> {
    let (_, image) = find::image(store, &arguments.image, arguments.platform.as_ref())?;
    Ok(bundle::unpack(store, &image, Some(&arguments.image), &arguments.dir)?)
}
