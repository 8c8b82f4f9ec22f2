//! `tare-store cat`: the bytes of files of an image.

use std::process::ExitCode;

use anyhow::Context as _;
use image::Platform;
use inspect::Error;
use store::Store;
use tree::Tree;

use crate::look::Opened;

/// Symbolic links are followed, inside the image. Nothing is unpacked.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// As the file is with this layer and those below it: its number from 1, the lowest, or the start of
    /// its digest
    #[arg(short, long, value_name = "LAYER")]
    layer: Option<String>,
    /// Which image of several
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Image, by name or id
    image: String,
    /// Files, in the order in which they are printed
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let opened = Opened::read(store, &arguments.image, arguments.platform.as_ref())?;
    let tree = match &arguments.layer {
        Some(layer) => opened.layers.state(opened.layer(layer)? + 1)?,
        None => opened.layers.tree()?,
    };
    let mut out = cli::Out::new();
    for word in &arguments.paths {
        print(&opened, &tree, word, &mut out)
            .with_context(|| format!("cannot print {word} of {}", arguments.image))?;
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn print(opened: &Opened, tree: &Tree, word: &str, out: &mut cli::Out) -> Result<(), Error> {
    tree.resolve(word.as_bytes())?; // It exists.
    opened.layers.copy(tree, &tree.resolve_path(word.as_bytes())?, out)
}
