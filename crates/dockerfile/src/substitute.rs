//! What follows a `$` in a word: `$name` and all forms of `${name…}`.

use crate::expand::ExpandProblem;
use crate::lexer::Lexer;
use crate::pattern::{Pattern, Reach};

/// How much work one pattern may be: seconds, not hours, on hostile text.
const MAX_STEPS: usize = 1 << 28;

impl Lexer<'_, '_> {
    /// Reads a `$` and what belongs to it; the text that takes its place. A `$` before anything
    /// that is no name stands for itself.
    pub(crate) fn dollar(&mut self) -> Result<String, ExpandProblem> {
        let start = self.at;
        self.at += 1;
        if self.peek() == Some('{') {
            self.at += 1;
            return self.braced(start);
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        Ok(self.plain(&name, start))
    }

    /// The value of `$name` or `${name}`, which began at `start`.
    fn plain(&mut self, name: &str, start: usize) -> String {
        match self.expander.value(name) {
            Some(value) => value,
            None if self.mode.keep_unset => self.written(start),
            None => String::new(),
        }
    }

    fn written(&self, start: usize) -> String {
        self.chars[start..self.at].iter().collect()
    }

    fn name(&mut self) -> String {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let length = match self.peek() {
            Some(c) if c.is_ascii_digit() => self.run_of(|c| c.is_ascii_digit()),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => self.run_of(word),
        };
        self.at += length;
        self.written(self.at - length)
    }

    fn run_of(&self, wanted: impl Fn(char) -> bool) -> usize {
        self.chars[self.at..].iter().take_while(|c| wanted(**c)).count()
    }

    fn braced(&mut self, start: usize) -> Result<String, ExpandProblem> {
        match self.peek() {
            None => return Err(ExpandProblem::UnclosedBrace),
            Some('{' | '}' | ':') => return Err(ExpandProblem::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.next().ok_or(ExpandProblem::UnclosedBrace)? {
            '}' => Ok(self.plain(&name, start)),
            ':' => match self.next().ok_or(ExpandProblem::UnclosedBrace)? {
                modifier @ ('-' | '+' | '?') => self.conditional(&name, modifier, true, start),
                modifier => Err(unsupported(&format!(":{modifier}"))),
            },
            modifier @ ('-' | '+' | '?') => self.conditional(&name, modifier, false, start),
            modifier @ ('#' | '%') => self.trimmed(&name, modifier, start),
            '/' => self.replaced(&name, start),
            modifier => Err(unsupported(&modifier.to_string())),
        }
    }

    /// `${name-word}`, `${name+word}`, `${name?word}`; with a colon an empty value counts as none.
    fn conditional(
        &mut self,
        name: &str,
        modifier: char,
        colon: bool,
        start: usize,
    ) -> Result<String, ExpandProblem> {
        let word = self.until(Some('}'), false)?.text;
        let value = self.expander.value(name);
        if value.is_none() && self.mode.keep_unset {
            return Ok(self.written(start));
        }
        let unset = value.is_none();
        let present = value.filter(|value| !(colon && value.is_empty()));
        match (modifier, present) {
            ('-', None) => Ok(word),
            ('+', None) => Ok(String::new()),
            ('+', Some(_)) => Ok(word),
            ('?', None) if !self.expander.lenient => Err(required(name, word, unset)),
            (_, present) => Ok(present.unwrap_or_default()),
        }
    }

    /// `${name#pattern}` and `${name%pattern}`; doubled, the longest match goes.
    fn trimmed(&mut self, name: &str, side: char, start: usize) -> Result<String, ExpandProblem> {
        let longest = self.peek() == Some(side);
        self.at += usize::from(longest);
        let pattern = self.until(Some('}'), true)?.text;
        let pattern = Pattern::new(&pattern, self.escape)?;
        let Some(value) = self.expander.value(name) else {
            return Ok(self.written_or_empty(start));
        };
        bounded(&pattern, &value)?;
        let reach = if longest { Reach::Longest } else { Reach::Shortest };
        Ok(match side {
            '#' => pattern.without_prefix(&value, reach),
            _ => pattern.without_suffix(&value, reach),
        })
    }

    /// `${name/pattern/replacement}` for the first match, `${name//pattern/replacement}` for all.
    fn replaced(&mut self, name: &str, start: usize) -> Result<String, ExpandProblem> {
        let all = self.peek() == Some('/');
        self.at += usize::from(all);
        let pattern = self.until(Some('/'), true).map_err(|problem| match problem {
            ExpandProblem::UnclosedBrace => ExpandProblem::MissingSlash,
            problem => problem,
        })?;
        let replacement = self.until(Some('}'), true)?.text;
        let pattern = Pattern::new(&pattern.text, self.escape)?;
        let Some(value) = self.expander.value(name) else {
            return Ok(self.written_or_empty(start));
        };
        bounded(&pattern, &value)?;
        let longest = value.len().saturating_add(1).saturating_mul(replacement.len());
        self.grow(if all { longest } else { replacement.len() })?;
        Ok(pattern.replace(&value, &replacement, all))
    }

    fn written_or_empty(&self, start: usize) -> String {
        if self.mode.keep_unset { self.written(start) } else { String::new() }
    }
}

fn bounded(pattern: &Pattern, value: &str) -> Result<(), ExpandProblem> {
    if pattern.steps(value.len()) > MAX_STEPS { Err(ExpandProblem::TooLong) } else { Ok(()) }
}

fn unsupported(modifier: &str) -> ExpandProblem {
    ExpandProblem::UnsupportedModifier { modifier: modifier.to_owned() }
}

fn required(name: &str, word: String, unset: bool) -> ExpandProblem {
    let message = match (word.is_empty(), unset) {
        (false, _) => word,
        (true, true) => "is not allowed to be unset".to_owned(),
        (true, false) => "is not allowed to be empty".to_owned(),
    };
    ExpandProblem::Required { name: name.to_owned(), message }
}
