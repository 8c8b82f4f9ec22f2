//! How layers are compressed on their way out.

use image::media_type::{self, Compression};

/// A way to compress, with its level.
///
/// ```
/// use image::media_type::Compression;
/// let recipe = store::Recipe::new(Compression::Zstd, Some(19)).unwrap();
/// assert_eq!(recipe.level(), 19);
/// assert!(store::Recipe::new(Compression::Gzip, Some(19)).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Recipe {
    compression: Compression,
    level: u8,
}

/// Why there is no such recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} has the compression levels {least} to {most}, not {level}")]
pub struct LevelError {
    name: &'static str,
    least: u8,
    most: u8,
    level: u8,
}

impl Recipe {
    /// A recipe; without a level, the usual one: zstd's own 3, and 5 for gzip, of which 6 takes a tenth longer
    /// for a size that is less by one in 200. What is not compressed has no levels: any is taken.
    ///
    /// # Errors
    /// The format has no such level.
    pub fn new(compression: Compression, level: Option<u8>) -> Result<Self, LevelError> {
        let (name, least, most, usual) = match compression {
            Compression::None => return Ok(Self { compression, level: 0 }),
            Compression::Gzip => ("gzip", 0, 9, 5),
            Compression::Zstd => ("zstd", 1, 22, 3),
        };
        let level = level.unwrap_or(usual);
        match (least..=most).contains(&level) {
            true => Ok(Self { compression, level }),
            false => Err(LevelError { name, least, most, level }),
        }
    }

    /// The format.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// How hard is tried, in the format's own numbers.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// What its results are called in the store.
    pub(super) fn extension(&self) -> String {
        let name = match self.compression {
            Compression::None => "tar",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        };
        format!("{name}-{}", self.level)
    }
}

/// In which form the layers of an image leave the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LayerForm {
    /// As the store has them: manifests and their digests stay as they are.
    #[default]
    AsStored,
    /// Those that are compressed as they are, the others by this recipe.
    Compressed(Recipe),
    /// All by this recipe, but for those that are in its format already.
    All(Recipe),
}

impl LayerForm {
    /// What has to be done to a layer that is compressed so; `None` for nothing.
    pub(super) fn recipe_for(&self, has: Compression) -> Option<Recipe> {
        match *self {
            Self::AsStored => None,
            Self::Compressed(recipe) => {
                let plain = has == Compression::None;
                (plain && recipe.compression != Compression::None).then_some(recipe)
            }
            Self::All(recipe) => (recipe.compression != has).then_some(recipe),
        }
    }
}

/// The media type of a layer in a manifest of docker's or of OCI's.
pub(super) fn layer_type(docker: bool, compression: Compression) -> &'static str {
    match (docker, compression) {
        (false, Compression::None) => media_type::LAYER,
        (false, Compression::Gzip) => media_type::LAYER_GZIP,
        (false, Compression::Zstd) => media_type::LAYER_ZSTD,
        (true, Compression::None) => media_type::DOCKER_LAYER,
        (true, Compression::Gzip) => media_type::DOCKER_LAYER_GZIP,
        (true, Compression::Zstd) => media_type::DOCKER_LAYER_ZSTD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_layers_are_compressed() {
        let recipe = |compression| Recipe::new(compression, None).unwrap();
        let (gzip, zstd) = (recipe(Compression::Gzip), recipe(Compression::Zstd));
        let plain = recipe(Compression::None);
        for (form, has, want) in [
            (LayerForm::AsStored, Compression::None, None),
            (LayerForm::Compressed(gzip), Compression::None, Some(gzip)),
            (LayerForm::Compressed(gzip), Compression::Zstd, None),
            (LayerForm::Compressed(plain), Compression::None, None),
            (LayerForm::All(zstd), Compression::Gzip, Some(zstd)),
            (LayerForm::All(zstd), Compression::Zstd, None),
            (LayerForm::All(plain), Compression::Gzip, Some(plain)),
            (LayerForm::All(plain), Compression::None, None),
        ] {
            assert_eq!(form.recipe_for(has), want, "{form:?} {has:?}");
        }
    }

    #[test]
    fn levels_are_those_of_the_format() {
        let level = |compression, level| Recipe::new(compression, Some(level)).map(|it| it.level());
        assert_eq!(level(Compression::Gzip, 9), Ok(9));
        assert_eq!(level(Compression::Zstd, 22), Ok(22));
        assert!(level(Compression::Zstd, 0).is_err());
        let error = level(Compression::Gzip, 10).unwrap_err().to_string();
        assert_eq!(error, "gzip has the compression levels 0 to 9, not 10");
    }
}
