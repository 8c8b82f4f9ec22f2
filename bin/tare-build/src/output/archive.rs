//! `type=oci` and `type=docker`: the image as a tar or a layout.

use std::path::Path;

use anyhow::Context as _;
use archive::{Format, RefName, Saved, Saving};
use cli::Destination;
use image::{Descriptor, Reference, media_type};
use store::{LayerForm, Store, Watch};

use super::flag::ImageFile;
use super::{Delivery, OutputFlag};

/// Writes it, and gives what names it there.
pub(super) fn write(
    delivery: &Delivery<'_>,
    output: &OutputFlag,
    file: &ImageFile,
    names: Vec<Reference>,
) -> anyhow::Result<Descriptor> {
    let image = Saved { image: delivery.image.manifest.clone(), names, ref_name: None };
    let form = output.compressing.form().map_err(cli::usage)?;
    deliver(delivery, file, &image, form)
        .with_context(|| format!("cannot write the image to {}", shown(&file.dest)))
}

fn deliver(
    delivery: &Delivery<'_>,
    file: &ImageFile,
    image: &Saved,
    form: LayerForm,
) -> anyhow::Result<Descriptor> {
    refuse_several(delivery.store, file.format, image)?;
    let (store, images) = (delivery.store, std::slice::from_ref(image));
    let saving = Saving { format: file.format, platform: None, form, ref_name: RefName::Tag };
    let flag = delivery.interrupt.flag();
    let watch = Watch { hear: &|_| {}, stop: &flag };
    if !file.tar {
        return first(archive::lay_out(store, images, saving, &file.dest, watch).map_err(explain)?);
    }
    let mut destination = Destination::open(&file.dest, "dest=")?;
    let written = archive::save(store, images, saving, &mut destination, watch).map_err(explain)?;
    destination.finish()?;
    first(written)
}

/// As buildx refuses it: docker's archive has no room for an index. What is said of a single image is
/// left out.
fn refuse_several(store: &Store, format: Format, image: &Saved) -> anyhow::Result<()> {
    let several = media_type::is_index(image.image.media_type().as_ref())
        && store.platforms(&image.image)?.len() > 1;
    match several && format == Format::Docker {
        true => Err(cli::hinted(
            anyhow::anyhow!("type=docker has no room for an image for several platforms"),
            "write it as type=oci, or build for one --platform",
        )),
        false => Ok(()),
    }
}

fn first(written: Vec<Descriptor>) -> anyhow::Result<Descriptor> {
    written.into_iter().next().context("nothing was written")
}

/// An interruption as the program's own error for it.
pub(super) fn explain(error: archive::Error) -> anyhow::Error {
    match error {
        archive::Error::Interrupted => cli::Interrupted.into(),
        error => error.into(),
    }
}

/// A destination as messages name it.
pub(super) fn shown(dest: &Path) -> String {
    match dest.as_os_str() == "-" {
        true => "standard output".to_owned(),
        false => dest.display().to_string(),
    }
}
