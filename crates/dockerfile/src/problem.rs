//! What can be wrong with a Dockerfile, and the error that shows where.

use std::fmt;

mod advice;

use crate::directive::Directives;
use crate::expand::ExpandProblem;
use crate::lint::Finding;
use crate::mount::MountError;
use crate::source::{Lines, Mark, Source, printable};

/// Something wrong in a Dockerfile, without its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is told by its message")]
pub enum Problem {
    #[error("the file has no instructions")]
    Empty,
    #[error("the text is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the instruction is longer than {limit} bytes")]
    InstructionTooLong { limit: usize },
    #[error("the text is not valid UTF-8")]
    NotUtf8,
    #[error("only one {name} parser directive can be used")]
    RepeatedDirective { name: String },
    #[error("invalid escape character {value:?}: it must be ` or \\")]
    InvalidEscape { value: String },
    #[error("unknown instruction: {}", short(name))]
    UnknownInstruction { name: String, suggestion: Option<String> },
    #[error("{name} before the first FROM: only ARG may stand there")]
    BeforeFrom { name: String },
    #[error("no FROM: the file has no build stage")]
    NoStage,
    #[error("{instruction} has no flag --{}", short(flag))]
    UnknownFlag {
        instruction: String,
        flag: String,
        known: Vec<&'static str>,
        suggestion: Option<String>,
    },
    #[error("flag --{flag} is given twice")]
    DuplicateFlag { flag: String },
    #[error("flag --{flag} needs a value: --{flag}=VALUE")]
    MissingFlagValue { flag: String },
    #[error("flag --{flag} is true or false, not {value:?}")]
    NotBoolean { flag: String, value: String },
    #[error("invalid value {value:?} for flag --{flag}: {why}")]
    InvalidFlagValue { flag: String, value: String, why: String, suggestion: Option<String> },
    #[error("--{flag} cannot hold a variable; name a stage with FROM … AS and use that name")]
    VariableInFlag { flag: String },
    #[error("{instruction} requires at least one argument")]
    NoArgument { instruction: String },
    #[error("{instruction} requires exactly one argument")]
    NotOneArgument { instruction: String },
    #[error("{instruction} requires at least two arguments: a source and the destination")]
    NoDestination { instruction: String },
    #[error("FROM requires one argument, or three: FROM image AS name")]
    FromArguments,
    #[error(
        "invalid name for a build stage: {name:?}; it starts with a letter and holds letters, digits, `-`, `_` and `.`"
    )]
    InvalidStageName { name: String },
    #[error("{instruction} must have two arguments: a name and a value")]
    NoValue { instruction: String },
    #[error("no = in {word:?}: it must have the form name=value")]
    NotAssignment { instruction: String, word: String },
    #[error("a name in {instruction} is blank")]
    BlankName { instruction: String },
    #[error("a JSON array in {instruction} must hold strings only")]
    NotStrings { instruction: String },
    #[error("{instruction} requires its arguments as a JSON array of strings")]
    NotJson { instruction: String },
    #[error("VOLUME cannot be an empty string")]
    EmptyVolume,
    #[error("unknown type {name:?} in HEALTHCHECK: it must be CMD or NONE")]
    HealthcheckType { name: String, suggestion: Option<String> },
    #[error("HEALTHCHECK NONE takes no arguments")]
    HealthcheckNone,
    #[error("HEALTHCHECK CMD has no command")]
    HealthcheckNoCommand,
    #[error("{name} cannot be an ONBUILD trigger")]
    Trigger { name: String },
    #[error("more than one instruction")]
    MoreInstructions,
    #[error("a heredoc cannot be the destination of {instruction}")]
    HeredocDestination { instruction: String },
    #[error("the heredoc {name:?} does not end: no line is {name} alone")]
    UnterminatedHeredoc { name: String },
    #[error("--mount: {0}")]
    Mount(#[from] MountError),
    #[error("--device={value}: {why}")]
    Device { value: String, why: String },
    #[error("{problem} in {word:?}")]
    Expand { word: String, problem: ExpandProblem },
    /// What a later step found at a place in the file: see [`Source::error`].
    #[error("{message}")]
    Other { message: String, word: Option<String>, hint: Option<String> },
}

