//! Ids and names of containers.

use std::fmt;
use std::fs::File;
use std::io::Read as _;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

/// 64 hexadecimal digits, of which 12 are shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ContainerId(String);

impl ContainerId {
    /// A new one, from the kernel's random numbers.
    pub(crate) fn random() -> anyhow::Result<Self> {
        let mut bytes = [0; 32];
        File::open("/dev/urandom")
            .and_then(|mut source| source.read_exact(&mut bytes))
            .context("cannot read /dev/urandom")?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 64 && text.bytes().all(lower_hex)).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn short(&self) -> &str {
        &self.0[..12]
    }

    /// A name made of words, for a container that was given none; the same id gives the same name.
    pub(crate) fn words(&self) -> String {
        let number = |at: usize| usize::from_str_radix(&self.0[at..at + 8], 16).unwrap_or_default();
        let adjective = ADJECTIVES[number(0) % ADJECTIVES.len()];
        let noun = NOUNS[number(8) % NOUNS.len()];
        // Four digits keep names apart without a look at those that exist.
        format!("{adjective}-{noun}-{}", &self.0[16..20])
    }
}

impl TryFrom<String> for ContainerId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("not the id of a container: {text}"))
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names as docker allows them: two characters or more, letters, digits, `_`, `.` and `-`, the first
/// a letter or a digit.
pub(crate) fn check_name(name: &str) -> anyhow::Result<()> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !first || !name.bytes().all(inner) || !(2..=128).contains(&name.len()) {
        bail!(
            "invalid container name {name:?}: 2 to 128 of a-z A-Z 0-9 _ . - are allowed, and the first must be a letter or a digit"
        );
    }
    Ok(())
}

const ADJECTIVES: [&str; 24] = [
    "agile", "amber", "brave", "brisk", "calm", "clear", "crisp", "eager", "early", "fleet",
    "gentle", "keen", "light", "lucid", "mellow", "nimble", "plain", "quick", "quiet", "slender",
    "sunny", "swift", "tidy", "vivid",
];

const NOUNS: [&str; 24] = [
    "anchor", "badger", "barge", "beacon", "comet", "cutter", "dinghy", "feather", "finch",
    "harbor", "heron", "kayak", "lantern", "magpie", "otter", "pebble", "plover", "raft", "reed",
    "sail", "sparrow", "swallow", "thistle", "willow",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_64_digits_and_differ() {
        let (a, b) = (ContainerId::random().unwrap(), ContainerId::random().unwrap());
        assert_ne!(a, b);
        assert_eq!(ContainerId::parse(a.as_str()), Some(a.clone()));
        assert_eq!(a.short().len(), 12);
        check_name(&a.words()).unwrap();
    }

    #[test]
    fn ids_that_are_paths_or_short_are_refused() {
        for text in ["", "abc", "../../../../etc", &"G".repeat(64), &"/".repeat(64)] {
            assert_eq!(ContainerId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_as_docker_allows_them() {
        for name in ["app", "a1", "my_app.v-2"] {
            check_name(name).unwrap();
        }
        for name in ["", "a", "-app", ".x", "a/b", "a b", "ä1", "../x"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
