//! Where things stand in a Dockerfile, and how a place in it is shown to its author.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// How many lines an excerpt shows before and after the marked ones.
const CONTEXT: usize = 2;
/// How many marked lines an excerpt shows of a long instruction before it is cut.
const MARKED: usize = 12;
/// How many characters of a line an excerpt shows.
const WIDTH: usize = 160;

/// A range of lines, counted from 1, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lines {
    /// The first line.
    pub start: usize,
    /// The last line; never before `start`.
    pub end: usize,
}

impl Lines {
    /// The lines from `start` to `end`.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end: end.max(start) }
    }

    /// One line.
    pub fn one(line: usize) -> Self {
        Self { start: line, end: line }
    }

    /// Whether `line` is one of them.
    pub fn contains(self, line: usize) -> bool {
        (self.start..=self.end).contains(&line)
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start == self.end {
            true => write!(f, "{}", self.start),
            false => write!(f, "{}-{}", self.start, self.end),
        }
    }
}

/// A Dockerfile's name and text, kept so that errors found later can show the place as well.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    name: Arc<str>,
    text: Arc<str>,
}

impl Source {
    /// `name` is what errors call it: a path as the user wrote it, or `-`. Bytes that are not UTF-8
    /// are shown as replacement characters.
    pub fn new(name: &str, text: &[u8]) -> Self {
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        Self { name: name.into(), text: String::from_utf8_lossy(text).into() }
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text, without a byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lines around `lines`, numbered, those of the range marked with `>>>`; it ends with a
    /// newline. Empty where the text has no such line. Passwords in URLs are hidden.
    pub fn excerpt(&self, lines: Lines) -> String {
        self.marked(lines, None)
    }

    /// As [`Source::excerpt`], with what `mark` says underlined.
    pub(crate) fn marked(&self, lines: Lines, mark: Option<Mark>) -> String {
        let first = lines.start.saturating_sub(CONTEXT).max(1);
        let cut = lines.end.min(lines.start.saturating_add(MARKED - 1));
        let last = if cut < lines.end { cut } else { cut.saturating_add(CONTEXT) };
        let shown = self.text.lines().enumerate().skip(first - 1).take(last - first + 1);
        let mut excerpt = String::new();
        for (index, line) in shown {
            let sign = if lines.contains(index + 1) { ">>>" } else { "   " };
            let line: String = line.chars().take(WIDTH).map(visible).collect();
            excerpt += format!("{:>4} | {sign} {line}", index + 1).trim_end();
            excerpt.push('\n');
            if let Some(mark) = mark.filter(|mark| mark.line == index + 1) {
                excerpt += &mark.underline(&line);
            }
        }
        if cut < lines.end && !excerpt.is_empty() {
            excerpt += &format!("     | >>> … to line {}\n", lines.end);
        }
        // What people see, they show around.
        crate::redacted(&excerpt).into_owned()
    }
}

/// A piece of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
    length: usize,
}

impl Mark {
    /// A line of an excerpt that marks the piece in the one above, if that one shows it as it is.
    fn underline(self, shown: &str) -> String {
        let end = self.column - 1 + self.length;
        if end > shown.chars().count() || matches!(crate::redacted(shown), Cow::Owned(_)) {
            return String::new();
        }
        format!("     |     {}{}\n", " ".repeat(self.column - 1), "^".repeat(self.length))
    }
}

impl Source {
    /// Where `word` stands in `lines`: the first place where no longer word does.
    pub(crate) fn find(&self, lines: Lines, word: &str) -> Option<Mark> {
        let count = lines.end.min(lines.start.saturating_add(MARKED)) - lines.start + 1;
        let searched = self.text.lines().enumerate().skip(lines.start.checked_sub(1)?).take(count);
        searched.into_iter().find_map(|(index, line)| {
            let at = whole(line, word)?;
            let column = line[..at].chars().count() + 1;
            Some(Mark { line: index + 1, column, length: word.chars().count() })
        })
    }

    /// The lines around `lines` as docker prints them: below `name:line`, between two rules, four lines
    /// around a single one and two around several.
    pub fn listing(&self, name: &str, lines: Lines) -> String {
        let all: Vec<&str> = self.text.split('\n').collect();
        let Some(shown) = around(lines, all.len()) else { return String::new() };
        let mut listing = format!("{name}:{}\n{RULE}\n", lines.start);
        for number in shown.start..=shown.end {
            let mark = if lines.contains(number) { ">>>" } else { "   " };
            let line: String =
                all[number - 1].trim_end_matches('\r').chars().map(visible).collect();
            listing += &format!(" {number:3} | {mark} {line}\n");
        }
        listing + RULE + "\n"
    }
}

const RULE: &str = "--------------------";

/// Where `word` stands in `line` with nothing beside it that would make it a part of a longer word.
fn whole(line: &str, word: &str) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let (first, last) = (word.starts_with(part), word.ends_with(part));
    let alone = |&(at, _): &(usize, &str)| {
        let before = first && line[..at].ends_with(part);
        let behind = last && line[at + word.len()..].starts_with(part);
        !before && !behind
    };
    if word.is_empty() {
        return None;
    }
    line.match_indices(word).find(alone).map(|(at, _)| at)
}

/// Text without what a terminal would obey.
pub fn printable(text: &str) -> Cow<'_, str> {
    match text.chars().any(|c| c.is_control() && c != '\n') {
        true => text.chars().map(|c| if c == '\n' { c } else { visible(c) }).collect(),
        false => text.into(),
    }
}

/// As [`printable`], cut where an excerpt would cut a line.
pub fn glimpse(text: &str) -> String {
    let text = printable(text);
    match text.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

/// `lines` and some around them, of a text with `count` lines.
fn around(lines: Lines, count: usize) -> Option<Lines> {
    let Lines { mut start, end } = lines;
    let mut end = end.min(count);
    if start < 1 || start > count {
        return None;
    }
    let wanted = if start == end { 4 } else { 2 };
    let mut added = 0;
    while added < wanted {
        for grown in [grow(&mut start, |start| start > 1, -1), grow(&mut end, |end| end < count, 1)]
        {
            added += usize::from(grown);
        }
        added += 1;
    }
    Some(Lines { start, end })
}

fn grow(line: &mut usize, may: impl Fn(usize) -> bool, by: isize) -> bool {
    let grows = may(*line);
    if grows {
        *line = line.saturating_add_signed(by);
    }
    grows
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.name)
    }
}

/// A terminal must not obey what a Dockerfile holds.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}
