//! What the commands that look inside images share: which layer is meant, and how a file is shown.

pub(crate) mod branches;
pub(crate) mod changes;
pub(crate) mod listing;
pub(crate) mod names;
pub(crate) mod shown;

use anyhow::{Context as _, bail};
use image::Platform;
use inspect::Layers;
use store::{Image, Store};
use tree::LayerPath;

use crate::find;

/// An image to look at.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Its manifest and configuration.
    pub(crate) image: Image,
    /// Its layers' tables of contents.
    pub(crate) layers: Layers,
}

impl Opened {
    /// Reads the image's tables of contents.
    pub(crate) fn read(
        store: &Store,
        name: &str,
        platform: Option<&Platform>,
    ) -> anyhow::Result<Self> {
        let (_, image) = find::image(store, name, platform)?;
        let layers = Layers::read(store, &image)
            .with_context(|| format!("cannot read the layers of {name}"))?;
        Ok(Self { image, layers })
    }

    /// The layer that is meant: its number from 1, the lowest, or the start of its diff ID or of its
    /// blob's digest.
    pub(crate) fn layer(&self, word: &str) -> anyhow::Result<usize> {
        let layers = self.image.layers();
        if let Ok(number) = word.parse::<usize>()
            && (1..=layers.len()).contains(&number)
        {
            return Ok(number - 1);
        }
        // Of a digest it takes some digits more to be no number that is wrong.
        let start = Some(word.strip_prefix("sha256:").unwrap_or(word)).filter(|it| it.len() > 3);
        let is_meant = |digest: &str| {
            start.is_some_and(|start| digest.trim_start_matches("sha256:").starts_with(start))
        };
        let found: Vec<usize> = (0..layers.len())
            .filter(|&index| {
                let (blob, diff_id) = &layers[index];
                is_meant(&diff_id.to_string()) || is_meant(blob.digest().as_ref())
            })
            .collect();
        match found[..] {
            [index] => Ok(index),
            [] => bail!("there is no layer {word:?}: the image has {} of them", layers.len()),
            _ => bail!("{word:?} begins the names of several layers"),
        }
    }

    /// The instruction that made a layer, as its history tells.
    pub(crate) fn instruction(&self, layer: usize) -> &str {
        let history = self.image.config.history.iter();
        history.filter(|step| !step.empty_layer).nth(layer).map_or("", |step| &step.created_by)
    }
}

/// A path that the user gave.
pub(crate) fn path(word: &str) -> anyhow::Result<LayerPath> {
    LayerPath::cleaned(word).with_context(|| format!("{word:?} cannot be a path of an image"))
}
