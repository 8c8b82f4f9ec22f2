//! `tare-store tag`: give an image a further name.

use std::process::ExitCode;

use image::Reference;
use store::Store;

use crate::find;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Image, by name or id
    source: String,
    /// The further name; an image that has it loses it
    #[arg(value_parser = find::new_name)]
    name: Reference,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let (_, descriptor) = find::descriptor(store, &arguments.source)?;
    store.tag(&arguments.name, &descriptor)?;
    Ok(ExitCode::SUCCESS)
}
