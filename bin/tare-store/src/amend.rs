//! A new image of one that is there: the same layers and perhaps one more, another configuration.

use std::time::{Duration, SystemTime};

use image::manifest::{self, Descriptor, oci_layer};
use image::{DateTime, DiffId, History, ImageConfig, Reference, media_type};
use store::{Image, Store};

use crate::change;

/// What is said of the new image. Flatten it into a command.
#[derive(Debug, clap::Args)]
pub(crate) struct AmendFlags {
    /// Change the configuration by an instruction, such as 'ENV A=b' or 'CMD ["sh"]'
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub(crate) change: Vec<String>,
    /// Who made it
    #[arg(short, long, value_name = "NAME")]
    pub(crate) author: Option<String>,
    /// A remark for the image's history
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) message: Option<String>,
    /// Time of the image, in seconds since 1970
    #[arg(long, env = "SOURCE_DATE_EPOCH", hide = true)]
    pub(crate) source_date_epoch: Option<u64>,
}

impl AmendFlags {
    /// The time from which on nothing in the image is.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.source_date_epoch.and_then(|seconds| i64::try_from(seconds).ok())
    }

    /// The configuration with the changes, and a step of the history: `by`, with or without a layer.
    pub(crate) fn apply(
        &self,
        config: &mut ImageConfig,
        by: String,
        layer: Option<DiffId>,
    ) -> anyhow::Result<()> {
        let now = match self.source_date_epoch {
            Some(seconds) => SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            None => SystemTime::now(),
        };
        let created = Some(DateTime::from(now).to_string());
        config.created.clone_from(&created);
        if let Some(author) = &self.author {
            config.author.clone_from(author);
        }
        for change in &self.change {
            change::apply(config, change)?;
        }
        config.rootfs.diff_ids.extend(layer);
        config.history.push(History {
            created,
            created_by: by,
            author: self.author.clone().unwrap_or_default(),
            comment: self.message.clone().unwrap_or_default(),
            empty_layer: layer.is_none(),
            ..History::default()
        });
        Ok(())
    }
}

/// Writes the image and names it; its manifest. The image that it is made of stays as it is.
pub(crate) fn put(
    store: &Store,
    base: &Image,
    config: &ImageConfig,
    layer: Option<Descriptor>,
    name: &Reference,
) -> anyhow::Result<Descriptor> {
    let config = store.put_json(media_type::CONFIG, config)?;
    let layers = base.manifest.layers().iter().map(oci_layer).chain(layer).collect();
    let mut manifest = manifest::manifest(config, layers);
    manifest.set_annotations(base.manifest.annotations().clone());
    let manifest = store.put_manifest(&manifest)?;
    store.tag(name, &manifest)?;
    Ok(manifest)
}
