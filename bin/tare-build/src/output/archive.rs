//! `type=oci` and `type=docker`: the image as a tar or a layout.

use std::path::Path;

use anyhow::Context as _;
use archive::{Format, RefName, Saved, Saving};
use cli::Destination;
use image::{Descriptor, Reference, media_type};
use store::{LayerForm, Watch};

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
    let written = match file.tar {
        true => tar(delivery, file, &image, form),
        false => layout(delivery, file, &image, form),
    };
    written.with_context(|| format!("cannot write the image to {}", shown(&file.dest)))
}

fn tar(
    delivery: &Delivery<'_>,
    file: &ImageFile,
    image: &Saved,
    form: LayerForm,
) -> anyhow::Result<Descriptor> {
    refuse_several(file.format, image)?;
    let mut destination = Destination::open(&file.dest, "dest=")?;
    let flag = delivery.interrupt.flag();
    let watch = Watch { hear: &|_| {}, stop: &flag };
    let images = std::slice::from_ref(image);
    let written =
        archive::save(delivery.store, images, saving(file.format, form), &mut destination, watch);
    let written = written.map_err(explain)?;
    destination.finish()?;
    first(written)
}

fn layout(
    delivery: &Delivery<'_>,
    file: &ImageFile,
    image: &Saved,
    form: LayerForm,
) -> anyhow::Result<Descriptor> {
    refuse_several(file.format, image)?;
    let flag = delivery.interrupt.flag();
    let watch = Watch { hear: &|_| {}, stop: &flag };
    let (images, saving) = (std::slice::from_ref(image), saving(file.format, form));
    let written = archive::lay_out(delivery.store, images, saving, &file.dest, watch);
    first(written.map_err(explain)?)
}

fn saving(format: Format, form: LayerForm) -> Saving<'static> {
    Saving { format, platform: None, form, ref_name: RefName::Tag }
}

/// As buildx refuses it: docker's archive has no room for an index.
fn refuse_several(format: Format, image: &Saved) -> anyhow::Result<()> {
    let several = media_type::is_index(image.image.media_type().as_ref());
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
