//! One installed package.

use super::os_release::Distribution;
use crate::purl::Purl;

/// Who installs packages of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ecosystem {
    /// Debian and its kin.
    Deb,
    /// Alpine and its kin.
    Apk,
    /// Python's index.
    Python,
    /// Node's registry.
    Npm,
}

impl Ecosystem {
    /// The type in a package URL.
    pub(super) fn purl_type(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Apk => "apk",
            Self::Python => "pypi",
            Self::Npm => "npm",
        }
    }

    /// What the book is called from which a package is known.
    pub(super) fn book(self) -> &'static str {
        match self {
            Self::Deb => "DPKG DB",
            Self::Apk => "APK DB",
            Self::Python => "installed python package manifest file",
            Self::Npm => "installed node module manifest file",
        }
    }
}

/// A package, as its book tells. What the book does not say is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Whose it is.
    pub ecosystem: Ecosystem,
    /// Its name; with its scope, for Node.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is built for.
    pub architecture: String,
    /// Of the package that it is built from: name and version.
    pub source: (String, String),
    /// Who keeps it: `Name <address>`.
    pub maintainer: String,
    /// Where more is said of it.
    pub homepage: String,
    /// One line.
    pub summary: String,
    /// Its licence, in whatever words.
    pub license: String,
    /// The file that tells of it.
    pub path: String,
}

impl Package {
    /// One of which only the file is known that tells of it.
    pub(super) fn told_by(ecosystem: Ecosystem, path: &str) -> Self {
        Self {
            ecosystem,
            name: String::new(),
            version: String::new(),
            architecture: String::new(),
            source: Default::default(),
            maintainer: String::new(),
            homepage: String::new(),
            summary: String::new(),
            license: String::new(),
            path: path.to_owned(),
        }
    }

    /// The same, if it has a name and a version.
    pub(super) fn named(self) -> Option<Self> {
        (!self.name.is_empty() && !self.version.is_empty()).then_some(self)
    }

    /// Its package URL.
    pub(super) fn purl(&self, distribution: &Distribution) -> String {
        let kind = self.ecosystem.purl_type();
        match self.ecosystem {
            Ecosystem::Deb | Ecosystem::Apk => {
                let upstream = match &self.source {
                    (name, version) if version.is_empty() => name.clone(),
                    (name, version) => format!("{name}@{version}"),
                };
                let usual = if self.ecosystem == Ecosystem::Deb { "debian" } else { "alpine" };
                let path = [distribution.id_or(usual), &self.name];
                Purl::new(kind, &path, &self.version).with(&[
                    ("arch", &self.architecture),
                    ("distro", &distribution.qualifier()),
                    ("upstream", &upstream),
                ])
            }
            Ecosystem::Python => {
                // As the index spells names (PEP 503).
                let name = self.name.to_lowercase().replace(['_', '.'], "-");
                Purl::new(kind, &[&name], &self.version).with(&[])
            }
            Ecosystem::Npm => {
                let path: Vec<&str> = self.name.split('/').collect();
                Purl::new(kind, &path, &self.version).with(&[])
            }
        }
    }
}
