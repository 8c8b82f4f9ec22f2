//! What each FROM names once its variables have values, and what the rules say of it. All stages are
//! looked at, needed or not: a FROM that means nothing is an error in BuildKit, too.

use dockerfile::lint::{self, Finding, FromWord, PlatformParts};
use dockerfile::{Dockerfile, Expander, Lines, nearest};
use image::{Platform, Reference};

use super::BuildArgs;
use super::scope::Environment;
use crate::Error;

/// A FROM, expanded.
pub(super) struct Origin {
    /// The image or stage.
    pub(super) base: String,
    /// `--platform`
    pub(super) platform: Option<Platform>,
    /// The global arguments that it used.
    pub(super) used: Vec<String>,
    /// What to do about variables that it used and that have no value.
    pub(super) advice: Option<String>,
}

/// The global arguments with the values that `given` and the defaults give them.
pub(super) fn globals(
    dockerfile: &Dockerfile,
    start: &Environment,
    given: &BuildArgs,
) -> Result<Environment, Error> {
    let mut globals = start.clone();
    for arg in &dockerfile.global_args {
        let value = match (given.get(&arg.name), &arg.default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(word)) => Some(Word::new(dockerfile, &globals, word, arg.lines)?.text),
            (None, None) => None,
        };
        if let Some(value) = value {
            globals.set(&arg.name, &value);
        }
    }
    Ok(globals)
}

/// An expanded word, and the variables that it used.
pub(super) struct Word {
    pub(super) text: String,
    /// Those that have a value.
    pub(super) found: Vec<String>,
    /// Those that have none.
    pub(super) missing: Vec<String>,
}

impl Word {
    pub(super) fn new(
        dockerfile: &Dockerfile,
        scope: &Environment,
        word: &str,
        lines: Lines,
    ) -> Result<Self, Error> {
        let lookup = |name: &str| scope.get(name).map(str::to_owned);
        let mut expander = Expander::new(dockerfile.escape, &lookup);
        let text = expander.text(word).map_err(|error| dockerfile.source.error(lines, error))?;
        let found = expander.found().map(str::to_owned).collect();
        Ok(Self { text, found, missing: expander.missing().to_vec() })
    }
}

/// Expands every FROM. `plain` are the globals as they are when no build argument is given.
pub(super) fn origins(
    dockerfile: &Dockerfile,
    globals: &Environment,
    plain: Option<&Environment>,
    findings: &mut Vec<Finding>,
) -> Result<Vec<Origin>, Error> {
    if let Some(plain) = plain {
        default_bases(dockerfile, plain, findings);
    }
    let mut declared: Vec<&str> = globals.names().collect();
    declared.extend(dockerfile.global_args.iter().map(|arg| arg.name.as_str()));
    let reader = Reader { dockerfile, globals, declared };
    dockerfile.stages.iter().map(|stage| reader.origin(stage, findings)).collect()
}

/// Whether the file works without any build argument.
fn default_bases(dockerfile: &Dockerfile, plain: &Environment, findings: &mut Vec<Finding>) {
    for stage in &dockerfile.stages {
        let Ok(word) = Word::new(dockerfile, plain, &stage.base, stage.lines) else { return };
        let valid = word.text.parse::<Reference>().is_ok();
        findings.extend(lint::default_base(&stage.base, valid, stage.lines));
    }
}

struct Reader<'a> {
    dockerfile: &'a Dockerfile,
    globals: &'a Environment,
    declared: Vec<&'a str>,
}

impl Reader<'_> {
    fn origin(
        &self,
        stage: &dockerfile::Stage,
        findings: &mut Vec<Finding>,
    ) -> Result<Origin, Error> {
        let Word { text: base, found, missing } = self.word(&stage.base, stage.lines)?;
        lint::undeclared_in_from(&missing, &self.declared, stage.lines, findings);
        let advice = missing.first().map(|name| self.advice(name));
        if base.is_empty() {
            let message = format!("the base image {} is empty", stage.base);
            let error = self.dockerfile.source.error(stage.lines, message);
            return Err(error.at_word(&stage.base).hinted(advice).into());
        }
        let mut origin = Origin { base, platform: None, used: found, advice };
        if let Some(written) = &stage.platform {
            let word = self.word(written, stage.lines)?;
            origin.platform = Some(self.platform(written, &word, stage, findings)?);
            origin.used.extend(word.found);
        }
        Ok(origin)
    }

    /// What to do about a variable without a value.
    fn advice(&self, name: &str) -> String {
        if self.declared.contains(&name) {
            return format!("{name} has no value: give it one with --build-arg {name}=VALUE");
        }
        match nearest(name, &self.declared) {
            Some(near) => format!("{name} has no value; did you mean {near}?"),
            None => format!("{name} has no value: FROM sees the ARGs before the first FROM"),
        }
    }

    fn word(&self, word: &str, lines: Lines) -> Result<Word, Error> {
        Word::new(self.dockerfile, self.globals, word, lines)
    }

    fn platform(
        &self,
        written: &str,
        word: &Word,
        stage: &dockerfile::Stage,
        findings: &mut Vec<Finding>,
    ) -> Result<Platform, Error> {
        let lines = stage.lines;
        lint::undeclared_in_from(&word.missing, &self.declared, lines, findings);
        let Word { text, found, missing } = word;
        let view = FromWord { written, result: text, found, missing };
        let target = self.globals.get("TARGETPLATFORM").unwrap_or_default();
        findings.extend(lint::redundant_platform(view, target, lines));
        let platform: Platform = text.parse().map_err(|error| {
            let message = format!("--platform={written}: {error}");
            self.dockerfile.source.error(lines, message).at_word(&format!("--platform={written}"))
        })?;
        let name = stage.name.as_deref();
        findings.extend(lint::constant_platform(view, name, parts(&platform, text), lines));
        Ok(platform)
    }
}

/// A platform as rules look at it.
pub(super) fn parts<'a>(platform: &'a Platform, text: &'a str) -> PlatformParts<'a> {
    PlatformParts { os: platform.os(), architecture: platform.architecture(), text }
}
