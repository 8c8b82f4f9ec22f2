//! Arguments that are a JSON array of strings (exec form) or separated by blanks.

use crate::instruction::CommandLine;
use crate::problem::Problem;

/// The elements of a JSON array; none where `text` is no array. An element is `None` where it is no
/// string.
pub(crate) fn json(text: &str) -> Option<Vec<Option<String>>> {
    if !text.trim_start().starts_with('[') {
        return None;
    }
    let values: Vec<serde_json::Value> = serde_json::from_str(text).ok()?;
    Some(values.into_iter().map(|value| value.as_str().map(str::to_owned)).collect())
}

/// The strings of a JSON array; none where `text` is no array.
///
/// # Errors
/// An array that holds anything else than strings.
pub(crate) fn strings(instruction: &str, text: &str) -> Result<Option<Vec<String>>, Problem> {
    let Some(values) = json(text) else { return Ok(None) };
    let strings: Option<Vec<String>> = values.into_iter().collect();
    let wrong = || Problem::NotStrings { instruction: instruction.to_owned() };
    strings.ok_or_else(wrong).map(Some)
}

/// The strings of a JSON array, or else the words between blanks.
///
/// # Errors
/// As [`strings`].
pub(crate) fn words(instruction: &str, text: &str) -> Result<Vec<String>, Problem> {
    let strings = strings(instruction, text)?;
    Ok(strings.unwrap_or_else(|| text.split_whitespace().map(str::to_owned).collect()))
}

/// The exec form, or else the shell form.
///
/// # Errors
/// As [`strings`].
pub(crate) fn command(instruction: &str, text: &str) -> Result<CommandLine, Problem> {
    let strings = strings(instruction, text)?;
    Ok(strings.map_or_else(|| CommandLine::Shell(text.to_owned()), CommandLine::Exec))
}
