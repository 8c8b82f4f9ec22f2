//! Where names lead: registries.conf (containers-registries.conf(5)).
//!
//! ```text
//! what a user typed ─▶ aliases, search registries ─▶ references
//! reference ─▶ the [[registry]] with the longest prefix ─▶ mirrors, then the registry itself
//! ```
//!
//! Which files there are is the program's to know; they are read here, and understood in [`config`].

mod config;
mod matching;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use image::{Reference, ReferenceError};

use crate::files;
use config::{Config, Entry, Mode};
use matching::{is_qualified, matched, moved, split};

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistriesError {
    /// The file is there, but cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not understood.
    #[error("cannot understand {}: {reason}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The registry is not to be used.
    #[error("{name} is blocked: registries.conf says so of {prefix}")]
    Blocked {
        /// What was asked for.
        name: String,
        /// The prefix that it has.
        prefix: String,
    },
    /// What a name became by a location or a mirror is no name.
    #[error("registries.conf makes {name} of the prefix {prefix}")]
    Location {
        /// What it became.
        name: String,
        /// The prefix.
        prefix: String,
        /// What is wrong with it.
        source: ReferenceError,
    },
    /// A name without a registry that may stand for several.
    #[error(
        "{word} may be {}, and registries.conf wants short names to be certain",
        candidates.iter().map(Reference::familiar).collect::<Vec<_>>().join(" or ")
    )]
    Ambiguous {
        /// What was typed.
        word: String,
        /// What it may mean.
        candidates: Vec<Reference>,
    },
    /// What was typed is no name.
    #[error(transparent)]
    Name(#[from] ReferenceError),
}

/// What all files say together. The default says nothing: names are docker.io's, and lead to themselves.
#[derive(Clone, Debug, Default)]
pub struct Registries {
    search: Vec<String>,
    mode: Option<Mode>,
    helpers: Vec<String>,
    aliases: BTreeMap<String, String>,
    /// By prefix.
    entries: BTreeMap<String, Entry>,
}

/// One place that may have an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// The image's name there.
    pub(crate) reference: Reference,
    /// Whether its certificate is not checked, and plain HTTP is allowed.
    pub(crate) insecure: bool,
}

impl Registries {
    /// Reads the files that exist; a later one has the last word.
    ///
    /// # Errors
    /// A file that exists and cannot be read or understood.
    pub fn read<P: AsRef<Path>>(
        files: impl IntoIterator<Item = P>,
    ) -> Result<Self, RegistriesError> {
        let mut all = Self::default();
        for path in files {
            let path = path.as_ref();
            let unreadable = |source| RegistriesError::Read { path: path.to_owned(), source };
            let Some(text) = files::read_optional(path).map_err(unreadable)? else { continue };
            let text = String::from_utf8(text).map_err(|it| unreadable(io::Error::other(it)))?;
            let parsed = config::parse(&text);
            all.merge(
                parsed
                    .map_err(|reason| RegistriesError::Parse { path: path.to_owned(), reason })?,
            );
        }
        Ok(all)
    }

    fn merge(&mut self, newer: Config) {
        if let Some(search) = newer.unqualified_search_registries {
            self.search = search;
        }
        if let Some(helpers) = newer.credential_helpers {
            self.helpers = helpers;
        }
        self.mode = newer.short_name_mode.or(self.mode);
        self.aliases.extend(newer.aliases);
        self.entries.extend(newer.entries.into_iter().map(|it| (it.prefix.clone(), it)));
    }

    /// Credential helpers that are asked about each registry, in this order.
    pub fn credential_helpers(&self) -> impl Iterator<Item = &str> {
        // Podman's name for its own file, which is read in any case.
        self.helpers.iter().map(String::as_str).filter(|name| *name != "containers-auth.json")
    }

