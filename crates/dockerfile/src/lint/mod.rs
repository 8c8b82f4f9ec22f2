//! Build checks: what BuildKit's Dockerfile linter says of a file, rule by rule.
//!
//! ```text
//! text ──parse──▶ names.rs, comments.rs     what the text alone shows      Dockerfile::findings
//! plan ─────────▶ from.rs                   each FROM, expanded
//!                 variables.rs, stage.rs,   each instruction, expanded: the planner hands them over
//!                 ports.rs, context.rs
//!                     └──▶ Vec<Finding> ──Options──▶ those that the author wants to see
//! ```
//!
//! Every rule reports always; [`Options`] (the `check` directive and its build argument) drops what
//! is skipped, or experimental and not asked for, at the end. Messages, names and addresses are
//! BuildKit's, since people search for them. Nothing here reads a file or stops a build.

mod comments;
mod context;
mod file;
mod from;
mod names;
mod options;
mod ports;
mod rule;
mod stage;
mod variables;

use crate::source::Lines;

pub(crate) use file::FileLint;
pub use from::{
    FromWord, PlatformParts, base_platform, constant_platform, default_base, redundant_platform,
    undeclared_in_from,
};
pub use options::{OptionError, Options};
pub use rule::{RULES, Rule};
pub use stage::{StageLint, View};
pub use variables::tells_of_a_secret;

/// Something that a rule says about a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// Where.
    pub lines: Lines,
    /// What, in one line: BuildKit's words.
    pub detail: String,
}

impl Finding {
    pub(crate) fn new(rule: &'static Rule, lines: Lines, detail: impl Into<String>) -> Self {
        Self { rule, lines, detail: detail.into() }
    }
}
