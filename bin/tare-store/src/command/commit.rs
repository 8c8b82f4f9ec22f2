//! `tare-store commit`: what a container changed, as a new image.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use image::Reference;
use store::Store;

use crate::amend::{self, AmendFlags};
use crate::find;

/// The container should have ended, or be paused. What was mounted in it, and its volumes, are left out.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    amend: AmendFlags,
    /// A bundle that tare-store bundle made
    dir: PathBuf,
    /// Name of the new image
    #[arg(value_parser = find::new_name)]
    name: Reference,
}

/// Prints the digest of the image's manifest.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let digest = commit(arguments).with_context(|| {
        format!("cannot commit {} as {}", arguments.dir.display(), arguments.name.familiar())
    })?;
    cli::print(digest)?;
    Ok(ExitCode::SUCCESS)
}

fn commit(arguments: &Arguments) -> anyhow::Result<String> {
    let record = bundle::Record::read(&arguments.dir)?;
    // The image can only go where its layers are.
    let store = Store::open(&record.store)?;
    let committed = bundle::commit(&store, &arguments.dir, arguments.amend.newest())?;
    let mut config = committed.base.config.clone();
    let of = record.reference.as_deref().unwrap_or("a container");
    let (layer, diff_id) = committed.layer.unzip();
    arguments.amend.apply(&mut config, format!("commit of {of}"), diff_id)?;
    let manifest = amend::put(&store, &committed.base, &config, layer, &arguments.name)?;
    Ok(manifest.digest().to_string())
}
