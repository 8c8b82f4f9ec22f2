//! `type=tar` and `type=local`: the files of the image, without the image.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use archive::{Root, export, fold};
use cli::Destination;
use image::Platform;
use rootfs::{LayerTar, unpack_over};
use rustix::process::{getegid, geteuid};
use store::{Image, Layer};
use tree::{Timestamp, Tree};

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
        Ok((directory(platform), store.image(manifest, platform)?))
    };
    platforms.iter().map(image).collect()
}

fn write_tar(
    delivery: &Delivery<'_>,
    dest: &Path,
    images: &[(String, Image)],
    split: bool,
) -> anyhow::Result<()> {
    let folds = images.iter().map(|(_, image)| folded(delivery, image));
    let folds: Vec<_> = folds.collect::<anyhow::Result<_>>()?;
    let roots = images.iter().zip(&folds).map(|((name, _), (tree, layers))| {
        let prefix = split.then_some(name.as_str());
        Root { prefix, tree, layers }
    });
    let roots: Vec<Root<'_>> = roots.collect();
    let statements: Vec<(String, &[u8])> = statements(delivery, images, split).collect();
    let mut destination = Destination::open(dest, "dest=")?;
    let flag = delivery.interrupt.flag();
    export(&roots, delivery.epoch, &statements, &mut destination, &flag).map_err(explain)?;
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
        let (tree, layers) = folded(delivery, image)?;
        let tars = layers.into_iter().map(|layer| LayerTar { path: layer.tar, size: layer.size });
        let tars: Vec<LayerTar> = tars.collect();
        let target = if split { dest.join(name) } else { dest.to_owned() };
        unpack_over(&tree, &tars, &target, owner)?;
    }
    for (name, statement) in statements(delivery, images, split) {
        write_statement(delivery, &dest.join(name), statement)?;
    }
    Ok(())
}

/// What is said of the image, with the time of its files.
fn write_statement(delivery: &Delivery<'_>, path: &Path, statement: &[u8]) -> anyhow::Result<()> {
    let shown = || format!("cannot write {}", path.display());
    fs::write(path, statement).with_context(shown)?;
    let Some(seconds) = delivery.epoch.and_then(|seconds| u64::try_from(seconds).ok()) else {
        return Ok(());
    };
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    fs::File::open(path).and_then(|file| file.set_modified(time)).with_context(shown)
}

/// The image's files. All have the time of `SOURCE_DATE_EPOCH`, where there is one, as with buildx.
fn folded(delivery: &Delivery<'_>, image: &Image) -> anyhow::Result<(Tree, Vec<Layer>)> {
    let (mut tree, layers) = fold(delivery.store, &image.layers()).map_err(explain)?;
    if let Some(seconds) = delivery.epoch {
        tree.set_times(Timestamp { seconds, nanoseconds: 0 });
    }
    Ok((tree, layers))
}

/// The statements about these images, each with the name of its file: in the image's directory; of several
/// images in one place, with the platform in it.
fn statements<'a>(
    delivery: &'a Delivery<'_>,
    images: &'a [(String, Image)],
    split: bool,
) -> impl Iterator<Item = (String, &'a [u8])> {
    let all = delivery.image.attestations.iter().filter(|it| !it.inline_only);
    all.map(move |it| {
        let platform = directory(&it.platform);
        let name = match (images.len() > 1, split) {
            (true, true) => format!("{platform}/{}", it.file_name),
            (true, false) => match it.file_name.split_once('.') {
                Some((stem, rest)) => format!("{stem}.{platform}.{rest}"),
                None => format!("{}.{platform}", it.file_name),
            },
            (false, _) => it.file_name.clone(),
        };
        (name, &*it.statement)
    })
}

/// `linux_arm64`
fn directory(platform: &Platform) -> String {
    platform.to_string().replace('/', "_")
}
