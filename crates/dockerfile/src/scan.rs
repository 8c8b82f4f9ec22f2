//! Bytes to logical lines: comments dropped, continuation lines joined, heredoc bodies gathered.

use std::str;

use crate::directive::DirectiveReader;
use crate::heredoc::{self, Heredoc};
use crate::parse::MAX_INSTRUCTION;
use crate::problem::Problem;
use crate::source::Lines;
use crate::statement::Statement;

/// A logical line with all that belongs to it.
#[derive(Debug, Default)]
pub(crate) struct LogicalLine {
    /// The joined text, without blanks at its start.
    pub(crate) text: String,
    pub(crate) lines: Lines,
    pub(crate) heredocs: Vec<Heredoc>,
    /// The comment lines directly above, without `#`.
    pub(crate) comments: Vec<String>,
    /// The last line before heredocs, where a blank one stands among the continuation lines.
    pub(crate) blank_before: Option<usize>,
}

/// A problem and the lines where it is.
pub(crate) type Located = (Lines, Problem);

/// Reads logical lines one by one.
pub(crate) struct Scanner<'a> {
    rest: &'a [u8],
    /// How many lines have been read.
    pub(crate) number: usize,
    pub(crate) directives: DirectiveReader,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        let rest = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        Self { rest, number: 0, directives: DirectiveReader::new() }
    }

    /// The next logical line; `None` at the end of the text.
    pub(crate) fn next(&mut self) -> Result<Option<LogicalLine>, Located> {
        let mut comments = Vec::new();
        while let Some(line) = self.physical() {
            let whole = without_end(line);
            let line = whole.trim_ascii_start();
            let shown = String::from_utf8_lossy(line);
            let directive = self.directives.line(&shown, self.number).map_err(|p| self.here(p))?;
            match line.first() {
                Some(b'#') if directive => {}
                Some(b'#') => match comment(whole) {
                    text if text.is_empty() => comments.clear(),
                    text => comments.push(text),
                },
                None => {}
                Some(_) => return self.logical(line, comments).map(Some),
            }
        }
        Ok(None)
    }

    /// The next line of the file with its end.
    fn physical(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let length =
            self.rest.iter().position(|b| *b == b'\n').map_or(self.rest.len(), |at| at + 1);
        let (line, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.number += 1;
        Some(line)
    }

    fn here(&self, problem: Problem) -> Located {
        (Lines::one(self.number), problem)
    }

    fn text(&self, line: &'a [u8]) -> Result<&'a str, Located> {
        str::from_utf8(line).map_err(|_| self.here(Problem::NotUtf8))
    }

    fn logical(&mut self, line: &'a [u8], comments: Vec<String>) -> Result<LogicalLine, Located> {
        let start = self.number;
        let mut joined = LogicalLine { comments, ..LogicalLine::default() };
        let (text, mut more) = self.without_continuation(self.text(line)?);
        joined.text.push_str(text);
        let mut blank = false;
        while more {
            let Some(line) = self.physical().map(without_end) else { break };
            match line.trim_ascii_start().first() {
                Some(b'#') => continue,
                None => blank = true,
                Some(_) => {
                    let text;
                    (text, more) = self.without_continuation(self.text(line)?);
                    joined.text.push_str(text);
                    self.bounded(start, joined.text.len())?;
                }
            }
        }
        self.bounded(start, joined.text.len())?;
        joined.blank_before = blank.then_some(self.number);
        self.heredocs(start, &mut joined)?;
        joined.lines = Lines::new(start, self.number);
        Ok(joined)
    }

    /// A line without the escape character at its end, and whether it had one. An escaped escape
    /// character continues nothing.
    fn without_continuation<'l>(&self, line: &'l str) -> (&'l str, bool) {
        let escape = self.directives.escape;
        match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
            Some(text) if !text.ends_with(escape) => (text, true),
            _ => (line, false),
        }
    }

    fn bounded(&self, start: usize, length: usize) -> Result<(), Located> {
        let limit = MAX_INSTRUCTION;
        match length > limit {
            true => Err((Lines::new(start, self.number), Problem::InstructionTooLong { limit })),
            false => Ok(()),
        }
    }

    fn heredocs(&mut self, start: usize, joined: &mut LogicalLine) -> Result<(), Located> {
        if !Statement::split(&joined.text).may_hold_heredocs() {
            return Ok(());
        }
        let announced = Lines::new(start, self.number);
        let mut length = joined.text.len();
        for mut heredoc in heredoc::announced(&joined.text) {
            loop {
                let Some(line) = self.physical() else {
                    return Err((announced, Problem::UnterminatedHeredoc { name: heredoc.name }));
                };
                if heredoc.ends_at(&String::from_utf8_lossy(without_end(line))) {
                    break;
                }
                heredoc.body.push_str(self.text(line)?);
                length += line.len();
                self.bounded(start, length)?;
            }
            joined.heredocs.push(heredoc);
        }
        Ok(())
    }
}

/// The text of a comment line. Of one that is indented the `#` is a part, as in BuildKit: it describes
/// nothing.
fn comment(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[1..]).trim().to_owned()
}

/// A line without `\n` or `\r\n`.
fn without_end(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|b| !matches!(b, b'\n' | b'\r')).map_or(0, |at| at + 1);
    &line[..end]
}
