//! `tare-store index`: one name for images of several platforms.

use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use cli::ErrorExt as _;
use image::manifest::{self, ImageIndex};
use image::{Descriptor, Platform, Reference, media_type};
use store::Store;

use crate::find;

/// How large an index may be that is read, in bytes.
const MAX_INDEX: u64 = 4 << 20;

/// The index names the images as they are: nothing is copied. Prints its digest.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Name of the index; an image that has it loses it
    #[arg(value_parser = find::new_name)]
    name: Reference,
    /// Images, by name or id; of an index, all that it has
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let mut members: Vec<Member<'_>> = Vec::new();
    for name in &arguments.images {
        let (_, descriptor) = find::descriptor(store, name)?;
        let found = members_of(store, &descriptor);
        for (child, platform) in found.with_context(|| format!("cannot read the image {name}"))? {
            add(&mut members, Member { child, platform, name })?;
        }
    }
    let index = manifest::index(members.into_iter().map(|it| (it.child, it.platform)));
    let index = store.put_blob(media_type::INDEX, &manifest::index_to_json(&index))?;
    store.tag(&arguments.name, &index)?;
    cli::print(index.digest())?;
    Ok(ExitCode::SUCCESS)
}

/// What the index names.
struct Member<'a> {
    child: Descriptor,
    platform: Platform,
    /// What the user called it by.
    name: &'a str,
}

/// Adds an image, once, if there is no other for its platform.
fn add<'a>(members: &mut Vec<Member<'a>>, new: Member<'a>) -> anyhow::Result<()> {
    if members.iter().any(|it| it.child.digest() == new.child.digest()) {
        return Ok(());
    }
    // What stands beside images, such as attestations, is for no platform.
    let is_image = new.platform.os() != "unknown";
    match members.iter().find(|it| is_image && it.platform == new.platform) {
        Some(other) => {
            let (platform, first, second) = (&new.platform, other.name, new.name);
            let error = anyhow!("two images are for {platform}: {first} and {second}");
            Err(error).hint("an index has one image for each platform")
        }
        None => {
            members.push(new);
            Ok(())
        }
    }
}

/// A manifest by itself, or what an index names.
fn members_of(store: &Store, image: &Descriptor) -> anyhow::Result<Vec<(Descriptor, Platform)>> {
    if !media_type::is_index(image.media_type().as_ref()) {
        // In the store's own index it has a name, which is not the image's.
        let (kind, digest) = (image.media_type().to_string(), manifest::digest(image)?);
        let member = manifest::descriptor(&kind, digest, image.size());
        return Ok(vec![(member, store.image(image, &Platform::host())?.config.platform())]);
    }
    if image.size() > MAX_INDEX {
        return Err(anyhow!("an index of {} bytes is too large", image.size()));
    }
    let index: ImageIndex = serde_json::from_slice(&store.read_blob(image)?)?;
    let children = index.manifests().iter().map(|child| match child.platform() {
        Some(platform) => Ok((child.clone(), Platform::from(platform))),
        None => Ok((child.clone(), store.image(child, &Platform::host())?.config.platform())),
    });
    children.collect()
}
