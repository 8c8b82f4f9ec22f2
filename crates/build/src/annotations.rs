//! The annotations that a build was asked to make, by what they stand on.

use std::collections::HashMap;

use image::Platform;

use crate::solve::Session;
use crate::{Annotation, AnnotationTarget};

/// What a target gets, of the image for `platform`; `None` for nothing.
pub(crate) fn of(
    session: &Session<'_>,
    on: AnnotationTarget,
    platform: Option<&Platform>,
) -> Option<HashMap<String, String>> {
    select(&session.options.annotations, on, platform)
}

fn select(
    all: &[Annotation],
    on: AnnotationTarget,
    platform: Option<&Platform>,
) -> Option<HashMap<String, String>> {
    let wanted = |it: &&Annotation| {
        let fits = |wanted: &Platform| platform.is_some_and(|offered| wanted.accepts(offered));
        it.on == on && it.platform.as_ref().is_none_or(fits)
    };
    let found: HashMap<String, String> =
        all.iter().filter(wanted).map(|it| (it.name.clone(), it.value.clone())).collect();
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_gets_its_own_and_the_last_value_counts() {
        let arm: Platform = "linux/arm64".parse().unwrap();
        let annotation = |on, platform: Option<&Platform>, value: &str| Annotation {
            on,
            platform: platform.cloned(),
            name: "a".to_owned(),
            value: value.to_owned(),
        };
        let all = [
            annotation(AnnotationTarget::Manifest, None, "all"),
            annotation(AnnotationTarget::Manifest, Some(&arm), "arm"),
            annotation(AnnotationTarget::Index, None, "index"),
        ];
        let value = |on, platform: &str| {
            let platform = platform.parse().unwrap();
            select(&all, on, Some(&platform)).map(|it| it["a"].clone())
        };
        assert_eq!(value(AnnotationTarget::Manifest, "linux/amd64").as_deref(), Some("all"));
        assert_eq!(value(AnnotationTarget::Manifest, "linux/arm64").as_deref(), Some("arm"));
        assert_eq!(value(AnnotationTarget::Index, "linux/amd64").as_deref(), Some("index"));
        assert_eq!(value(AnnotationTarget::ManifestDescriptor, "linux/arm64"), None);
    }
}
