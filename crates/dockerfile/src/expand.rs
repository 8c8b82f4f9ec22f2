//! Variable expansion and quote removal in words, as in a shell (Dockerfile reference, "Environment
//! replacement"). This file is what callers see; `lexer` has the words, quotes and escapes, and
//! `substitute` what follows a `$`.

use std::collections::BTreeSet;

use crate::lexer::{Lexer, Mode, Quotes, Words};
use crate::source::Lines;

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
    found: BTreeSet<String>,
    missing: Vec<String>,
    /// Where in `missing` the names of the current word begin.
    word: usize,
    /// Syntax is all that counts: `${name:?message}` is no error.
    pub(crate) lenient: bool,
}

impl<'a> Expander<'a> {
    /// `escape` is the Dockerfile's; `lookup` gives a variable's value, `None` where it is unset.
    pub fn new(escape: char, lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            escape,
            lookup,
            found: BTreeSet::new(),
            missing: Vec::new(),
            word: 0,
            lenient: false,
        }
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

    /// The variables without a value that the words so far used, in any form: each once for a word,
    /// in the order of the words.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// The variables with a value that the words so far used, sorted.
    pub fn found(&self) -> impl Iterator<Item = &str> {
        self.found.iter().map(String::as_str)
    }

    fn run(&mut self, word: &str, escape: char, mode: Mode) -> Result<Words, ExpandError> {
        self.word = self.missing.len();
        Lexer::new(word, escape, mode, self).all().map_err(|problem| ExpandError {
            word: word.to_owned(),
            problem,
            lines: Lines::default(),
        })
    }

    /// A variable's value, and a note that it was asked for.
    pub(crate) fn value(&mut self, name: &str) -> Option<String> {
        let value = (self.lookup)(name);
        match value.is_some() {
            true => drop(self.found.insert(name.to_owned())),
            false if self.missing[self.word..].iter().any(|known| known == name) => {}
            false => self.missing.push(name.to_owned()),
        }
        value
    }
}
