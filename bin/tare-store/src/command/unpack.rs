//! `tare-store unpack`: an image's files in a plain directory.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use image::Platform;
use rootfs::LayerTar;
use store::Store;

use crate::find;

/// No mount is made, and nothing ties the directory to the store. For an ordinary user all files become
/// the user's own.
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
    let (tree, layers) = archive::fold(store, &image.layers())?;
    let tar = |layer: store::Layer| LayerTar { path: layer.tar, size: layer.size };
    let tars: Vec<LayerTar> = layers.into_iter().map(tar).collect();
    let user = rustix::process::geteuid();
    if user.is_root() {
        return Ok(rootfs::unpack(&tree, &tars, &arguments.dir)?);
    }
    if std::fs::read_dir(&arguments.dir).is_ok_and(|mut dir| dir.next().is_some()) {
        bail!("the directory is not empty");
    }
    let owner = (user.as_raw(), rustix::process::getegid().as_raw());
    Ok(rootfs::unpack_over(&tree, &tars, &arguments.dir, owner)?)
}