    /// What a user's word may mean, in the order in which to try. A word that names a registry means
    /// itself; another is an alias, or looked for in the search registries, or docker.io's.
    ///
    /// # Errors
    /// The word is no name; or it may mean several images, and short names are to be certain.
    pub fn candidates(&self, word: &str) -> Result<Vec<Reference>, RegistriesError> {
        if is_qualified(word) {
            return Ok(vec![word.parse()?]);
        }
        let (repository, suffix) = split(word);
        let alias = self.aliases.get(repository).filter(|alias| !alias.is_empty());
        if let Some(alias) = alias.filter(|_| self.mode != Some(Mode::Disabled)) {
            return Ok(vec![format!("{alias}{suffix}").parse()?]);
        }
        if self.search.is_empty() {
            return Ok(vec![word.parse()?]);
        }
        let names = self.search.iter().map(|registry| format!("{registry}/{word}").parse());
        let candidates: Vec<Reference> = names.collect::<Result<_, _>>()?;
        match self.mode == Some(Mode::Enforcing) && candidates.len() > 1 {
            true => Err(RegistriesError::Ambiguous { word: word.to_owned(), candidates }),
            false => Ok(candidates),
        }
    }

    /// Where to look for an image: mirrors, and last the registry.
    ///
    /// # Errors
    /// The registry is blocked, or a place makes no name.
    pub(crate) fn sources(
        &self,
        reference: &Reference,
    ) -> Result<(Vec<Source>, Source), RegistriesError> {
        let name = reference.to_string();
        let Some((entry, length)) = self.entry(&name)? else {
            return Ok((Vec::new(), Source { reference: reference.clone(), insecure: false }));
        };
        let source = |location: &str, insecure| {
            let name = moved(&name, length, location);
            let prefix = entry.prefix.clone();
            match name.parse() {
                Ok(reference) => Ok(Source { reference, insecure }),
                Err(source) => Err(RegistriesError::Location { name, prefix, source }),
            }
        };
        let has_digest = reference.digest().is_some();
        let mirrors = entry.mirrors.iter().filter(|mirror| mirror.serves(entry, has_digest));
        let mirrors =
            mirrors.map(|it| source(&it.location, it.insecure)).collect::<Result<_, _>>()?;
        let registry = match entry.location.as_str() {
            "" => Source { reference: reference.clone(), insecure: entry.insecure },
            location => source(location, entry.insecure)?,
        };
        Ok((mirrors, registry))
    }

    /// Where to write to: to the registry that is named, since mirrors and locations are for reading.
    ///
    /// # Errors
    /// The registry is blocked.
    pub(crate) fn target(&self, reference: &Reference) -> Result<Source, RegistriesError> {
        let entry = self.entry(&reference.to_string())?;
        let insecure = entry.is_some_and(|(entry, _)| entry.insecure);
        Ok(Source { reference: reference.clone(), insecure })
    }

