//! The options of each command that sends layers out of the store.

use std::str::FromStr;

use image::media_type::Compression;
use store::{LayerForm, Recipe};

/// How layers are to be compressed.
#[derive(Debug, clap::Args)]
pub(crate) struct CompressionFlags {
    /// Compress all layers by gzip or zstd, or send them uncompressed; keep sends them as the store has
    /// them [default: see above]
    #[arg(long, visible_alias = "compression-format", value_name = "FORMAT")]
    compression: Option<Format>,
    /// Leave layers that are compressed as they are, whatever --compression says
    #[arg(long, requires = "compression")]
    keep_compressed: bool,
    /// How hard to compress: 0 to 9 for gzip, 1 to 22 for zstd
    #[arg(long, value_name = "LEVEL")]
    compression_level: Option<u8>,
}

/// `--compression`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Keep,
    All(Compression),
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "keep" => Ok(Self::Keep),
            "gzip" => Ok(Self::All(Compression::Gzip)),
            "zstd" => Ok(Self::All(Compression::Zstd)),
            "uncompressed" | "none" => Ok(Self::All(Compression::None)),
            _ => Err("known are gzip, zstd, uncompressed and keep".to_owned()),
        }
    }
}

impl CompressionFlags {
    /// The form that is asked for; without a word, `usual`.
    pub(crate) fn form(&self, usual: LayerForm) -> anyhow::Result<LayerForm> {
        let level = self.compression_level;
        let recipe = |compression| Recipe::new(compression, level).map_err(cli::usage);
        Ok(match (self.compression, usual) {
            (Some(Format::Keep), _) => LayerForm::AsStored,
            (Some(Format::All(compression)), _) if self.keep_compressed => {
                LayerForm::Compressed(recipe(compression)?)
            }
            (Some(Format::All(compression)), _) => LayerForm::All(recipe(compression)?),
            (None, LayerForm::AsStored) if level.is_some() => {
                return Err(cli::usage("--compression-level needs --compression gzip or zstd"));
            }
            (None, LayerForm::Compressed(usual)) => {
                LayerForm::Compressed(recipe(usual.compression())?)
            }
            (None, usual) => usual,
        })
    }

    /// For registries: what is not compressed, by gzip.
    pub(crate) fn for_registries(&self) -> anyhow::Result<LayerForm> {
        let gzip = Recipe::new(Compression::Gzip, None).map_err(cli::usage)?;
        self.form(LayerForm::Compressed(gzip))
    }
}
