//! A stage, instruction by instruction, expanded: JSONArgsRecommended,
//! MultipleInstructionsDisallowed, WorkdirRelativePath, and the rules of the other files that look at
//! an instruction.

use std::collections::BTreeSet;

use super::rule::{JSON_ARGS_RECOMMENDED, MULTIPLE_INSTRUCTIONS_DISALLOWED, WORKDIR_RELATIVE_PATH};
use super::{Finding, context, ports, variables};
use crate::ignore::IgnorePatterns;
use crate::instruction::{Arg, CommandLine, Instruction, Kind};
use crate::source::Lines;

/// What the rules remember of a stage.
#[derive(Clone, Debug, Default)]
pub struct StageLint {
    cmd: Option<Lines>,
    entrypoint: Option<Lines>,
    healthcheck: Option<Lines>,
    /// Whether this stage, or one that it builds on, has had a WORKDIR.
    workdir: bool,
    /// The names of the ARGs of this stage and of those that it builds on.
    declared: BTreeSet<String>,
}

/// An instruction and what is known where it stands.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// As written.
    pub written: &'a Instruction,
    /// Expanded.
    pub expanded: &'a Kind,
    /// The variables that its words used and that had no value; none where the base image, and so
    /// its environment, is not known.
    pub missing: &'a [String],
    /// The variables that have a value, in the order in which they got one.
    pub names: &'a dyn Fn() -> Vec<String>,
    /// Whether a SHELL, or the base image, chose the shell.
    pub shell: bool,
    /// What the context leaves out.
    pub ignored: &'a IgnorePatterns,
}

impl StageLint {
    /// The rules of a stage that starts from this one.
    pub fn inherited(&self) -> Self {
        Self { workdir: self.workdir, declared: self.declared.clone(), ..Self::default() }
    }

    /// An instruction other than ARG.
    pub fn instruction(&mut self, view: View<'_>, findings: &mut Vec<Finding>) {
        let lines = view.written.lines;
        // Nobody looks at the variables of ports.
        if !matches!(view.expanded, Kind::Expose(_)) {
            self.undefined(view.missing, view.names, lines, findings);
        }
        match view.expanded {
            Kind::Env(pairs) => {
                legacy(view, findings);
                let secret = |name: &str| variables::secret_name("ENV", name, lines);
                findings.extend(pairs.iter().filter_map(|pair| secret(&pair.key)));
            }
            Kind::Label(_) => legacy(view, findings),
            Kind::Cmd(line) => {
                once(&mut self.cmd, view, findings);
                command(line, view, findings);
            }
            Kind::Entrypoint(line) => {
                once(&mut self.entrypoint, view, findings);
                command(line, view, findings);
            }
            Kind::Healthcheck(_) => once(&mut self.healthcheck, view, findings),
            Kind::Workdir(path) => self.workdir(path, lines, findings),
            Kind::Expose(specs) => ports::ports(specs, lines, findings),
            Kind::Copy(copy) if copy.from.is_none() => {
                sources("Copy", &copy.files.sources, view, findings)
            }
            Kind::Add(add) => sources("Add", &add.files.sources, view, findings),
            _ => {}
        }
    }

    /// One argument of an ARG; `missing` are the variables of its default that had no value.
    pub fn argument(
        &mut self,
        arg: &Arg,
        missing: &[String],
        names: &dyn Fn() -> Vec<String>,
        findings: &mut Vec<Finding>,
    ) {
        findings.extend(variables::secret_name("ARG", &arg.name, arg.lines));
        self.undefined(missing, names, arg.lines, findings);
        self.declared.insert(arg.name.clone());
    }

    /// Variables of an instruction that had no value, where that is all that can be said of it: it
    /// cannot be expanded.
    pub fn undefined(
        &self,
        missing: &[String],
        names: &dyn Fn() -> Vec<String>,
        lines: Lines,
        findings: &mut Vec<Finding>,
    ) {
        if !missing.is_empty() {
            let declared = |name: &str| self.declared.contains(name);
            variables::undefined(missing, &declared, &names(), lines, findings);
        }
    }

    /// Only the first WORKDIR counts: the others are fixed with it.
    fn workdir(&mut self, path: &str, lines: Lines, findings: &mut Vec<Finding>) {
        if !self.workdir && !path.starts_with('/') {
            let detail = format!(
                "Relative workdir {path:?} can have unexpected results if the base image changes"
            );
            findings.push(Finding::new(&WORKDIR_RELATIVE_PATH, lines, detail));
        }
        self.workdir = true;
    }
}

fn legacy(view: View<'_>, findings: &mut Vec<Finding>) {
    if view.written.legacy {
        findings.push(variables::legacy_pair(&view.written.keyword, view.written.lines));
    }
}

/// The place reported is that of the one which loses.
fn once(before: &mut Option<Lines>, view: View<'_>, findings: &mut Vec<Finding>) {
    if let Some(lines) = before.replace(view.written.lines) {
        let detail = format!(
            "Multiple {} instructions should not be used in the same stage because only the last one will be used",
            view.written.keyword
        );
        findings.push(Finding::new(&MULTIPLE_INSTRUCTIONS_DISALLOWED, lines, detail));
    }
}

fn command(line: &CommandLine, view: View<'_>, findings: &mut Vec<Finding>) {
    if matches!(line, CommandLine::Shell(_)) && !view.shell {
        let detail = format!(
            "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
            view.written.keyword
        );
        findings.push(Finding::new(&JSON_ARGS_RECOMMENDED, view.written.lines, detail));
    }
}

fn sources(instruction: &str, paths: &[String], view: View<'_>, findings: &mut Vec<Finding>) {
    let local = |path: &&String| !path.contains("://") && !path.starts_with("git@");
    let lines = view.written.lines;
    let hidden = |path| context::ignored_source(instruction, path, view.ignored, lines);
    findings.extend(paths.iter().filter(local).filter_map(|path| hidden(path)));
}
