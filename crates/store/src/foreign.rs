//! Images out of another image layout, copied into the store.
//!
//! The other layout is only read, and not trusted: blobs are checked against their descriptors as they
//! come. What was copied has no name here; the store's session keeps it until somebody gives it one.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use image::manifest::{self, Descriptor, ImageIndex, ImageManifest, REF_NAME};
use image::{Platform, media_type};

use crate::{Error, Store, files};

/// The largest `index.json`, in bytes.
const MAX_INDEX: u64 = 32 << 20;

/// How deep indexes may lie in each other.
const MAX_DEPTH: usize = 4;

impl Store {
    /// Copies an image for a platform, or for all, out of the layout at `layout`: the one with this
    /// digest, or called `name` there, or else its only one. `None` where it has no such image.
    ///
    /// # Errors
    /// The layout cannot be read, or a blob in it is not what its descriptor says.
    pub fn copy_from_layout(
        &self,
        layout: &Path,
        name: Option<&str>,
        digest: Option<&str>,
        platform: Option<&Platform>,
    ) -> Result<Option<Descriptor>, Error> {
        let path = layout.join("index.json");
        let Some(bytes) = files::read_optional(&path, MAX_INDEX)? else { return Ok(None) };
        let index: ImageIndex =
            serde_json::from_slice(&bytes).map_err(|source| Error::Json { path, source })?;
        let Some(found) = choose(index.manifests(), name, digest) else { return Ok(None) };
        self.copy_image(layout, found, platform, MAX_DEPTH)?;
        Ok(Some(found.clone()))
    }

    /// A manifest with all that it names, or an index with what fits the platform.
    fn copy_image(
        &self,
        layout: &Path,
        descriptor: &Descriptor,
        platform: Option<&Platform>,
        depth: usize,
    ) -> Result<(), Error> {
        self.copy_blob(layout, descriptor)?;
        let kind = descriptor.media_type().to_string();
        if media_type::is_manifest(&kind) {
            let manifest: ImageManifest = self.read_json(descriptor)?;
            let blobs = std::iter::once(manifest.config()).chain(manifest.layers());
            return blobs.into_iter().try_for_each(|blob| self.copy_blob(layout, blob));
        }
        if !media_type::is_index(&kind) || depth == 0 {
            let digest = manifest::digest(descriptor)?;
            let want = "image manifest or index";
            return Err(Error::MediaType { digest, media_type: kind, want });
        }
        let index: ImageIndex = self.read_json(descriptor)?;
        for child in index.manifests() {
            let offered = child.platform().as_ref().map(Platform::from);
            let fits = |wanted: &Platform| offered.as_ref().is_none_or(|it| wanted.accepts(it));
            if platform.is_none_or(fits) {
                self.copy_image(layout, child, platform, depth - 1)?;
            }
        }
        Ok(())
    }

    fn copy_blob(&self, layout: &Path, descriptor: &Descriptor) -> Result<(), Error> {
        let digest = manifest::digest(descriptor)?;
        if self.has_blob(descriptor)? {
            return Ok(());
        }
        let path = layout.join("blobs/sha256").join(digest.hex());
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        let mut writer = self.blob_writer()?;
        // One byte more tells that it is too long.
        io::copy(&mut file.take(descriptor.size().saturating_add(1)), &mut writer)
            .map_err(Error::io("copy", &path))?;
        writer.finish_verified(descriptor).map(drop)
    }
}

/// The entry that is asked for. A name may be the tag of a longer one; without any, a layout's only
/// image, or the one that is called `latest`, is meant.
fn choose<'a>(
    entries: &'a [Descriptor],
    name: Option<&str>,
    digest: Option<&str>,
) -> Option<&'a Descriptor> {
    if let Some(digest) = digest {
        return entries.iter().find(|entry| entry.digest().to_string() == digest);
    }
    let called = |entry: &&Descriptor, name: &str| {
        let known = entry.annotations().as_ref().and_then(|all| all.get(REF_NAME));
        known.is_some_and(|known| {
            known == name || known.strip_suffix(name).is_some_and(|start| start.ends_with(':'))
        })
    };
    let named = entries.iter().find(|entry| called(entry, name.unwrap_or("latest")));
    match (named, name, entries) {
        (None, None, [only]) => Some(only),
        (named, ..) => named,
    }
}
