//! The text of registries.conf, version 2 (containers-registries.conf(5)). Pure.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Config {
    pub(super) unqualified_search_registries: Option<Vec<String>>,
    pub(super) short_name_mode: Option<Mode>,
    pub(super) credential_helpers: Option<Vec<String>>,
    pub(super) aliases: BTreeMap<String, String>,
    #[serde(rename = "registry")]
    pub(super) entries: Vec<Entry>,
    /// What version 1 had in their place.
    registries: Option<toml::Table>,
}

/// What happens to a name without a registry that several registries may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// It is refused: we do not ask.
    Enforcing,
    /// All are tried in turn.
    Permissive,
    /// The same, without aliases.
    Disabled,
}

/// A `[[registry]]`: what becomes of the names with its prefix.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Entry {
    pub(super) prefix: String,
    pub(super) location: String,
    pub(super) insecure: bool,
    pub(super) blocked: bool,
    pub(super) mirror_by_digest_only: bool,
    #[serde(rename = "mirror")]
    pub(super) mirrors: Vec<Mirror>,
}

/// A `[[registry.mirror]]`, asked before the registry itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Mirror {
    pub(super) location: String,
    pub(super) insecure: bool,
    pub(super) pull_from_mirror: Option<Use>,
}

/// Which pulls ask a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Use {
    All,
    DigestOnly,
    TagOnly,
}

/// Reads one file's text.
///
/// # Errors
/// What is wrong, for people.
pub(super) fn parse(text: &str) -> Result<Config, String> {
    let mut config: Config = toml::from_str(text).map_err(|error| shown(&error, text))?;
    if config.registries.is_some() {
        return Err("it has the form of version 1, [registries.search]; write version 2, \
                    unqualified-search-registries and [[registry]]"
            .to_owned());
    }
    config.entries.iter_mut().try_for_each(complete)?;
    Ok(config)
}

/// What is wrong, in one line, with its place.
fn shown(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let (line, reason) = (before.matches('\n').count() + 1, error.message().replace('\n', " "));
    format!("line {line}: {reason}")
}

/// Fills in what an entry leaves out, and checks it.
fn complete(entry: &mut Entry) -> Result<(), String> {
    let is_wildcard = entry.prefix.starts_with('*');
    entry.location = place(&entry.location)?;
    if entry.prefix.is_empty() {
        entry.prefix.clone_from(&entry.location);
    }
    entry.prefix = place(&entry.prefix)?;
    if entry.prefix.is_empty() {
        return Err("a [[registry]] has neither prefix nor location".to_owned());
    }
    if is_wildcard && !entry.prefix.starts_with("*.") {
        return Err(format!("the prefix {} is no *.DOMAIN", entry.prefix));
    }
    if entry.location.is_empty() && !is_wildcard {
        entry.location.clone_from(&entry.prefix);
    }
    for mirror in &mut entry.mirrors {
        mirror.location = place(&mirror.location)?;
        if mirror.location.is_empty() {
            return Err(format!("a mirror of {} has no location", entry.prefix));
        }
        if entry.mirror_by_digest_only && mirror.pull_from_mirror.is_some() {
            return Err(format!(
                "{} has mirror-by-digest-only, and a mirror of it pull-from-mirror",
                entry.prefix
            ));
        }
    }
    Ok(())
}

/// A place without the slashes at its end.
fn place(text: &str) -> Result<String, String> {
    match text.contains("://") {
        true => Err(format!("{text} is a URL; write HOST[:PORT][/PATH]")),
        false => Ok(text.trim_end_matches('/').to_owned()),
    }
}

impl Mirror {
    /// Whether a pull of a name with a digest, or with a tag alone, asks this mirror.
    pub(super) fn serves(&self, of: &Entry, has_digest: bool) -> bool {
        match self.pull_from_mirror {
            Some(Use::DigestOnly) => has_digest,
            Some(Use::TagOnly) => !has_digest,
            Some(Use::All) => true,
            None => has_digest || !of.mirror_by_digest_only,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, want) in [
            ("\nx = ", "line 2: "),
            ("[registries.search]\nregistries = ['a']", "version 1"),
            ("[[registry]]\ninsecure = true", "neither prefix nor location"),
            ("[[registry]]\nlocation = 'https://a.io'", "is a URL"),
            ("[[registry]]\nprefix = '*a.io'", "is no *.DOMAIN"),
            ("[[registry]]\nprefix = 'a.io'\n[[registry.mirror]]\ninsecure = true", "no location"),
            (
                "[[registry]]\nprefix = 'a.io'\nmirror-by-digest-only = true\n\
                 [[registry.mirror]]\nlocation = 'b.io'\npull-from-mirror = 'all'",
                "mirror-by-digest-only",
            ),
            (
                "[[registry]]\nprefix = 'a.io'\n[[registry.mirror]]\nlocation = 'b.io'\n\
                 pull-from-mirror = 'sometimes'",
                "line 5: ",
            ),
            ("short-name-mode = 'x'", "line 1: "),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
    }

    #[test]
    fn fields_that_are_left_out() {
        let config = parse(
            "future-field = 1\n[[registry]]\nlocation = 'a.io/x/'\n[[registry]]\nprefix = '*.b.io'",
        )
        .unwrap();
        let places: Vec<_> =
            config.entries.iter().map(|it| (it.prefix.as_str(), it.location.as_str())).collect();
        assert_eq!(places, [("a.io/x", "a.io/x"), ("*.b.io", "")]);
    }
}
