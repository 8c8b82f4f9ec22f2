//! `--annotation`: buildx's syntax.

use std::collections::BTreeMap;
use std::str::FromStr;

use build::{Annotation, AnnotationTarget};
use image::Platform;

use crate::arguments::Arguments;
use crate::attestation;

/// `[TARGET[PLATFORM],…:]NAME=VALUE`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnnotationFlag(Vec<Annotation>);

impl FromStr for AnnotationFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (left, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
        // A name may have colons of its own, but behind the first of them.
        let (targets, name) = match left.split_once(':') {
            Some((targets, name)) if targets.split(',').all(is_target) => (targets, name),
            _ => ("manifest", left),
        };
        if name.is_empty() {
            return Err("expected NAME=VALUE".to_owned());
        }
        let annotation = |word: &str| {
            let (on, platform) = target(word)?;
            let (name, value) = (name.to_owned(), value.to_owned());
            Ok(Annotation { on, platform, name, value })
        };
        targets.split(',').map(annotation).collect::<Result<_, String>>().map(Self)
    }
}

/// Whether a word looks like a target, even one that nobody knows.
fn is_target(word: &str) -> bool {
    let name = word.split_once('[').filter(|_| word.ends_with(']')).map_or(word, |(name, _)| name);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// `index`, `manifest[linux/amd64]`
pub(crate) fn target(word: &str) -> Result<(AnnotationTarget, Option<Platform>), String> {
    let (name, platform) = match word.strip_suffix(']').and_then(|it| it.split_once('[')) {
        Some((name, platform)) => {
            let parsed = platform.parse().map_err(|_| format!("{platform} is no platform"))?;
            (name, Some(parsed))
        }
        None => (word, None),
    };
    let on = match name {
        "manifest" => AnnotationTarget::Manifest,
        "index" => AnnotationTarget::Index,
        "manifest-descriptor" => AnnotationTarget::ManifestDescriptor,
        "index-descriptor" => AnnotationTarget::IndexDescriptor,
        _ => {
            return Err(format!(
                "{name} cannot have annotations: manifest, index and their descriptors can"
            ));
        }
    };
    Ok((on, platform))
}

/// All annotations, from flags and outputs. Those of an index need one.
pub(crate) fn given(
    arguments: &Arguments,
    build_args: &BTreeMap<String, String>,
) -> anyhow::Result<Vec<Annotation>> {
    let flags = arguments.annotations.iter().flat_map(|flag| flag.0.clone());
    let outputs = arguments.outputs.iter().flat_map(|output| output.annotations().to_vec());
    let all: Vec<Annotation> = flags.chain(outputs).collect();
    let index = [AnnotationTarget::Index, AnnotationTarget::IndexDescriptor];
    let attested = attestation::given(arguments)? != build::Attesting::default();
    let single =
        arguments.platforms.len() < 2 && !arguments.multi_platform(build_args)? && !attested;
    match all.iter().find(|it| single && index.contains(&it.on)) {
        Some(it) => Err(cli::usage(format!(
            "the annotation {} is for an index, and the build gives none: it is for one platform",
            it.name
        ))),
        None => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_stand_before_the_name() {
        use AnnotationTarget::{Index, Manifest, ManifestDescriptor};
        let parsed = |text: &str| {
            let AnnotationFlag(all) = text.parse().unwrap();
            let short =
                |it: Annotation| (it.on, it.platform.map(|it| it.to_string()), it.name, it.value);
            all.into_iter().map(short).collect::<Vec<_>>()
        };
        let plain = |on, name: &str, value: &str| (on, None, name.to_owned(), value.to_owned());
        assert_eq!(parsed("a=b=c"), [plain(Manifest, "a", "b=c")]);
        assert_eq!(parsed("index:a="), [plain(Index, "a", "")]);
        assert_eq!(parsed("org.x:y=1"), [plain(Manifest, "org.x:y", "1")]);
        assert_eq!(parsed("manifest:x:y=1"), [plain(Manifest, "x:y", "1")]);
        assert_eq!(
            parsed("index,manifest-descriptor:a=b"),
            [plain(Index, "a", "b"), plain(ManifestDescriptor, "a", "b")]
        );
        let arm = Some("linux/arm64".to_owned());
        assert_eq!(
            parsed("manifest[linux/arm64]:a=b"),
            [(Manifest, arm, "a".to_owned(), "b".to_owned())]
        );
        for text in ["a", "=b", "index:=b", "x:y=1", "index,other:a=b"] {
            assert!(text.parse::<AnnotationFlag>().is_err(), "{text}");
        }
    }
}
