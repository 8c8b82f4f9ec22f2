//! One instruction to a step and a change of the configuration.

use dockerfile::lint::{StageLint, View};
use dockerfile::{
    Arg, CommandLine, Dockerfile, Expander, HealthTest, Instruction, Kind, Lines, Pair, printable,
    redacted,
};
use image::{Healthcheck, ImageConfig};

use super::history::{self, Declared};
use super::origin::Word;
use super::outline::StageOutline;
use super::scope::Environment;
use super::signal::is_signal;
use super::stages::{End, Planner};
use super::{From, Operation, Step};
use crate::Error;

mod files;
mod mounts;
mod paths;
mod run;

use paths::absolute;
use run::secret_variables;

/// The instructions of one stage on their way to steps.
pub(super) struct Lowering<'p, 'a> {
    planner: &'p mut Planner<'a>,
    /// The stage's index in the Dockerfile.
    index: usize,
    environment: Environment,
    declared: Vec<Declared>,
    config: ImageConfig,
    platform: image::Platform,
    /// Whether this stage has had a `CMD`, which an `ENTRYPOINT` then leaves alone.
    has_cmd: bool,
    lint: StageLint,
    outline: StageOutline,
    known: bool,
    steps: Vec<Step>,
    needs: Vec<usize>,
}

impl<'p, 'a> Lowering<'p, 'a> {
    pub(super) fn new(planner: &'p mut Planner<'a>, index: usize, start: End) -> Self {
        let End { environment, declared, mut config, platform, lint, outline, known } = start;
        config.config.on_build = Vec::new();
        Self {
            planner,
            index,
            environment,
            declared,
            config,
            platform,
            has_cmd: false,
            lint,
            outline,
            known,
            steps: Vec::new(),
            needs: Vec::new(),
        }
    }

    pub(super) fn needs(&mut self, stage: usize) {
        if !self.needs.contains(&stage) {
            self.needs.push(stage);
        }
    }

    pub(super) fn finish(self) -> (Vec<Step>, Vec<usize>, End) {
        let Self { environment, declared, config, platform, lint, outline, known, .. } = self;
        let end = End { environment, declared, config, platform, lint, outline, known };
        (self.steps, self.needs, end)
    }

    pub(super) fn instruction(&mut self, written: &Instruction) -> Result<(), Error> {
        if let Kind::Arg(args) = &written.kind {
            let created_by = self.args(args)?;
            self.push(written, Operation::Configure, created_by);
            return Ok(());
        }
        let lines = written.lines;
        let expanded = self.expanded(written)?;
        let (operation, created_by) = match &expanded {
            Kind::Run(run) => self.run(run, lines)?,
            Kind::Copy(copy) => self.copy(copy, lines)?,
            Kind::Add(add) => self.add(add, lines)?,
            Kind::Workdir(path) => self.workdir(path),
            kind => match self.configure(kind, lines)? {
                Some(created_by) => (Operation::Configure, created_by),
                None => return Ok(()),
            },
        };
        self.push(written, operation, created_by);
        Ok(())
    }

    fn push(&mut self, instruction: &Instruction, operation: Operation, created_by: String) {
        let secret = |name: &str| secret_variables(&operation).any(|known| known == name);
        let lookup = |name: &str| match secret(name) {
            true => Some("****".to_owned()),
            false => self.environment.get(name).map(str::to_owned),
        };
        let text = Expander::new(self.dockerfile().escape, &lookup).display(&instruction.summary());
        // What people see, they show around; and their terminals must not obey it.
        let text = printable(&redacted(&text)).into_owned();
        self.steps.push(Step { operation, created_by, text, lines: instruction.lines });
    }

