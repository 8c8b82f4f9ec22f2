//! `tare-store load`: images out of an archive.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use archive::Loaded;
use cli::{Interrupt, Progress};
use image::Reference;
use store::Store;

use super::save::explain;
use crate::bars;
use crate::find;
use crate::source::Source;

/// Reads archives of docker save, podman save, skopeo and buildx, plain or compressed. The digests of
/// the images are printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Read this file [default: standard input]
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true)]
    input: PathBuf,
    #[command(flatten)]
    shown: bars::ProgressFlags,
    /// Name the image so, instead of by the names in the archive
    #[arg(value_parser = find::new_name)]
    name: Option<Reference>,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let source = Source::open(&arguments.input, interrupt.clone())?;
    let progress = Progress::new(arguments.shown.mode());
    let bar = progress.bytes("loading", source.size());
    let loaded = archive::load(store, bar.reader(source), &interrupt.flag())
        .map_err(explain)
        .with_context(|| format!("cannot load {}", shown(arguments)))?;
    let named = name(store, arguments, &loaded)?;
    bar.done(format_args!("loaded {}", named.join(", ")));
    loaded.iter().try_for_each(|image| cli::print(image.image.digest()))?;
    Ok(ExitCode::SUCCESS)
}

/// Gives the images their names; one without any is kept under its digest.
fn name(store: &Store, arguments: &Arguments, loaded: &[Loaded]) -> anyhow::Result<Vec<String>> {
    if arguments.name.is_some() && loaded.len() > 1 {
        bail!(
            "{} has {} images, and {} can name only one; load it without a name",
            shown(arguments),
            loaded.len(),
            arguments.name.as_ref().map(Reference::familiar).unwrap_or_default()
        );
    }
    let mut shown = Vec::new();
    for image in loaded {
        let names = arguments.name.as_ref().map_or(&image.names[..], std::slice::from_ref);
        names.iter().try_for_each(|name| store.tag(name, &image.image))?;
        if names.is_empty() {
            store.keep(&image.image)?;
            shown.push(image.image.digest().to_string());
        }
        shown.extend(names.iter().map(Reference::familiar));
    }
    Ok(shown)
}

fn shown(arguments: &Arguments) -> String {
    match arguments.input.as_os_str() == "-" {
        true => "standard input".to_owned(),
        false => arguments.input.display().to_string(),
    }
}
