//! What the user hears of a build: its progress, its warnings, and why steps were done.

mod explained;
mod raw;
mod rendered;

use std::str::FromStr;

use cli::ProgressMode;

pub(crate) use explained::{Explain, Explained, Explanations};
use raw::Raw;
use rendered::Rendered;

/// `--progress`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgressFlag {
    /// For people.
    Shown(ProgressMode),
    /// `rawjson`: for programs.
    RawJson,
}

impl FromStr for ProgressFlag {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "rawjson" => Ok(Self::RawJson),
            name => name.parse().map(Self::Shown).map_err(|error: String| error + ", rawjson"),
        }
    }
}

/// Shows a build on standard error.
pub(crate) trait Report: build::Progress {
    /// A warning, when quiet too.
    fn warn(&self, message: &str);

    /// What the Dockerfile's rules said, when the steps have ended.
    fn show_findings(&self);
}

/// What shows a build as the user wants it.
pub(crate) fn report(flag: ProgressFlag) -> Box<dyn Report> {
    match flag {
        ProgressFlag::Shown(mode) => Box::new(Rendered::new(mode)),
        ProgressFlag::RawJson => Box::new(Raw::default()),
    }
}
