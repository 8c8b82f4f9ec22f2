//! `type=tar` and `type=local`: the files of the image, without the image.

use std::path::Path;

use anyhow::Context as _;
use archive::{Root, export, fold};
use cli::Destination;
use image::Platform;
use rootfs::{LayerTar, unpack_over};
use rustix::process::{getegid, geteuid};
use store::Image;

use super::Delivery;
use super::archive::{explain, shown};

/// Writes the files of each platform's image; those of several in a directory each, such as
/// `linux_arm64`, unless that is not wanted.
pub(super) fn write(
    delivery: &Delivery<'_>,
    dest: &Path,
    tar: bool,
    split: bool,
) -> anyhow::Result<()> {
    let images = images(delivery)?;
    let split = split && images.len() > 1;
    let written = match tar {
        true => write_tar(delivery, dest, &images, split),
        false => write_directory(delivery, dest, &images, split),
    };
    written.with_context(|| format!("cannot write the files to {}", shown(dest)))
}

/// The images, each with the name of its directory.
fn images(delivery: &Delivery<'_>) -> anyhow::Result<Vec<(String, Image)>> {
    let store = delivery.store;
    let platforms = store.platforms(&delivery.image.manifest)?;
    let image = |(platform, manifest): &(Platform, image::Descriptor)| {
        let directory = platform.to_string().replace('/', "_");
        Ok((directory, store.image(manifest, platform)?))
    };
    platforms.iter().map(image).collect()
}

fn write_tar(
    delivery: &Delivery<'_>,
    dest: &Path,
    images: &[(String, Image)],
    split: bool,
) -> anyhow::Result<()> {
    let folds = images.iter().map(|(_, image)| fold(delivery.store, &image.layers()));
    let folds: Vec<_> = folds.collect::<Result<_, _>>().map_err(explain)?;
    let roots = images.iter().zip(&folds).map(|((name, _), (tree, layers))| {
        let prefix = split.then_some(name.as_str());
        Root { prefix, tree, layers }
    });
    let roots: Vec<Root<'_>> = roots.collect();
    let mut destination = Destination::open(dest, "dest=")?;
    export(&roots, delivery.newest, &mut destination, &delivery.interrupt.flag())
        .map_err(explain)?;
    destination.finish()
}

/// As buildx does it: files become the user's, and what is in the directory besides stays.
fn write_directory(
    delivery: &Delivery<'_>,
    dest: &Path,
    images: &[(String, Image)],
    split: bool,
) -> anyhow::Result<()> {
    let owner = (geteuid().as_raw(), getegid().as_raw());
    for (name, image) in images {
        delivery.interrupt.check()?;
        let (tree, layers) = fold(delivery.store, &image.layers()).map_err(explain)?;
        let tars = layers.into_iter().map(|layer| LayerTar { path: layer.tar, size: layer.size });
        let tars: Vec<LayerTar> = tars.collect();
        let target = if split { dest.join(name) } else { dest.to_owned() };
        unpack_over(&tree, &tars, &target, owner)?;
    }
    Ok(())
}
