//! From what a user types to an entry of the store.

use std::collections::BTreeMap;

use image::manifest::{self, Descriptor, ImageManifest};
use image::{Digest, media_type};
use serde_json::Value;

use crate::{Error, Store, index, references};

/// The fewest digits that stand for an image.
const MIN_PREFIX: usize = 6;

impl Store {
    /// Finds an image: by full or short reference, by a name as another tool wrote it, by the name that the
    /// one image of another registry has there, by digest, or
    /// by six or more digits that start the digest of its manifest or of its configuration (docker's
    /// image ID). Gives the name that it has in the index, or its digest where it has none.
    ///
    /// # Errors
    /// Several images have IDs that start so, or the store cannot be read.
    pub fn resolve(&self, name: &str) -> Result<Option<(String, Descriptor)>, Error> {
        let entries = self.read_index()?.entries;
        if let Some(found) = references::find(&entries, name) {
            return Ok(named(found));
        }
        let (repository, digest) = match name.split_once('@') {
            Some((repository, digest)) => (Some(repository), digest),
            None => (None, name),
        };
        if let Some(repository) = repository {
            let wanted: Option<Digest> = digest.parse().ok();
            return Ok(wanted.and_then(|wanted| pinned(&entries, repository, &wanted)));
        }
        let by_id = prefix(digest).map_or(Ok(None), |prefix| self.by_id(&entries, prefix))?;
        Ok(by_id.or_else(|| elsewhere(&entries, name)))
    }

    fn by_id(
        &self,
        entries: &[Value],
        prefix: &str,
    ) -> Result<Option<(String, Descriptor)>, Error> {
        let mut found: BTreeMap<String, (String, Descriptor)> = BTreeMap::new();
        for entry in entries {
            let Some(named) = named(entry) else { continue };
            for candidate in self.identities(&named.1) {
                let hex = candidate.by.hex();
                if hex.starts_with(prefix) {
                    let name = if candidate.own { named.0.clone() } else { candidate.id() };
                    found.entry(candidate.id()).or_insert((name, candidate.descriptor));
                }
            }
        }
        match found.len() {
            0 | 1 => Ok(found.into_values().next()),
            _ => {
                let matches = found.into_keys().collect();
                Err(Error::Ambiguous { prefix: prefix.to_owned(), matches })
            }
        }
    }

    /// All digests that an entry may be asked for by. What cannot be read has no more than its own.
    fn identities(&self, descriptor: &Descriptor) -> Vec<Identity> {
        let Ok(by) = manifest::digest(descriptor) else { return Vec::new() };
        let own = Identity { by, own: true, descriptor: descriptor.clone() };
        let media_type = descriptor.media_type().to_string();
        let mut identities = Vec::new();
        if media_type::is_manifest(&media_type) {
            identities.extend(self.config_identity(descriptor, true));
        } else if media_type::is_index(&media_type) {
            let nested = self.read_json::<image::ImageIndex>(descriptor).ok();
            for child in nested.iter().flat_map(|nested| nested.manifests()) {
                let by = manifest::digest(child).ok();
                let child = |by| Identity { by, own: false, descriptor: child.clone() };
                identities.extend(by.map(child));
            }
            let configs = identities.iter().map(|child| &child.descriptor);
            let configs: Vec<_> =
                configs.filter_map(|child| self.config_identity(child, false)).collect();
            identities.extend(configs);
        }
        identities.push(own);
        identities
    }

    fn config_identity(&self, descriptor: &Descriptor, own: bool) -> Option<Identity> {
        let image: ImageManifest = self.read_json(descriptor).ok()?;
        let by = manifest::digest(image.config()).ok()?;
        Some(Identity { by, own, descriptor: descriptor.clone() })
    }
}

struct Identity {
    /// The digest that was perhaps asked for.
    by: Digest,
    /// Whether the image is the entry itself, not one inside it.
    own: bool,
    descriptor: Descriptor,
}

impl Identity {
    /// The image's own digest, by whatever digest it was found.
    fn id(&self) -> String {
        self.descriptor.digest().to_string()
    }
}

fn named(entry: &Value) -> Option<(String, Descriptor)> {
    let descriptor = index::descriptor(entry)?;
    let name = index::name(entry).map(str::to_owned);
    Some((name.unwrap_or_else(|| descriptor.digest().to_string()), descriptor))
}

/// `repository@digest`: the entry with that digest and a name in that repository.
fn pinned(entries: &[Value], repository: &str, digest: &Digest) -> Option<(String, Descriptor)> {
    let wanted: image::Reference = repository.parse().ok()?;
    let same = |name: &str| {
        let parsed: Option<image::Reference> = name.parse().ok();
        parsed.is_some_and(|parsed| parsed.name() == wanted.name())
    };
    let fits = |entry: &&Value| {
        index::digest(entry).as_ref() == Some(digest) && index::name(entry).is_some_and(same)
    };
    entries.iter().rev().find(fits).and_then(named)
}

/// The one image that has this repository and tag in another registry than docker's: what a short name
/// was pulled as, where registries.conf says so.
fn elsewhere(entries: &[Value], name: &str) -> Option<(String, Descriptor)> {
    let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
    let is_it = |known: &str| {
        let known: Option<image::Reference> = known.parse().ok();
        known.is_some_and(|it| it.repository() == repository && it.tag() == Some(tag))
    };
    let mut fitting = entries.iter().filter(|entry| index::name(entry).is_some_and(is_it));
    let found = fitting.next()?;
    fitting.all(|other| index::name(other) == index::name(found)).then(|| named(found)).flatten()
}

/// The hexadecimal digits that an ID starts with.
fn prefix(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (hex && (MIN_PREFIX..=64).contains(&digits.len())).then_some(digits)
}
