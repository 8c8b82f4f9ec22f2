//! Logical lines to a [`Dockerfile`].

use crate::expand::Expander;
use crate::flags::{Flags, Takes};
use crate::heredoc::{Heredoc, reassembled};
use crate::instruction::{Dockerfile, Instruction, Kind, OnBuild, Stage};
use crate::kinds;
use crate::lint::FileLint;
use crate::problem::{Before, ParseError, Problem};
use crate::scan::{Located, LogicalLine, Scanner};
use crate::source::{Lines, Source};
use crate::statement::Statement;
use crate::suggest::nearest;
use crate::words::{self, described};

/// The largest Dockerfile that is accepted, in bytes.
pub const MAX_TEXT: usize = 16 << 20;
/// The longest instruction that is accepted, in bytes, its heredocs included.
pub const MAX_INSTRUCTION: usize = 1 << 20;

const NAMES: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Parses a Dockerfile. `name` is what errors call it.
///
/// # Errors
/// The first thing that is not a Dockerfile's (Dockerfile reference), with its place.
pub fn parse(text: &[u8], name: &str) -> Result<Dockerfile, ParseError> {
    let source = Source::new(name, text);
    if text.len() > MAX_TEXT {
        let problem = Problem::TooLarge { limit: MAX_TEXT };
        return Err(Source::new(name, b"").problem(Lines::one(1), problem));
    }
    let mut lint = FileLint::default();
    let mut scanner = Scanner::new(text);
    match read(&mut scanner, &source, &mut lint) {
        Ok(mut file) => {
            file.findings = lint.finish(&file.stages);
            Ok(file)
        }
        Err((lines, problem)) => {
            let directives = scanner.directives.directives;
            let before = Before { directives, findings: lint.broken_off() };
            Err(source.problem(lines, problem).with(before))
        }
    }
}

/// Parses the expression of an `ONBUILD` as an image config stores it. `escape` is `\` unless the
/// Dockerfile that triggers it says otherwise.
///
/// # Errors
/// An expression that is not exactly one instruction, or one that cannot be a trigger.
pub fn parse_trigger(expression: &str, escape: char) -> Result<Instruction, ParseError> {
    let source = Source::new("ONBUILD", expression.as_bytes());
    let mut scanner = Scanner::new(expression.as_bytes());
    scanner.directives.escape = escape;
    let mut read = || {
        let line = scanner.next()?.ok_or((Lines::one(1), Problem::Empty))?;
        let parts = Parts::new(&line.text, &line, escape);
        let instruction = trigger(&parts).map_err(|problem| (line.lines, problem))?;
        match scanner.next()? {
            Some(more) => Err((more.lines, Problem::MoreInstructions)),
            None => Ok(instruction),
        }
    };
    read().map_err(|(lines, problem)| source.problem(lines, problem))
}

/// An instruction's parts with their surroundings.
pub(crate) struct Parts<'a> {
    /// In upper case.
    pub(crate) name: String,
    /// As written.
    keyword: &'a str,
    pub(crate) flags: Vec<String>,
    pub(crate) arguments: &'a str,
    pub(crate) heredocs: &'a [Heredoc],
    pub(crate) comments: &'a [String],
    pub(crate) lines: Lines,
    pub(crate) escape: char,
    /// See [`Instruction::text`].
    text: String,
}

/// `name`, and what follows the statement's name in `line`.
fn shown(name: &str, line: &str, statement: &Statement<'_>) -> String {
    match line.trim()[statement.name.len()..].trim_start() {
        "" => name.to_owned(),
        rest => format!("{name} {rest}"),
    }
}

impl<'a> Parts<'a> {
    /// `text` is the line's, or the part of it behind `ONBUILD`.
    fn new(text: &'a str, line: &'a LogicalLine, escape: char) -> Self {
        let statement = Statement::split(text);
        let name = statement.name.to_uppercase();
        Self {
            text: shown(&name, text, &statement),
            name,
            keyword: statement.name,
            flags: statement.flags,
            arguments: statement.arguments,
            heredocs: &line.heredocs,
            comments: &line.comments,
            lines: line.lines,
            escape,
        }
    }

    fn instruction(&self, kind: Kind) -> Instruction {
        let legacy =
            matches!(kind, Kind::Env(_) | Kind::Label(_)) && words::is_legacy(self.arguments);
        let keyword = self.keyword.to_owned();
        Instruction { kind, lines: self.lines, text: self.text.clone(), keyword, legacy }
    }
}

fn read(
    scanner: &mut Scanner<'_>,
    source: &Source,
    lint: &mut FileLint,
) -> Result<Dockerfile, Located> {
    let mut file = Dockerfile {
        source: source.clone(),
        escape: '\\',
        directives: Default::default(),
        global_args: Vec::new(),
        stages: Vec::new(),
        findings: Vec::new(),
    };
    let mut last = Lines::one(1);
    while let Some(line) = scanner.next()? {
        let parts = Parts::new(&line.text, &line, scanner.directives.escape);
        last = line.lines;
        line.blank_before.into_iter().for_each(|line| lint.empty_continuation(line));
        take(&mut file, &parts, lint).map_err(|problem| (line.lines, problem))?;
    }
    file.escape = scanner.directives.escape;
    file.directives = scanner.directives.directives.clone();
    match (file.stages.is_empty(), file.global_args.is_empty()) {
        (true, true) => Err((Lines::one(scanner.number.max(1)), Problem::Empty)),
        (true, false) => Err((last, Problem::NoStage)),
        (false, _) => Ok(file),
    }
}