    fn dockerfile(&self) -> &'a Dockerfile {
        self.planner.dockerfile
    }

    /// The instruction with its variables replaced, and with what the rules say of it noted.
    fn expanded(&mut self, written: &Instruction) -> Result<Kind, Error> {
        let lookup = |name: &str| self.environment.get(name).map(str::to_owned);
        let mut expander = Expander::new(self.planner.dockerfile.escape, &lookup);
        let expanded = written.expanded(&mut expander);
        let missing = if self.known { expander.missing() } else { &[] };
        let names = || self.environment.names().map(str::to_owned).collect();
        let expanded = match expanded {
            Ok(expanded) => expanded,
            Err(error) => {
                self.lint.undefined(missing, &names, written.lines, self.planner.findings);
                return Err(self.error(written.lines, error));
            }
        };
        let view = View {
            written,
            expanded: &expanded,
            missing,
            names: &names,
            shell: !self.config.config.shell.is_empty(),
            ignored: &self.planner.settings.ignored,
        };
        self.lint.instruction(view, self.planner.findings);
        Ok(expanded)
    }

    fn error(&self, lines: Lines, message: impl std::fmt::Display) -> Error {
        self.dockerfile().source.error(lines, message).into()
    }

    /// As [`Self::error`], about a word of the instruction.
    fn error_at(&self, lines: Lines, word: &str, message: impl std::fmt::Display) -> Error {
        self.dockerfile().source.error(lines, message).at_word(word).into()
    }

    fn no_signal(&self, signal: &str, lines: Lines) -> Error {
        let hint = match super::signal::near(signal) {
            Some(near) => format!("did you mean {near}?"),
            None => "it is a number, or a name as signal(7) has them: SIGTERM".to_owned(),
        };
        let error = self.dockerfile().source.error(lines, format!("{signal:?} is no signal"));
        error.at_word(signal).hinted(Some(hint)).into()
    }

    /// `ARG`: what was given to the build, else the default, else the global argument of that name.
    fn args(&mut self, args: &[Arg]) -> Result<String, Error> {
        let mut text = String::from("ARG");
        for arg in args {
            let value = self.arg(arg)?;
            text += &format!(" {}", arg.name);
            if let Some(value) = &value {
                text += &format!("={value}");
                self.environment.set(&arg.name, value);
            }
            self.declared.push((arg.name.clone(), value));
        }
        Ok(text)
    }

    /// An argument's value, with what rules and outline say of it noted.
    fn arg(&mut self, arg: &Arg) -> Result<Option<String>, Error> {
        let given = self.planner.settings.build_args.get(&arg.name).cloned();
        let (value, missing) = match (given, &arg.default) {
            (Some(given), _) => (Some(given), Vec::new()),
            (None, Some(word)) => {
                let word = Word::new(self.dockerfile(), &self.environment, word, arg.lines)?;
                (Some(word.text), word.missing)
            }
            (None, None) => {
                let global = self.planner.globals.get(&arg.name).map(str::to_owned);
                self.outline.argument(arg, None, global.is_some());
                self.lint.argument(arg, &[], &Vec::new, self.planner.findings);
                return Ok(global);
            }
        };
        self.outline.argument(arg, value.as_deref(), false);
        let missing = if self.known { missing } else { Vec::new() };
        let names = || self.environment.names().map(str::to_owned).collect();
        self.lint.argument(arg, &missing, &names, self.planner.findings);
        Ok(value)
    }

    /// An instruction that only changes the configuration; its text for the history, if it has any.
    fn configure(&mut self, kind: &Kind, lines: Lines) -> Result<Option<String>, Error> {
        let text = match kind {
            Kind::Env(pairs) => self.env(pairs),
            Kind::Label(pairs) => self.label(pairs),
            Kind::Expose(words) => self.expose(words, lines)?,
            Kind::Volume(paths) => self.volume(paths, lines)?,
            Kind::Cmd(line) => self.cmd(line),
            Kind::Entrypoint(line) => self.entrypoint(line),
            Kind::Healthcheck(check) => self.healthcheck(check),
            Kind::User(user) => {
                self.config.config.user.clone_from(user);
                format!("USER {user}")
            }
            Kind::StopSignal(signal) => {
                if !is_signal(signal) {
                    return Err(self.no_signal(signal, lines));
                }
                self.config.config.stop_signal.clone_from(signal);
                format!("STOPSIGNAL {signal}")
            }
            Kind::Shell(words) => {
                self.config.config.shell.clone_from(words);
                history::bare("SHELL", words)
            }
            Kind::Maintainer(name) => {
                self.config.author.clone_from(name);
                format!("MAINTAINER {name}")
            }
            Kind::OnBuild(trigger) => {
                self.config.config.on_build.push(trigger.expression.clone());
                return Ok(None);
            }
            kind => return Err(self.error(lines, format!("{} is not supported yet", kind.name()))),
        };
        Ok(Some(text))
    }

    fn env(&mut self, pairs: &[Pair]) -> String {
        let mut list = Environment::from_list(&self.config.config.env);
        for pair in pairs {
            self.environment.set(&pair.key, &pair.value);
            list.set(&pair.key, &pair.value);
        }
        self.config.config.env = list.to_list();
        history::pairs("ENV", pairs.iter().map(|pair| (&*pair.key, &*pair.value)))
    }

    fn label(&mut self, pairs: &[Pair]) -> String {
        let labels = pairs.iter().map(|pair| (pair.key.clone(), pair.value.clone()));
        self.config.config.labels.extend(labels);
        history::pairs("LABEL", pairs.iter().map(|pair| (&*pair.key, &*pair.value)))
    }

    fn expose(&mut self, words: &[String], lines: Lines) -> Result<String, Error> {
        let mut ports = Vec::new();
        for word in words {
            let error = |error| self.error_at(lines, word, error);
            ports.extend(dockerfile::exposed_ports(word).map_err(error)?);
        }
        self.config.config.exposed_ports.extend(ports.iter().cloned());
        Ok(history::bare("EXPOSE", &ports))
    }

    fn volume(&mut self, paths: &[String], lines: Lines) -> Result<String, Error> {
        if paths.iter().any(String::is_empty) {
            return Err(self.error(lines, "a volume's path is empty"));
        }
        self.config.config.volumes.extend(paths.iter().cloned());
        Ok(history::bare("VOLUME", paths))
    }

    fn cmd(&mut self, line: &CommandLine) -> String {
        let args = self.command_line(line);
        let text = history::quoted("CMD", &args);
        self.config.config.cmd = Some(args);
        self.config.config.args_escaped = true;
        self.has_cmd = true;
        text
    }

    fn entrypoint(&mut self, line: &CommandLine) -> String {
        let args = self.command_line(line);
        let text = history::quoted("ENTRYPOINT", &args);
        self.config.config.entrypoint = Some(args);
        if !self.has_cmd {
            self.config.config.cmd = None;
        }
        text
    }

    fn healthcheck(&mut self, check: &dockerfile::Healthcheck) -> String {
        let nanoseconds = |duration: Option<std::time::Duration>| {
            duration.map_or(0, |duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
        };
        let test = match &check.test {
            HealthTest::None => vec!["NONE".to_owned()],
            HealthTest::Command(CommandLine::Shell(line)) => vec!["CMD-SHELL".into(), line.clone()],
            HealthTest::Command(CommandLine::Exec(words)) => {
                std::iter::once("CMD".to_owned()).chain(words.iter().cloned()).collect()
            }
        };
        let healthcheck = Healthcheck {
            test,
            interval: nanoseconds(check.interval),
            timeout: nanoseconds(check.timeout),
            start_period: nanoseconds(check.start_period),
            start_interval: nanoseconds(check.start_interval),
            retries: check.retries.unwrap_or(0).into(),
            ..Healthcheck::default()
        };
        let text = history::healthcheck(&healthcheck);
        self.config.config.healthcheck = Some(healthcheck);
        text
    }

    fn command_line(&self, line: &CommandLine) -> Vec<String> {
        match line {
            CommandLine::Shell(line) => self.with_shell(line),
            CommandLine::Exec(words) => words.clone(),
        }
    }

    fn with_shell(&self, line: &str) -> Vec<String> {
        let shell = &self.config.config.shell;
        let default = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
        let mut args = if shell.is_empty() { default() } else { shell.clone() };
        args.push(line.to_owned());
        args
    }

    /// An absolute path stays in the configuration as it is written.
    fn workdir(&mut self, written: &str) -> (Operation, String) {
        let path = absolute(&self.config.config.working_dir, written);
        let kept = if written.starts_with('/') { written } else { &path };
        self.config.config.working_dir = kept.to_owned();
        let created_by = format!("WORKDIR {kept}");
        if path == "/" {
            return (Operation::Configure, created_by);
        }
        (Operation::Workdir { path, owner: self.config.config.user.clone() }, created_by)
    }

    fn from(&mut self, name: &str, lines: Lines) -> Result<From, Error> {
        let from = self.planner.from(name, self.index, lines)?;
        if let From::Stage(stage) = from {
            self.needs(stage);
        }
        Ok(from)
    }
}
