//! Images by the names that users give them.

use std::fmt;

use anyhow::{Context as _, anyhow};
use cli::ErrorExt as _;
use image::{Descriptor, Platform, Reference};
use store::{Image, Store};

/// What a name means: the name as it stands in the index, and the descriptor.
pub(crate) fn descriptor(store: &Store, name: &str) -> anyhow::Result<(String, Descriptor)> {
    match store.resolve(name)? {
        Some(found) => Ok(found),
        None => Err(anyhow!("no such image: {name}")).hint(suggestion(store, name)),
    }
}

/// The image that a name means, for the platform or the one nearest to this machine's.
pub(crate) fn image(
    store: &Store,
    name: &str,
    platform: Option<&Platform>,
) -> anyhow::Result<(String, Image)> {
    let (found, descriptor) = descriptor(store, name)?;
    let image = match platform {
        Some(platform) => store.image_for(&descriptor, platform),
        None => any_platform(store, &descriptor),
    };
    Ok((found, image.with_context(|| format!("cannot read the image {name}"))?))
}

/// The image for this machine, or else the first there is: to look at one, it need not run here.
pub(crate) fn any_platform(store: &Store, descriptor: &Descriptor) -> Result<Image, store::Error> {
    store.image(descriptor, &Platform::host()).or_else(|error| {
        match store.platforms(descriptor)?.first() {
            Some((platform, child)) => store.image(child, platform),
            None => Err(error),
        }
    })
}

/// A name to give to an image. With a digest it would be a claim that need not be true.
pub(crate) fn new_name(word: &str) -> Result<Reference, String> {
    let name: Reference = word.parse().map_err(|error: image::ReferenceError| error.to_string())?;
    match name.digest() {
        Some(_) => Err("a name that is given cannot have a digest".to_owned()),
        None => Ok(name),
    }
}

/// The short form of a name, as users write it.
pub(crate) fn familiar(name: &str) -> String {
    name.parse().map_or_else(|_| name.to_owned(), |name: Reference| name.familiar())
}

/// The short form of a digest, as tables show it.
pub(crate) fn short(digest: impl fmt::Display) -> String {
    digest.to_string().trim_start_matches("sha256:").chars().take(12).collect()
}

/// The size of a layer's tar in bytes where it is known: of the tar at rest, or of a blob that is one.
/// Else that of the compressed blob.
pub(crate) fn layer_size(store: &Store, layer: &Descriptor, diff_id: &image::DiffId) -> u64 {
    store.layer_tar(diff_id).map_or(layer.size(), |(_, size)| size)
}

/// The size of all layers, in bytes; see [`layer_size`].
pub(crate) fn size(store: &Store, image: &Image) -> u64 {
    image.layers().iter().map(|(layer, diff_id)| layer_size(store, layer, diff_id)).sum()
}

fn suggestion(store: &Store, name: &str) -> String {
    if let Err(error) = name.parse::<Reference>() {
        return error.to_string();
    }
    let references = store.references().unwrap_or_default();
    let names: Vec<String> = references.into_iter().filter_map(|(name, _)| name).collect();
    let is_empty = names.is_empty();
    let near = cli::nearest_images(name, names).join(", ");
    match (near.is_empty(), is_empty) {
        (false, _) => format!("did you mean {near}?"),
        (true, false) => "tare-store ls shows the images that there are".to_owned(),
        (true, true) => {
            format!("the store {} is empty; --store names another", store.root().display())
        }
    }
}
