//! Parser directives: `# name=value` comments at the very top (Dockerfile reference, "Parser
//! directives").
//!
//! * `syntax` names another frontend. It is read and has no effect: the language here is that of
//!   BuildKit's newest stable frontend, whatever the image that a file names.
//! * `escape` is `\` or `` ` ``; `check` says which rules run (see [`crate::lint::Options`]).
//!
//! A name may have any case and blanks around its `=`. Each may be given once. The first line that is
//! none of the three ends them: a directive behind a blank line, another comment or an instruction is
//! a comment. Behind a `#!` line in front of all, `syntax` and `check` are heard and `escape` is not, as
//! in BuildKit.

use crate::problem::Problem;
use crate::source::Lines;

/// What the directives at the top of a file say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `syntax`: the frontend image that the author asks for, as written.
    pub syntax: Option<String>,
    /// `check`: which rules to skip or to treat as errors, as written, and where.
    pub check: Option<(String, Lines)>,
    /// `escape`: where the line stands, if it was given.
    pub escape: Option<Lines>,
}

/// Reads directives until the first line that is none.
#[derive(Debug)]
pub(crate) struct DirectiveReader {
    pub(crate) directives: Directives,
    pub(crate) escape: char,
    done: bool,
    /// A `#!` line came first.
    script: bool,
}

impl DirectiveReader {
    pub(crate) fn new() -> Self {
        Self { directives: Directives::default(), escape: '\\', done: false, script: false }
    }

    /// Takes the next line of the file, without its end and leading blanks. True for a directive.
    pub(crate) fn line(&mut self, line: &str, number: usize) -> Result<bool, Problem> {
        if self.done {
            return Ok(false);
        }
        if number == 1 && line.starts_with("#!") {
            self.script = true;
            return Ok(false);
        }
        let taken = match split(line) {
            Some((name, value)) if self.script => self.behind_script(&name, value, number),
            Some((name, value)) => self.directive(&name, value, number)?,
            None => false,
        };
        self.done = !taken;
        Ok(taken && !self.script)
    }

    /// A directive behind a `#!` line: the first of its name counts, and another one ends them.
    fn behind_script(&mut self, name: &str, value: &str, number: usize) -> bool {
        let known = self.directives.clone();
        let heard = name == "escape" || matches!(self.directive(name, value, number), Ok(true));
        if !heard {
            self.directives = known;
        }
        heard
    }

    fn directive(&mut self, name: &str, value: &str, number: usize) -> Result<bool, Problem> {
        let repeated = match name {
            "syntax" => self.directives.syntax.replace(value.to_owned()).is_some(),
            "check" => {
                self.directives.check.replace((value.to_owned(), Lines::one(number))).is_some()
            }
            "escape" => {
                self.escape = escape(value)?;
                self.directives.escape.replace(Lines::one(number)).is_some()
            }
            _ => return Ok(false),
        };
        match repeated {
            true => Err(Problem::RepeatedDirective { name: name.to_owned() }),
            false => Ok(true),
        }
    }
}

fn escape(value: &str) -> Result<char, Problem> {
    match value {
        "\\" => Ok('\\'),
        "`" => Ok('`'),
        _ => Err(Problem::InvalidEscape { value: value.to_owned() }),
    }
}

/// `# name = value` to its lower-case name and value.
fn split(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let mut letters = name.chars();
    let valid = letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric());
    (valid && !value.is_empty()).then(|| (name.to_ascii_lowercase(), value))
}
