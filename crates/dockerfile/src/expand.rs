//! Variable expansion and quote removal in words, as in a shell (Dockerfile reference, "Environment
//! replacement"). This file has the words, quotes and escapes; `substitute` has what follows a `$`.

use std::collections::BTreeSet;

use crate::source::Lines;

/// How deep `${a:-${b:-…}}` may nest: hostile text must not exhaust the stack.
const MAX_DEPTH: usize = 64;
/// How long a result may be, in bytes: doubling a variable again and again must not exhaust memory.
const MAX_LENGTH: usize = 4 << 20;

/// Why a word cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is told by its message")]
pub enum ExpandProblem {
    #[error("a {quote} is not closed")]
    UnclosedQuote { quote: char },
    #[error("a ${{ is not closed")]
    UnclosedBrace,
    #[error("the second / of ${{name/pattern/replacement}} is missing")]
    MissingSlash,
    #[error("bad substitution")]
    BadSubstitution,
    #[error("unsupported modifier {modifier:?}")]
    UnsupportedModifier { modifier: String },
    #[error("invalid escape {escape:?} in a pattern")]
    InvalidPattern { escape: String },
    #[error("{name}: {message}")]
    Required { name: String, message: String },
    #[error("substitutions nest too deeply")]
    TooDeep,
    #[error("the result is too long")]
    TooLong,
}

/// A word that cannot be expanded, and its place where it is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot expand {word:?}: {problem}")]
pub struct ExpandError {
    /// The word as written.
    pub word: String,
    /// Why.
    pub problem: ExpandProblem,
    /// The lines of its instruction; default where it was expanded alone.
    pub lines: Lines,
}

