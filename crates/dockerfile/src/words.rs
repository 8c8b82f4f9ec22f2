//! `name=value` words of ENV, LABEL and ARG, with their quotes and escapes.

use crate::instruction::{Arg, Pair};
use crate::problem::Problem;
use crate::source::Lines;

/// The words of `text`: blanks in quotes or behind the escape character do not end a word. Quotes
/// and escapes stay for the expansion.
fn words(text: &str, escape: char) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            (None | Some('"'), c) if c == escape => match chars.next() {
                Some(escaped) => word.extend([c, escaped]),
                None => break,
            },
            (open, c) => {
                word.push(c);
                quote = match (open, c) {
                    (Some(open), c) if c == open => None,
                    (None, '\'' | '"') => Some(c),
                    (open, _) => open,
                };
            }
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Whether this is the old form `name value`: a first word without `=`.
pub(crate) fn is_legacy(text: &str) -> bool {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    !text[..end].contains('=')
}

/// ENV and LABEL: `name=value …`, or `name value` where the first word has no `=`.
pub(crate) fn pairs(instruction: &str, text: &str, escape: char) -> Result<Vec<Pair>, Problem> {
    let words = words(text, escape);
    let Some(first) = words.first() else {
        return Err(Problem::NoArgument { instruction: instruction.to_owned() });
    };
    if !first.contains('=') {
        return single(instruction, text).map(|pair| vec![pair]);
    }
    words.iter().map(|word| assignment(instruction, word)).collect()
}

/// The old form: all that follows the first blanks is the value.
fn single(instruction: &str, text: &str) -> Result<Pair, Problem> {
    let missing = || Problem::NoValue { instruction: instruction.to_owned() };
    let (key, value) = text.split_once(char::is_whitespace).ok_or_else(missing)?;
    Ok(Pair { key: key.to_owned(), value: value.trim_start().to_owned() })
}

fn assignment(instruction: &str, word: &str) -> Result<Pair, Problem> {
    let instruction = || instruction.to_owned();
    let Some((key, value)) = word.split_once('=') else {
        return Err(Problem::NotAssignment { instruction: instruction(), word: word.to_owned() });
    };
    if key.is_empty() {
        return Err(Problem::BlankName { instruction: instruction() });
    }
    Ok(Pair { key: key.to_owned(), value: value.to_owned() })
}

/// ARG: `name` or `name=default`, several.
pub(crate) fn args(
    text: &str,
    escape: char,
    lines: Lines,
    comments: &[String],
) -> Result<Vec<Arg>, Problem> {
    let words = words(text, escape);
    if words.is_empty() {
        return Err(Problem::NoArgument { instruction: "ARG".to_owned() });
    }
    let arg = |word: &String| {
        let (name, default) = match word.split_once('=') {
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (word.as_str(), None),
        };
        if name.is_empty() {
            return Err(Problem::BlankName { instruction: "ARG".to_owned() });
        }
        let description = described(comments, name);
        Ok(Arg { name: name.to_owned(), default, lines, description })
    };
    words.iter().map(arg).collect()
}

/// What a comment `# name text` says about `name`.
pub(crate) fn described(comments: &[String], name: &str) -> Option<String> {
    let text = |comment: &String| Some(comment.strip_prefix(name)?.strip_prefix(' ')?.to_owned());
    comments.iter().find_map(text)
}
