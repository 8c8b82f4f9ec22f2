//! A logical line to its name, flags and arguments.

use crate::list;

/// The parts of a logical line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement<'a> {
    /// The name as written.
    pub(crate) name: &'a str,
    /// `--name=value` words, quotes removed.
    pub(crate) flags: Vec<String>,
    /// What follows, without blanks around it.
    pub(crate) arguments: &'a str,
}

impl<'a> Statement<'a> {
    pub(crate) fn split(line: &'a str) -> Self {
        let line = line.trim();
        let (name, rest) = line.split_once(is_blank).unwrap_or((line, ""));
        let (flags, arguments) = flags(rest);
        Self { name, flags, arguments: arguments.trim() }
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Whether `<<WORD` means a heredoc here.
    pub(crate) fn may_hold_heredocs(&self) -> bool {
        if self.is("ONBUILD") {
            let inner = Statement::split(self.arguments);
            return !inner.is("ONBUILD") && inner.may_hold_heredocs();
        }
        ["RUN", "COPY", "ADD"].iter().any(|name| self.is(name))
            && list::json(self.arguments).is_none()
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{b}' | '\u{c}' | '\r' | '\n')
}

/// The words at the start of `text` that begin with `--`, and the text behind them. `--` alone ends
/// them.
fn flags(text: &str) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    let mut rest = text.trim_start();
    while rest.starts_with("--") {
        let (word, tail) = flag_word(rest);
        rest = tail;
        if word == "--" {
            break;
        }
        flags.push(word);
        rest = rest.trim_start();
    }
    (flags, rest)
}

/// One word, quotes and backslashes removed, and what follows it.
fn flag_word(text: &str) -> (String, &str) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, c) if c.is_whitespace() => return (word, &text[at..]),
            (_, '\\') => word.extend(chars.next().map(|(_, c)| c)),
            (_, c) => word.push(c),
        }
    }
    (word, "")
}
