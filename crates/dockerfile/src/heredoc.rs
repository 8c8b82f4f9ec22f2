//! Heredocs: `<<NAME` words and what they stand for (Dockerfile reference, "Here-documents").

use crate::instruction::{Command, CommandLine, Instruction, Kind, Run};

/// A heredoc of an instruction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heredoc {
    /// The word that ends it, without quotes.
    pub name: String,
    /// Whether variables in the body are expanded: no part of the word is quoted.
    pub expand: bool,
    /// `<<-`: tabs at the start of each line do not count.
    pub strip_tabs: bool,
    /// The file descriptor before `<<`, 0 by default.
    pub descriptor: u32,
    /// The lines between the instruction and the end word, unchanged.
    pub body: String,
}

impl Heredoc {
    /// The body, without the leading tabs of each line where it was written `<<-`.
    pub fn content(&self) -> String {
        if !self.strip_tabs {
            return self.body.clone();
        }
        self.body.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }

    /// Whether `line`, without its line end, ends this heredoc.
    pub(crate) fn ends_at(&self, line: &str) -> bool {
        let line = if self.strip_tabs { line.trim_start_matches('\t') } else { line };
        line == self.name
    }
}

/// The heredocs that the words of a joined instruction line announce. A line whose quotes do not
/// match announces none: its shell will complain.
pub(crate) fn announced(line: &str) -> Vec<Heredoc> {
    if !line.contains("<<") {
        return Vec::new();
    }
    let words = raw_words(line).unwrap_or_default();
    words.iter().filter_map(|word| word_heredoc(word)).map(|(heredoc, _)| heredoc).collect()
}

/// The words of a line with their quotes and escapes. Blanks behind `<<` or `<<-` do not end a word,
/// nor do those in arithmetic, `((…))`, where `<<` is a shift. None where a quote is not closed.
pub(crate) fn raw_words(line: &str) -> Option<Vec<&str>> {
    let (mut words, mut start, mut quote) = (Vec::new(), None, None);
    let mut chars = line.char_indices().peekable();
    let mut arithmetic_end = 0;
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            _ if at < arithmetic_end => {}
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => drop(chars.next()),
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => arithmetic_end = at + arithmetic(&line[at..]),
            (None, '<') if line[..=at].ends_with("<<") => {
                chars.next_if(|(_, c)| *c == '-');
                while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {}
            }
            (None, c) if c.is_whitespace() => {
                words.extend(start.take().map(|start| &line[start..at]));
                continue;
            }
            _ => {}
        }
        start.get_or_insert(at);
    }
    words.extend(start.map(|start| &line[start..]));
    quote.is_none().then_some(words)
}

/// The length of the `((…))` at the start of `text`; zero where there is none.
fn arithmetic(text: &str) -> usize {
    match text.strip_prefix("((").and_then(|inner| inner.find("))")) {
        Some(length) => length + "(())".len(),
        None => 0,
    }
}

/// The heredoc that is the whole of `word`.
pub(crate) fn sole(word: &str) -> Option<Heredoc> {
    word_heredoc(word).filter(|(_, rest)| rest.is_empty()).map(|(heredoc, _)| heredoc)
}

/// Reads `[fd]<<[-]NAME` at the start of a word; also what follows the name.
fn word_heredoc(word: &str) -> Option<(Heredoc, &str)> {
    let digits = word.find(|c: char| !c.is_ascii_digit())?;
    let rest = word[digits..].strip_prefix("<<")?;
    let (strip_tabs, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    let (name, quoted, rest) = end_word(rest.trim_start())?;
    let descriptor = word[..digits].parse().unwrap_or(0);
    let heredoc = Heredoc { name, expand: !quoted, strip_tabs, descriptor, body: String::new() };
    Some((heredoc, rest))
}

/// The end word at the start of `text` as a shell reads it: quotes and backslashes removed, up to a
/// blank or an operator. Also whether any of it was quoted, and what follows.
fn end_word(text: &str) -> Option<(String, bool, &str)> {
    let mut name = String::new();
    let (mut quote, mut quoted) = (None, false);
    let mut chars = text.char_indices();
    let mut end = text.len();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => (quote, quoted) = (Some(c), true),
            (None | Some('"'), '\\') => name.extend(chars.next().map(|(_, c)| c)),
            (None, '<') => return None,
            (None, c) if c.is_whitespace() || "|&;()>".contains(c) => {
                end = at;
                break;
            }
            _ => name.push(c),
        }
    }
    (quote.is_none() && !name.is_empty()).then(|| (name, quoted, text[end..].trim_end()))
}

impl Run {
    /// What is executed: a sole heredoc is the script itself, others are handed to the shell with
    /// the command.
    pub fn command(&self) -> Command {
        let line = match &self.line {
            CommandLine::Exec(words) => return Command::Exec(words.clone()),
            CommandLine::Shell(line) => line,
        };
        match self.heredocs.as_slice() {
            [only] if sole(line).is_some() => script(only),
            heredocs => Command::Shell(reassembled(line, heredocs)),
        }
    }
}

/// A body that begins with `#!` is a program of its own; behind a tab that is cut off it is the shell's comment.
fn script(heredoc: &Heredoc) -> Command {
    let content = heredoc.content();
    match heredoc.body.starts_with("#!") {
        true => Command::Script { name: heredoc.name.clone(), content },
        false => Command::Shell(content),
    }
}

/// A line with its heredocs' bodies and end words below it.
pub(crate) fn reassembled(line: &str, heredocs: &[Heredoc]) -> String {
    let mut text = line.to_owned();
    for heredoc in heredocs {
        text += "\n";
        text += &heredoc.body;
        text += &heredoc.name;
    }
    text
}

impl Instruction {
    /// The text, with the first line of a heredoc script behind it: `RUN <<EOF (apt-get update...)`.
    pub fn summary(&self) -> String {
        let Kind::Run(Run { line: CommandLine::Shell(line), heredocs, .. }) = &self.kind else {
            return self.text.clone();
        };
        match heredocs.as_slice() {
            [only] if sole(line).is_some() && !only.body.trim().is_empty() => {
                format!("{} ({})", self.text, first_line(&only.body))
            }
            _ => self.text.clone(),
        }
    }
}

fn first_line(body: &str) -> String {
    let mut lines = body.trim().lines();
    let first = lines.next().unwrap_or_default().to_owned();
    if lines.next().is_some() { first + "..." } else { first }
}
