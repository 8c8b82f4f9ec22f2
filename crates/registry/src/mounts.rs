//! Which other repository of a registry has a blob: then it need not be sent.
//!
//! The store knows by the names of its images: what came from `host/base` or went to `host/other` is
//! there, or was. The registry checks it; a wrong guess costs nothing, since it answers with an upload.

use std::collections::{BTreeSet, HashMap, HashSet};

use image::{Descriptor, Digest, Reference};
use store::Store;

use crate::endpoint::Endpoint;

/// A token is asked for so many repositories at most: servers limit the length of a URL.
const MAX_REPOSITORIES: usize = 8;

/// Blobs of an image, and the repositories of the same registry that may have them.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    known: HashMap<Digest, String>,
}

impl Mounts {
    /// Looks through the names in the store. What cannot be read is no reason to fail.
    pub(crate) fn of(store: &Store, image: &Descriptor, target: &Endpoint) -> Self {
        let references = store.references().unwrap_or_default();
        let others: Vec<(Reference, Descriptor)> = references
            .into_iter()
            .filter_map(|(name, found)| Some((name?.parse::<Reference>().ok()?, found)))
            .filter(|(name, _)| name.registry() == target.registry())
            .filter(|(name, _)| name.repository() != target.repository())
            .collect();
        if others.is_empty() {
            return Self::default();
        }
        let wanted: HashSet<Digest> = store.layer_digests(image).into_iter().collect();
        let mut mounts = Self::default();
        for (name, found) in others {
            let digests = store.layer_digests(&found).into_iter();
            mounts.add(name.repository(), digests.filter(|digest| wanted.contains(digest)));
        }
        mounts
    }

    fn add(&mut self, repository: &str, digests: impl Iterator<Item = Digest>) {
        let repositories = self.repositories();
        let room = repositories.len() < MAX_REPOSITORIES || repositories.contains(repository);
        for digest in digests.filter(|_| room) {
            self.known.entry(digest).or_insert_with(|| repository.to_owned());
        }
    }

    /// The repository to take a blob from.
    pub(crate) fn source(&self, digest: &Digest) -> Option<&str> {
        self.known.get(digest).map(String::as_str)
    }

    /// What a token must allow: to write to the target, and to read from the others.
    pub(crate) fn scopes(&self, target: &Endpoint) -> Vec<String> {
        let target = format!("repository:{}:pull,push", target.repository());
        let others = self.repositories();
        let others = others.iter().map(|repository| format!("repository:{repository}:pull"));
        std::iter::once(target).chain(others).collect()
    }

    fn repositories(&self) -> BTreeSet<String> {
        self.known.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registries::Source;

    #[test]
    fn rights_are_asked_for_as_many_repositories_as_a_url_holds() {
        let mut mounts = Mounts::default();
        for number in 0..20 {
            let digest = Digest::of(format!("{number}"));
            mounts.add(&format!("r{number}"), [digest].into_iter());
        }
        let reference = "host:5000/app".parse().unwrap();
        let target = Endpoint::of(&Source { reference, insecure: false });
        let scopes = mounts.scopes(&target);
        assert_eq!(scopes[0], "repository:app:pull,push");
        assert_eq!(scopes.len(), 1 + MAX_REPOSITORIES);
        assert_eq!(mounts.source(&Digest::of("3")), Some("r3"));
        assert_eq!(mounts.source(&Digest::of("19")), None);
    }
}
