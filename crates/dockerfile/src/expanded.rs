//! An instruction with its variables replaced. Which words are expanded, and which are not, is the
//! Dockerfile reference's "Environment replacement": ADD, ARG, COPY, ENV, EXPOSE, LABEL, STOPSIGNAL,
//! USER, VOLUME, WORKDIR and the values of RUN --mount. RUN, CMD and ENTRYPOINT leave variables to
//! the shell that runs them, ONBUILD to the build that it triggers.

use crate::expand::{ExpandError, Expander};
use crate::instruction::{
    Add, Arg, CommandLine, Copy, Files, InlineFile, Instruction, Kind, Pair, Run,
};
use crate::mount::MountOptions;

impl Instruction {
    /// The instruction's kind with all words expanded that BuildKit expands.
    ///
    /// # Errors
    /// A word that cannot be expanded, with the instruction's lines.
    pub fn expanded(&self, with: &mut Expander<'_>) -> Result<Kind, ExpandError> {
        let lines = self.lines;
        self.kind.expanded(with).map_err(|error| ExpandError { lines, ..error })
    }
}

impl CommandLine {
    /// Whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Shell(line) => line.is_empty(),
            Self::Exec(words) => words.is_empty(),
        }
    }
}

impl Kind {
    /// As [`Instruction::expanded`]; an error has no lines.
    ///
    /// # Errors
    /// A word that cannot be expanded.
    pub fn expanded(&self, with: &mut Expander<'_>) -> Result<Self, ExpandError> {
        Ok(match self {
            Self::Add(add) => Self::Add(add.expanded(with)?),
            Self::Arg(args) => Self::Arg(each(args, |arg| arg.expanded(with))?),
            Self::Copy(copy) => Self::Copy(copy.expanded(with)?),
            Self::Env(pairs) => Self::Env(each(pairs, |pair| pair.expanded(with))?),
            Self::Expose(ports) => Self::Expose(exposed(ports, with)?),
            Self::Label(pairs) => Self::Label(each(pairs, |pair| pair.expanded(with))?),
            Self::Run(run) => Self::Run(run.expanded(with)?),
            Self::StopSignal(signal) => Self::StopSignal(with.text(signal)?),
            Self::User(user) => Self::User(with.text(user)?),
            Self::Volume(volumes) => Self::Volume(each(volumes, |volume| with.text(volume))?),
            Self::Workdir(path) => Self::Workdir(with.text(path)?),
            Self::Cmd(_)
            | Self::Entrypoint(_)
            | Self::Healthcheck(_)
            | Self::Maintainer(_)
            | Self::OnBuild(_)
            | Self::Shell(_) => self.clone(),
        })
    }
}

fn each<T, U>(
    items: &[T],
    expand: impl FnMut(&T) -> Result<U, ExpandError>,
) -> Result<Vec<U>, ExpandError> {
    items.iter().map(expand).collect()
}

/// Sorted as they are written, before variables are replaced: the history shows it.
fn exposed(ports: &[String], with: &mut Expander<'_>) -> Result<Vec<String>, ExpandError> {
    let mut sorted = ports.to_vec();
    sorted.sort();
    Ok(each(&sorted, |port| with.words(port))?.into_iter().flatten().collect())
}

fn optional(word: &Option<String>, with: &mut Expander<'_>) -> Result<Option<String>, ExpandError> {
    word.as_deref().map(|word| with.text(word)).transpose()
}

/// A flag's value; a variable that has none leaves the flag away.
fn given(word: &Option<String>, with: &mut Expander<'_>) -> Result<Option<String>, ExpandError> {
    Ok(optional(word, with)?.filter(|value| !value.is_empty()))
}

impl Pair {
    fn expanded(&self, with: &mut Expander<'_>) -> Result<Self, ExpandError> {
        Ok(Self { key: with.text(&self.key)?, value: with.text(&self.value)? })
    }
}

impl Arg {
    /// The argument with its name and default expanded.
    ///
    /// # Errors
    /// A word that cannot be expanded.
    pub fn expanded(&self, with: &mut Expander<'_>) -> Result<Self, ExpandError> {
        let expand = |error| ExpandError { lines: self.lines, ..error };
        let name = with.text(&self.name).map_err(expand)?;
        let default = optional(&self.default, with).map_err(expand)?;
        Ok(Self { name, default, ..self.clone() })
    }
}

impl InlineFile {
    fn expanded(&self, with: &mut Expander<'_>) -> Result<Self, ExpandError> {
        let content = match self.expand {
            true => with.content(&self.content)?,
            false => self.content.clone(),
        };
        Ok(Self { content, ..self.clone() })
    }
}

/// BuildKit looks at the variables of exclusions, and then takes the patterns as they are written.
fn look_at(exclude: &[String], with: &mut Expander<'_>) -> Result<(), ExpandError> {
    each(exclude, |pattern| with.text(pattern)).map(drop)
}

impl Files {
    fn expanded(&self, with: &mut Expander<'_>) -> Result<Self, ExpandError> {
        look_at(&self.exclude, with)?;
        Ok(Self {
            sources: each(&self.sources, |source| with.text(source))?,
            inline: each(&self.inline, |file| file.expanded(with))?,
            destination: with.text(&self.destination)?,
            chown: given(&self.chown, with)?,
            chmod: given(&self.chmod, with)?,
            ..self.clone()
        })
    }
}

impl Copy {
    fn expanded(&self, with: &mut Expander<'_>) -> Result<Self, ExpandError> {
        Ok(Self { files: self.files.expanded(with)?, ..self.clone() })
    }
}

impl Add {
    fn expanded(&self, with: &mut Expander<'_>) -> Result<Self, ExpandError> {
        let (files, checksum) = (self.files.expanded(with)?, given(&self.checksum, with)?);
        Ok(Self { files, checksum, ..self.clone() })
    }
}

impl Run {
    fn expanded(&self, with: &mut Expander<'_>) -> Result<Self, ExpandError> {
        Ok(Self { mounts: each(&self.mounts, |mount| mount.expanded(with))?, ..self.clone() })
    }
}

impl MountOptions {
    fn expanded(&self, with: &mut Expander<'_>) -> Result<Self, ExpandError> {
        let field =
            |(key, value): &(String, Option<String>)| Ok((key.clone(), optional(value, with)?));
        Ok(Self { fields: each(&self.fields, field)? })
    }
}
