//! `tare-store save`: images as one archive.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use archive::{Format, RefName, Saved, Saving};
use cli::{Destination, Interrupt, Progress};
use image::{Platform, Reference};
use store::{LayerForm, Store, Watch};

use crate::bars::{self, Bars};
use crate::compression::CompressionFlags;
use crate::find;

/// The layers are written as the store has them, unless a compression is named, and so every image
/// keeps its digest. The digests that the images have in the archive are printed, unless that goes to
/// standard output.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Write to this file [default: standard output]
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true)]
    output: PathBuf,
    /// Kind of archive: docker-archive, which docker load reads, and readers of OCI archives too; or
    /// oci-archive
    #[arg(long, value_name = "FORMAT", default_value = "docker-archive", value_parser = format)]
    format: Format,
    /// Which image of several; docker-archive has room for one [default: this machine's for
    /// docker-archive, all for oci-archive]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    #[command(flatten)]
    compression: CompressionFlags,
    #[command(flatten)]
    shown: bars::ProgressFlags,
    /// Images, by name or id
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

fn format(name: &str) -> Result<Format, String> {
    match name {
        "docker-archive" | "docker" => Ok(Format::Docker),
        "oci-archive" | "oci" => Ok(Format::Oci),
        _ => Err("known are docker-archive and oci-archive".to_owned()),
    }
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let images = images(store, &arguments.images)?;
    let saving = Saving {
        format: arguments.format,
        platform: arguments.platform.as_ref(),
        form: arguments.compression.form(LayerForm::AsStored)?,
        ref_name: RefName::Full,
    };
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let destination = Destination::open(&arguments.output, "--output")?;
    let to_stdout = destination.is_stdout();
    let bars = Bars::new(arguments.shown.mode());
    let hear = |event: store::OutgoingEvent<'_>| bars.outgoing(event);
    let flag = interrupt.flag();
    let watch = Watch { hear: &hear, stop: &flag };
    let progress = Progress::new(arguments.shown.mode()).bytes("saving", None);
    let mut destination = destination;
    let saved = archive::save(store, &images, saving, progress.writer(&mut destination), watch)
        .map_err(explain)
        .with_context(|| format!("cannot save {}", arguments.images.join(", ")))?;
    destination.finish()?;
    progress.done(format_args!("saved {}", arguments.images.join(", ")));
    if !to_stdout {
        saved.iter().try_for_each(|image| cli::print(image.digest()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is asked for, each image once with all its names.
fn images(store: &Store, words: &[String]) -> anyhow::Result<Vec<Saved>> {
    let mut images: Vec<Saved> = Vec::new();
    for word in words {
        let (name, image) = find::descriptor(store, word)?;
        let name: Option<Reference> = name.parse().ok().filter(|it: &Reference| it.tag().is_some());
        match images.iter_mut().find(|saved| saved.image.digest() == image.digest()) {
            Some(saved) => saved.names.extend(name),
            None => images.push(Saved { image, names: name.into_iter().collect(), ref_name: None }),
        }
    }
    if images.is_empty() {
        bail!("no image is named");
    }
    Ok(images)
}

/// An interruption as the program's own error for it.
pub(crate) fn explain(error: archive::Error) -> anyhow::Error {
    match error {
        archive::Error::Interrupted => cli::Interrupted.into(),
        error => error.into(),
    }
}
