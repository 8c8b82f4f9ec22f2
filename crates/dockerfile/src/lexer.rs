//! Words, quotes and escapes of variable expansion.

use crate::expand::{ExpandProblem, Expander};

/// How deep `${a:-${b:-…}}` may nest: hostile text must not exhaust the stack.
const MAX_DEPTH: usize = 64;
/// How long a result may be, in bytes: doubling a variable again and again must not exhaust memory.
const MAX_LENGTH: usize = 4 << 20;

/// What happens to quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Quotes {
    #[default]
    Removed,
    Kept,
    /// Quotes are characters like others.
    Ordinary,
}

/// How a text is read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mode {
    pub(crate) quotes: Quotes,
    pub(crate) raw_escapes: bool,
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

    /// The words.
    pub(crate) fn finish(mut self) -> Vec<String> {
        self.end_word();
        self.words
    }
}

/// A reader over the characters of a word.
pub(crate) struct Lexer<'e, 'a> {
    pub(crate) chars: Vec<char>,
    pub(crate) at: usize,
    pub(crate) escape: char,
    pub(crate) mode: Mode,
    depth: usize,
    length: usize,
    pub(crate) expander: &'e mut Expander<'a>,
}

impl<'e, 'a> Lexer<'e, 'a> {
    pub(crate) fn new(
        word: &str,
        escape: char,
        mode: Mode,
        expander: &'e mut Expander<'a>,
    ) -> Self {
        let chars = word.chars().collect();
        Self { chars, at: 0, escape, mode, depth: 0, length: 0, expander }
    }

    /// Expands the whole word.
    pub(crate) fn all(&mut self) -> Result<Words, ExpandProblem> {
        self.until(None, self.mode.raw_escapes)
    }

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