    /// The entry with the longest prefix of a name, and how much of the name that is.
    fn entry(&self, name: &str) -> Result<Option<(&Entry, usize)>, RegistriesError> {
        let fitting = self.entries.values().filter_map(|it| Some((it, matched(name, &it.prefix)?)));
        match fitting.max_by_key(|(entry, _)| entry.prefix.len()) {
            Some((entry, _)) if entry.blocked => Err(RegistriesError::Blocked {
                name: name.to_owned(),
                prefix: entry.prefix.clone(),
            }),
            found => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registries(texts: &[&str]) -> Registries {
        let directory = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..texts.len())
            .map(|number| directory.path().join(format!("{number}.conf")))
            .collect();
        for (path, text) in paths.iter().zip(texts) {
            std::fs::write(path, text).unwrap();
        }
        Registries::read(paths.iter().chain([&directory.path().join("none.conf")])).unwrap()
    }

    fn places(conf: &Registries, name: &str) -> Result<Vec<(String, bool)>, String> {
        let sources = conf.sources(&name.parse().unwrap()).map_err(|error| error.to_string());
        let (mirrors, registry) = sources?;
        let sources = mirrors.into_iter().chain([registry]);
        Ok(sources.map(|it| (it.reference.to_string(), it.insecure)).collect())
    }

    #[test]
    fn mirrors_come_before_the_registry() {
        let conf = registries(&[r#"
            [[registry]]
            prefix = "docker.io"
            location = "registry.local:5000/hub"
            insecure = true
            [[registry.mirror]]
            location = "mirror.local/a"
            [[registry.mirror]]
            location = "pinned.local"
            pull-from-mirror = "digest-only"
            insecure = true
            [[registry]]
            prefix = "docker.io/library/secret"
            blocked = true
            [[registry]]
            location = "quay.io"
            mirror-by-digest-only = true
            [[registry.mirror]]
            location = "m.local"
            [[registry]]
            prefix = "*.example.com"
            insecure = true
        "#]);
        let is = |name: &str, want: &[(&str, bool)]| {
            let want: Vec<_> = want.iter().map(|(name, it)| ((*name).to_owned(), *it)).collect();
            assert_eq!(places(&conf, name), Ok(want), "{name}");
        };
        let digest = image::Digest::of("x");
        is(
            "debian:12",
            &[
                ("mirror.local/a/library/debian:12", false),
                ("registry.local:5000/hub/library/debian:12", true),
            ],
        );
        is(
            &format!("debian@{digest}"),
            &[
                (&format!("mirror.local/a/library/debian@{digest}"), false),
                (&format!("pinned.local/library/debian@{digest}"), true),
                (&format!("registry.local:5000/hub/library/debian@{digest}"), true),
            ],
        );
        is("quay.io/a:1", &[("quay.io/a:1", false)]);
        is("x.example.com:5000/a:1", &[("x.example.com:5000/a:1", true)]);
        is("other.io/a:1", &[("other.io/a:1", false)]);
        let blocked = places(&conf, "secret").unwrap_err();
        assert!(blocked.contains("docker.io/library/secret"), "{blocked}");
        let target = conf.target(&"debian:12".parse().unwrap()).unwrap();
        assert_eq!(
            (target.reference.to_string().as_str(), target.insecure),
            ("docker.io/library/debian:12", true)
        );
        assert!(conf.target(&"secret".parse().unwrap()).is_err());
    }

    #[test]
    fn short_names_have_aliases_and_search_registries() {
        let conf = registries(&[
            "unqualified-search-registries = ['quay.io', 'docker.io']\nshort-name-mode = 'enforcing'\n\
             [aliases]\n'fedora' = 'registry.fedoraproject.org/fedora'\n'user/x' = 'a.io/x'\n'off' = 'b.io/off'",
            "short-name-mode = 'permissive'\n[aliases]\n'off' = ''",
        ]);
        let is = |word: &str, want: &[&str]| {
            let found = conf.candidates(word).unwrap();
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, want, "{word}");
        };
        is("fedora:40", &["registry.fedoraproject.org/fedora:40"]);
        is("user/x", &["a.io/x:latest"]);
        is("off", &["quay.io/off:latest", "docker.io/library/off:latest"]);
        is("host:5000/x", &["host:5000/x:latest"]);
        let strict = registries(&[
            "unqualified-search-registries = ['a.io', 'b.io']\nshort-name-mode = 'enforcing'",
        ]);
        let error = strict.candidates("x").unwrap_err().to_string();
        assert!(error.contains("a.io/x:latest or b.io/x:latest"), "{error}");
        assert_eq!(Registries::default().candidates("x").unwrap(), ["x".parse().unwrap()]);
        assert!(Registries::default().candidates("X y").is_err());
    }

    #[test]
    fn a_later_file_has_the_last_word() {
        let conf = registries(&[
            "credential-helpers = ['containers-auth.json', 'secret']\n[[registry]]\nlocation = 'a.io'\nblocked = true",
            "[[registry]]\nlocation = 'a.io'",
        ]);
        assert_eq!(conf.credential_helpers().collect::<Vec<_>>(), ["secret"]);
        assert_eq!(places(&conf, "a.io/x:1"), Ok(vec![("a.io/x:1".to_owned(), false)]));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bad.conf");
        std::fs::write(&path, "[[registry").unwrap();
        let error = Registries::read([&path]).unwrap_err().to_string();
        assert!(error.contains("bad.conf: line 1"), "{error}");
    }
}