/// Expands `word` with the values that `lookup` gives, and removes its quotes and escapes. A
/// variable without value is empty.
///
/// # Errors
/// A quote or brace that is not closed, a form that is none, or `${name:?message}`.
pub fn expand(
    word: &str,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, ExpandError> {
    Expander::new(escape, lookup).text(word)
}

/// As [`expand`], and splits the result at blanks that are neither quoted nor escaped.
///
/// # Errors
/// As [`expand`].
pub fn expand_words(
    word: &str,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>, ExpandError> {
    Expander::new(escape, lookup).words(word)
}

/// Expands words with one set of values and remembers which variables had none.
pub struct Expander<'a> {
    escape: char,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    unset: BTreeSet<String>,
    /// Syntax is all that counts: `${name:?message}` is no error.
    pub(crate) lenient: bool,
}

impl<'a> Expander<'a> {
    /// `escape` is the Dockerfile's; `lookup` gives a variable's value, `None` where it is unset.
    pub fn new(escape: char, lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { escape, lookup, unset: BTreeSet::new(), lenient: false }
    }

    /// As [`expand`].
    ///
    /// # Errors
    /// As [`expand`].
    pub fn text(&mut self, word: &str) -> Result<String, ExpandError> {
        self.run(word, self.escape, Mode::default()).map(|result| result.text)
    }

    /// As [`expand_words`].
    ///
    /// # Errors
    /// As [`expand`].
    pub fn words(&mut self, word: &str) -> Result<Vec<String>, ExpandError> {
        self.run(word, self.escape, Mode::default()).map(Words::finish)
    }

    /// Expands the content of a heredoc: quotes are ordinary, the escape character is always `\`.
    ///
    /// # Errors
    /// As [`expand`].
    pub fn content(&mut self, content: &str) -> Result<String, ExpandError> {
        let mode = Mode { quotes: Quotes::Ordinary, ..Mode::default() };
        self.run(content, '\\', mode).map(|result| result.text)
    }

    /// Puts values into an instruction's text for people to read: quotes, escapes and what has no
    /// value stay, and text that cannot be expanded is returned as it is.
    pub fn display(&self, text: &str) -> String {
        let mode = Mode { quotes: Quotes::Kept, raw_escapes: true, keep_unset: true };
        let mut silent = Expander::new(self.escape, self.lookup);
        silent.run(text, self.escape, mode).map_or_else(|_| text.to_owned(), |result| result.text)
    }

    /// The variables that had no value in any expansion so far and no default of their own
    /// (`${name:-…}`, `${name:+…}`), sorted.
    pub fn unset(&self) -> impl Iterator<Item = &str> {
        self.unset.iter().map(String::as_str)
    }

    fn run(&mut self, word: &str, escape: char, mode: Mode) -> Result<Words, ExpandError> {
        let chars = word.chars().collect();
        let mut lexer = Lexer { chars, at: 0, escape, mode, depth: 0, length: 0, expander: self };
        let raw = lexer.mode.raw_escapes;
        lexer.until(None, raw).map_err(|problem| ExpandError {
            word: word.to_owned(),
            problem,
            lines: Lines::default(),
        })
    }

    pub(crate) fn value(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
    }

    pub(crate) fn note_unset(&mut self, name: &str) {
        self.unset.insert(name.to_owned());
    }
}

/// What happens to quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Quotes {
    #[default]
    Removed,
    Kept,
    /// Quotes are characters like others.
    Ordinary,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mode {
    quotes: Quotes,
    raw_escapes: bool,
    /// A substitution of a variable without value stays as written.
    pub(crate) keep_unset: bool,
}

/// An expanded text, and the words that it falls into.
#[derive(Debug, Default)]
pub(crate) struct Words {
    pub(crate) text: String,
    words: Vec<String>,
    word: String,
}

impl Words {
    /// Adds text whose blanks separate words.
    fn split(&mut self, text: &str) {
        self.text += text;
        for c in text.chars() {
            match c.is_whitespace() {
                true => self.end_word(),
                false => self.word.push(c),
            }
        }
    }

    /// Adds text that belongs to the current word, blanks included.
    fn whole(&mut self, text: &str) {
        self.text += text;
        self.word += text;
    }

    fn end_word(&mut self) {
        if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    fn finish(mut self) -> Vec<String> {
        self.end_word();
        self.words
    }
}

pub(crate) struct Lexer<'e, 'a> {
    pub(crate) chars: Vec<char>,
    pub(crate) at: usize,
    pub(crate) escape: char,
    pub(crate) mode: Mode,
    pub(crate) depth: usize,
    length: usize,
    pub(crate) expander: &'e mut Expander<'a>,
}

impl Lexer<'_, '_> {
    pub(crate) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub(crate) fn next(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += usize::from(c.is_some());
        c
    }

    /// Expands up to `stop`, which is consumed, or to the end where it is `None`.
    pub(crate) fn until(&mut self, stop: Option<char>, raw: bool) -> Result<Words, ExpandProblem> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ExpandProblem::TooDeep);
        }
        let mut out = Words::default();
        while let Some(c) = self.peek() {
            if Some(c) == stop {
                self.at += 1;
                self.depth -= 1;
                return Ok(out);
            }
            self.step(c, raw, &mut out)?;
        }
        self.depth -= 1;
        if stop.is_some() { Err(ExpandProblem::UnclosedBrace) } else { Ok(out) }
    }

    fn step(&mut self, c: char, raw: bool, out: &mut Words) -> Result<(), ExpandProblem> {
        match c {
            '$' => {
                let value = self.dollar()?;
                self.grow(value.len())?;
                out.split(&value);
            }
            '\'' | '"' if self.mode.quotes != Quotes::Ordinary => {
                let text = if c == '"' { self.double_quoted(raw)? } else { self.single_quoted()? };
                out.whole(&text);
            }
            c if c == self.escape => self.escaped(raw, out),
            c => {
                self.at += 1;
                out.split(c.encode_utf8(&mut [0; 4]));
            }
        }
        Ok(())
    }

    /// Bounds the sum of all values put in.
    pub(crate) fn grow(&mut self, by: usize) -> Result<(), ExpandProblem> {
        self.length = self.length.saturating_add(by);
        if self.length > MAX_LENGTH { Err(ExpandProblem::TooLong) } else { Ok(()) }
    }

    fn escaped(&mut self, raw: bool, out: &mut Words) {
        self.at += 1;
        if raw {
            out.whole(self.escape.encode_utf8(&mut [0; 4]));
        }
        if let Some(c) = self.next() {
            out.whole(c.encode_utf8(&mut [0; 4]));
        }
    }

    fn keep_quote(&self, quote: char, text: &mut String) {
        if self.mode.quotes == Quotes::Kept {
            text.push(quote);
        }
    }

    fn single_quoted(&mut self) -> Result<String, ExpandProblem> {
        let mut text = String::new();
        self.keep_quote('\'', &mut text);
        self.at += 1;
        while let Some(c) = self.next() {
            if c == '\'' {
                self.keep_quote('\'', &mut text);
                return Ok(text);
            }
            text.push(c);
        }
        Err(ExpandProblem::UnclosedQuote { quote: '\'' })
    }

    /// Between double quotes the escape character escapes only `"`, `$` and itself.
    fn double_quoted(&mut self, raw: bool) -> Result<String, ExpandProblem> {
        let mut text = String::new();
        self.keep_quote('"', &mut text);
        self.at += 1;
        while let Some(c) = self.peek() {
            match c {
                '$' => {
                    let value = self.dollar()?;
                    self.grow(value.len())?;
                    text += &value;
                    continue;
                }
                '"' => {
                    self.at += 1;
                    self.keep_quote('"', &mut text);
                    return Ok(text);
                }
                c if c == self.escape => self.escaped_in_quotes(raw, &mut text),
                c => text.push(c),
            }
            self.at += 1;
        }
        Err(ExpandProblem::UnclosedQuote { quote: '"' })
    }

    fn escaped_in_quotes(&mut self, raw: bool, text: &mut String) {
        let following = self.chars.get(self.at + 1).copied();
        let special = following.filter(|c| matches!(c, '"' | '$') || *c == self.escape);
        match special {
            Some(c) => {
                if raw {
                    text.push(self.escape);
                }
                text.push(c);
                self.at += 1;
            }
            None => text.push(self.escape),
        }
    }
}
