//! `--flag=value` in front of an instruction's arguments.

use crate::problem::Problem;
use crate::suggest::nearest;

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing, or `true` or `false`.
    Bool,
    /// A value, once.
    Value,
    /// A value, any number of times.
    Values,
}

/// The flags that an instruction was given, checked against those that it knows.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    given: Vec<(&'static str, String)>,
}

impl Flags {
    /// Checks the words of `raw`, each with its leading dashes.
    pub(crate) fn read(
        instruction: &str,
        raw: &[String],
        known: &[(&'static str, Takes)],
    ) -> Result<Self, Problem> {
        let mut flags = Self::default();
        for word in raw {
            let word = word.strip_prefix("--").unwrap_or(word);
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word, None),
            };
            let Some((name, takes)) = known.iter().find(|(known, _)| *known == name) else {
                return Err(unknown(instruction, name, known));
            };
            flags.add(name, *takes, value)?;
        }
        Ok(flags)
    }

    fn add(
        &mut self,
        name: &'static str,
        takes: Takes,
        value: Option<&str>,
    ) -> Result<(), Problem> {
        let flag = || name.to_owned();
        if takes != Takes::Values && self.value(name).is_some() {
            return Err(Problem::DuplicateFlag { flag: flag() });
        }
        let value = match (takes, value) {
            (Takes::Bool, None) => "true".to_owned(),
            (Takes::Bool, Some("")) | (_, None) => {
                return Err(Problem::MissingFlagValue { flag: flag() });
            }
            (Takes::Bool, Some(value)) => boolean(name, value)?,
            (_, Some(value)) => value.to_owned(),
        };
        self.given.push((name, value));
        Ok(())
    }

    /// The value of a flag that is given at most once.
    pub(crate) fn value(&self, name: &'static str) -> Option<&str> {
        self.values(name).next()
    }

    /// The value of a flag if it was given and is not empty.
    pub(crate) fn text(&self, name: &'static str) -> Option<String> {
        self.value(name).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// The value of a boolean flag if it was given.
    pub(crate) fn switch(&self, name: &'static str) -> Option<bool> {
        self.value(name).map(|value| value == "true")
    }

    /// All values of a flag, in order.
    pub(crate) fn values(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.given.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value.as_str())
    }
}

fn boolean(name: &str, value: &str) -> Result<String, Problem> {
    let lower = value.to_ascii_lowercase();
    match lower.as_str() {
        "true" | "false" => Ok(lower),
        _ => Err(Problem::NotBoolean { flag: name.to_owned(), value: value.to_owned() }),
    }
}

fn unknown(instruction: &str, flag: &str, known: &[(&'static str, Takes)]) -> Problem {
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let suggestion = nearest(flag, &names).map(|name| format!("--{name}"));
    let (instruction, flag) = (instruction.to_owned(), flag.to_owned());
    Problem::UnknownFlag { instruction, flag, known: names, suggestion }
}
