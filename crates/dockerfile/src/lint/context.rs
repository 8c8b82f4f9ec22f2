//! COPY and ADD beside `.dockerignore`: CopyIgnoredFile.

use super::Finding;
use super::rule::COPY_IGNORED_FILE;
use crate::ignore::IgnorePatterns;
use crate::source::Lines;

/// A source that the patterns keep out of the context. `instruction` is `Copy` or `Add`.
pub(super) fn ignored_source(
    instruction: &str,
    source: &str,
    patterns: &IgnorePatterns,
    lines: Lines,
) -> Option<Finding> {
    let source = patterns.hidden_source(source)?;
    let detail =
        format!("Attempting to {instruction} file {source:?} that is excluded by .dockerignore");
    Some(Finding::new(&COPY_IGNORED_FILE, lines, detail))
}
