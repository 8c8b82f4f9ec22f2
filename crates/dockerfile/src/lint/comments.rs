//! Comments and continuations: InvalidDefinitionDescription, NoEmptyContinuation,
//! MaintainerDeprecated.

use super::Finding;
use super::rule::{INVALID_DEFINITION_DESCRIPTION, MAINTAINER_DEPRECATED, NO_EMPTY_CONTINUATION};
use crate::source::Lines;

/// The last comment above a FROM or ARG should begin with a name that it defines.
pub(super) fn definition(
    instruction: &str,
    names: &[&str],
    comments: &[String],
    lines: Lines,
) -> Option<Finding> {
    let last = comments.last()?;
    let word = last.split(' ').next().unwrap_or_default();
    let example = match names {
        [] => return None,
        names if names.contains(&word) => return None,
        [only] => only,
        _ => "<arg_key>",
    };
    let detail =
        format!("Comment for {instruction} should follow the format: `# {example} <description>`");
    Some(Finding::new(&INVALID_DEFINITION_DESCRIPTION, lines, detail))
}

/// A blank line among continuation lines; `line` is the last of them.
pub(super) fn empty_continuation(line: usize) -> Finding {
    Finding::new(&NO_EMPTY_CONTINUATION, Lines::one(line), "Empty continuation line")
}

pub(super) fn maintainer(lines: Lines) -> Finding {
    let detail = "Maintainer instruction is deprecated in favor of using label";
    Finding::new(&MAINTAINER_DEPRECATED, lines, detail)
}
