//! Arguments that are a JSON array of strings (exec form) or separated by blanks.

use std::borrow::Cow;

use crate::instruction::CommandLine;
use crate::problem::Problem;

/// The elements of a JSON array; none where `text` is no array. An element is `None` where it is no
/// string.
pub(crate) fn json(text: &str) -> Option<Vec<Option<String>>> {
    if !text.trim_start().starts_with('[') {
        return None;
    }
    let values: Vec<serde_json::Value> = serde_json::from_str(&without_halves(text)).ok()?;
    Some(values.into_iter().map(|value| value.as_str().map(str::to_owned)).collect())
}

/// The text with `\ufffd`, which stands for what cannot be shown, for each half of a surrogate pair that has
/// lost the other: Go reads them so, where JSON as such has no meaning for them.
fn without_halves(text: &str) -> Cow<'_, str> {
    if !text.contains("\\u") {
        return Cow::Borrowed(text);
    }
    let (mut whole, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('\\') {
        whole.push_str(&rest[..at]);
        rest = &rest[at..];
        let (kept, length) = match (unit(rest), rest.get(6..).and_then(unit)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => (&rest[..12], 12),
            (Some(0xd800..0xe000), _) => ("\\ufffd", 6),
            _ => {
                let length = 1 + rest.chars().nth(1).map_or(0, char::len_utf8);
                (&rest[..length], length)
            }
        };
        whole.push_str(kept);
        rest = &rest[length..];
    }
    Cow::Owned(whole + rest)
}

/// The UTF-16 unit of an escape at the start of a text: `\u00e9`.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
    u16::from_str_radix(digits, 16).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_pairs_are_replaced() {
        for (text, want) in [
            (r#"["\ud83d"]"#, "\u{fffd}"),
            (r#"["\ud83d\ude00"]"#, "\u{1f600}"),
            (r#"["\ude00\ud83d"]"#, "\u{fffd}\u{fffd}"),
            (r#"["\ud83d\u0041"]"#, "\u{fffd}A"),
            (r#"["\\ud83d"]"#, r"\ud83d"),
            (r#"["é\u00e9"]"#, "éé"),
        ] {
            assert_eq!(json(text), Some(vec![Some(want.to_owned())]), "{text}");
        }
        assert_eq!(json(r#"["\ud83"]"#), None);
        assert_eq!(json("[\"\\"), None);
    }
}
