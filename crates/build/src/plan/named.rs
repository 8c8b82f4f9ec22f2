//! `--build-context`: what replaces images and stages of a name.

use std::collections::BTreeMap;

use image::{Platform, Reference};

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// The files of the context with this index.
    Files(usize),
    /// An image, by the name that it is pulled by; `scratch` for no file at all.
    Image(String),
}

/// What names stand for. A name may end in `::` and the platform that it is meant for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedContexts(BTreeMap<String, Named>);

impl NamedContexts {
    /// Adds a name; one that is there already gets the new meaning.
    pub fn insert(&mut self, name: &str, named: Named) {
        let name = match name.split_once("::") {
            Some((name, platform)) => format!("{}::{platform}", familiar(name)),
            None => familiar(name),
        };
        self.0.insert(name, named);
    }

    /// What a name stands for on a platform.
    pub(super) fn get(&self, name: &str, platform: &Platform) -> Option<&Named> {
        if self.0.is_empty() {
            return None;
        }
        let name = familiar(name);
        self.0.get(&format!("{name}::{platform}")).or_else(|| self.0.get(&name))
    }
}

/// The short form of an image's name, without the tag `latest`: `docker.io/library/a:latest` is `a`.
fn familiar(name: &str) -> String {
    let Ok(reference) = name.parse::<Reference>() else { return name.to_owned() };
    let familiar = reference.familiar().to_string();
    familiar.strip_suffix(":latest").unwrap_or(&familiar).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_the_same_however_they_are_written() {
        let linux: Platform = "linux/amd64".parse().unwrap();
        let mut named = NamedContexts::default();
        named.insert("docker.io/library/alpine:latest", Named::Files(0));
        named.insert("alpine:3", Named::Files(1));
        named.insert("base::linux/amd64", Named::Files(2));
        named.insert("base", Named::Files(3));
        for (name, want) in [
            ("alpine", Some(0)),
            ("docker.io/alpine", Some(0)),
            ("alpine:3", Some(1)),
            ("alpine:4", None),
            ("base", Some(2)),
            ("other", None),
        ] {
            assert_eq!(named.get(name, &linux), want.map(Named::Files).as_ref(), "{name}");
        }
        let arm: Platform = "linux/arm64".parse().unwrap();
        assert_eq!(named.get("base", &arm), Some(&Named::Files(3)));
    }
}
