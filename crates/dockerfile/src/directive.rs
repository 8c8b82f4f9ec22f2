//! Parser directives: `# name=value` comments at the very top (Dockerfile reference, "Parser
//! directives").

use crate::problem::Problem;
use crate::source::Lines;

/// What the directives at the top of a file say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `syntax`: the frontend image that the author asks for, as written.
    pub syntax: Option<String>,
    /// `check`: which lint rules to skip or to treat as errors, as written.
    pub check: Option<String>,
    /// `escape`: where the line stands, if it was given.
    pub escape: Option<Lines>,
}

/// Reads directives until the first line that is none.
#[derive(Debug)]
pub(crate) struct DirectiveReader {
    pub(crate) directives: Directives,
    pub(crate) escape: char,
    done: bool,
}

impl DirectiveReader {
    pub(crate) fn new() -> Self {
        Self { directives: Directives::default(), escape: '\\', done: false }
    }

    /// Takes the next line of the file, without its end and leading blanks. True for a directive.
    pub(crate) fn line(&mut self, line: &str, number: usize) -> Result<bool, Problem> {
        if self.done {
            return Ok(false);
        }
        let taken = match split(line) {
            Some((name, value)) => self.directive(&name, value, number)?,
            None => false,
        };
        self.done = !taken;
        Ok(taken)
    }

    fn directive(&mut self, name: &str, value: &str, number: usize) -> Result<bool, Problem> {
        let repeated = match name {
            "syntax" => self.directives.syntax.replace(value.to_owned()).is_some(),
            "check" => self.directives.check.replace(value.to_owned()).is_some(),
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