/// Adds one instruction to the file.
fn take(file: &mut Dockerfile, parts: &Parts<'_>, lint: &mut FileLint) -> Result<(), Problem> {
    if parts.name == "FROM" {
        let words: Vec<&str> = parts.arguments.split_whitespace().collect();
        lint.from(parts.keyword, &words, parts.lines);
        let stage = from(parts, &words)?;
        lint.stage(parts.keyword, &stage, parts.comments);
        file.stages.push(stage);
        return Ok(());
    }
    if parts.name == "MAINTAINER" {
        lint.maintainer(parts.lines);
    }
    let instruction = instruction(parts)?;
    if let Kind::Arg(args) = &instruction.kind {
        lint.args(args, parts.comments, parts.lines);
    }
    match (file.stages.last_mut(), instruction.kind) {
        (Some(stage), kind) => {
            lint.keyword(parts.keyword, parts.lines);
            stage.instructions.push(Instruction { kind, ..instruction });
            Ok(())
        }
        (None, Kind::Arg(args)) => {
            file.global_args.extend(args);
            Ok(())
        }
        (None, kind) => Err(Problem::BeforeFrom { name: kind.name().to_owned() }),
    }
}

fn from(parts: &Parts<'_>, words: &[&str]) -> Result<Stage, Problem> {
    let flags = Flags::read("FROM", &parts.flags, &[("platform", Takes::Value)])?;
    let (base, name) = match words {
        [base] => (base, None),
        [base, r#as, name] if r#as.eq_ignore_ascii_case("as") => (base, Some(stage_name(name)?)),
        _ => return Err(Problem::FromArguments),
    };
    let stage = Stage {
        description: name.as_deref().and_then(|name| described(parts.comments, name)),
        name,
        base: (*base).to_owned(),
        platform: flags.text("platform"),
        instructions: Vec::new(),
        lines: parts.lines,
        text: parts.text.clone(),
    };
    check_syntax(parts.escape, [&stage.base].into_iter().chain(&stage.platform))?;
    Ok(stage)
}

/// A stage's name in lower case: a letter, then letters, digits, `-`, `_` and `.`.
fn stage_name(name: &str) -> Result<String, Problem> {
    let lower = name.to_lowercase();
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    match lower.starts_with(|c: char| c.is_ascii_lowercase()) && lower.chars().all(word) {
        true => Ok(lower),
        false => Err(Problem::InvalidStageName { name: name.to_owned() }),
    }
}

fn instruction(parts: &Parts<'_>) -> Result<Instruction, Problem> {
    let kind = match parts.name.as_str() {
        "ONBUILD" => Some(on_build(parts)?),
        _ => kinds::read(parts)?,
    };
    let instruction = parts.instruction(kind.ok_or_else(|| unknown(parts.keyword))?);
    // A word that can never be expanded is told now, not after half of the build.
    let nothing = |_: &str| None;
    let mut expander = Expander::new(parts.escape, &nothing);
    expander.lenient = true;
    match instruction.expanded(&mut expander) {
        Ok(_) => Ok(instruction),
        Err(error) => Err(Problem::Expand { word: error.word, problem: error.problem }),
    }
}

fn check_syntax<'a>(
    escape: char,
    words: impl IntoIterator<Item = &'a String>,
) -> Result<(), Problem> {
    let nothing = |_: &str| None;
    let mut expander = Expander::new(escape, &nothing);
    expander.lenient = true;
    let problem = |word: &String| expander.text(word).err();
    match words.into_iter().find_map(problem) {
        Some(error) => Err(Problem::Expand { word: error.word, problem: error.problem }),
        None => Ok(()),
    }
}

fn unknown(name: &str) -> Problem {
    let suggestion = nearest(name, &NAMES).map(str::to_owned);
    Problem::UnknownInstruction { name: name.to_owned(), suggestion }
}

/// `ONBUILD instruction`.
fn on_build(parts: &Parts<'_>) -> Result<Kind, Problem> {
    Flags::read("ONBUILD", &parts.flags, &[])?;
    if parts.arguments.is_empty() {
        return Err(Problem::NoArgument { instruction: "ONBUILD".to_owned() });
    }
    let statement = Statement::split(parts.arguments);
    let name = statement.name.to_uppercase();
    let inner = Parts {
        text: shown(&name, parts.arguments, &statement),
        name,
        keyword: statement.name,
        flags: statement.flags,
        arguments: statement.arguments,
        ..*parts
    };
    let expression = reassembled(parts.arguments, parts.heredocs);
    Ok(Kind::OnBuild(OnBuild { expression, instruction: Box::new(trigger(&inner)?) }))
}

/// An instruction that may stand behind ONBUILD.
fn trigger(parts: &Parts<'_>) -> Result<Instruction, Problem> {
    match parts.name.as_str() {
        "FROM" | "MAINTAINER" | "ONBUILD" => Err(Problem::Trigger { name: parts.name.clone() }),
        _ => instruction(parts),
    }
}