impl Problem {
    /// The name that was probably meant.
    pub fn suggestion(&self) -> Option<&str> {
        match self {
            Self::UnknownInstruction { suggestion, .. }
            | Self::UnknownFlag { suggestion, .. }
            | Self::InvalidFlagValue { suggestion, .. }
            | Self::HealthcheckType { suggestion, .. } => suggestion.as_deref(),
            Self::Mount(error) => error.suggestion(),
            _ => None,
        }
    }
}

/// A name as an error shows it: one of a file that is no Dockerfile may be as long as the file.
fn short(name: &str) -> String {
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// How many characters of a name an error shows.
const SHOWN: usize = 60;

/// A problem and its place. Displayed on one line, `Dockerfile:3:1: unknown instruction: RNU; did you
/// mean RUN?`, the column where it is known; [`ParseError::excerpt`] shows the lines, and
/// [`ParseError::hint`] what to try.
#[derive(Clone, Debug)]
pub struct ParseError {
    source: Source,
    lines: Lines,
    problem: Box<Problem>,
    before: Box<Before>,
}

/// What was read before an error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Before {
    pub(crate) directives: Directives,
    pub(crate) findings: Vec<Finding>,
}

impl ParseError {
    /// What the rules said of the text before the error.
    pub fn findings(&self) -> &[Finding] {
        &self.before.findings
    }

    /// The parser directives before the error.
    pub fn directives(&self) -> &Directives {
        &self.before.directives
    }

    pub(crate) fn with(self, before: Before) -> Self {
        Self { before: Box::new(before), ..self }
    }

    /// The lines of the instruction at fault.
    pub fn lines(&self) -> Lines {
        self.lines
    }

    /// The file's name as it was given to [`crate::parse`].
    pub fn name(&self) -> &str {
        self.source.name()
    }

    /// The file's name and text.
    pub fn file(&self) -> &Source {
        &self.source
    }

    /// What is wrong.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The name that was probably meant.
    pub fn suggestion(&self) -> Option<&str> {
        self.problem.suggestion()
    }

    /// What to try.
    pub fn hint(&self) -> Option<String> {
        self.problem.hint()
    }

    /// Says what to try, if nothing is said yet: of an error that [`Source::error`] made.
    #[must_use]
    pub fn hinted(mut self, advice: Option<String>) -> Self {
        if let Problem::Other { hint, .. } = &mut *self.problem {
            *hint = hint.take().or(advice);
        }
        self
    }

    /// Says which word of the lines is at fault: of an error that [`Source::error`] made.
    #[must_use]
    pub fn at_word(mut self, text: &str) -> Self {
        if let Problem::Other { word, .. } = &mut *self.problem {
            *word = Some(text.to_owned());
        }
        self
    }

    /// The first line at fault, and the column of what is wrong there, where it is known: in characters,
    /// from 1.
    pub fn column(&self) -> Option<usize> {
        self.mark().filter(|mark| mark.line == self.lines.start).map(|mark| mark.column)
    }

    fn mark(&self) -> Option<Mark> {
        self.source.find(self.lines, &self.problem.at_fault()?)
    }

    /// The numbered lines around the place, those at fault marked, and below the first the word that is
    /// wrong where it is known; ends with a newline, or is empty.
    pub fn excerpt(&self) -> String {
        self.source.marked(self.lines, self.mark())
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source.name(), self.lines.start)?;
        if let Some(column) = self.column() {
            write!(f, ":{column}")?;
        }
        write!(f, ": {}", printable(&self.problem.to_string()))?;
        match self.suggestion() {
            Some(name) => write!(f, "; did you mean {name}?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ParseError {}

impl Source {
    /// An error at `lines` of this file, shown as the parser's own are.
    pub fn error(&self, lines: Lines, message: impl fmt::Display) -> ParseError {
        let message = message.to_string();
        self.problem(lines, Problem::Other { message, word: None, hint: None })
    }

    /// `problem` at `lines` of this file.
    pub fn problem(&self, lines: Lines, problem: Problem) -> ParseError {
        ParseError {
            source: self.clone(),
            lines,
            problem: Box::new(problem),
            before: Box::default(),
        }
    }
}
