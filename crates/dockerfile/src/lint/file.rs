//! What the text alone shows, gathered while it is parsed.

use super::{Finding, comments, names};
use crate::instruction::{Arg, Stage};
use crate::source::Lines;

/// Findings in BuildKit's order: blank continuation lines, then instruction by instruction, then the
/// file as a whole.
#[derive(Debug, Default)]
pub(crate) struct FileLint {
    blank: Vec<Finding>,
    found: Vec<Finding>,
    keywords: Vec<(String, Lines)>,
}

impl FileLint {
    /// A blank line among the continuation lines that end at `line`.
    pub(crate) fn empty_continuation(&mut self, line: usize) {
        self.blank.push(comments::empty_continuation(line));
    }

    /// A FROM before it is understood.
    pub(crate) fn from(&mut self, keyword: &str, words: &[&str], lines: Lines) {
        names::from(keyword, words, lines, &mut self.found);
    }

    /// A stage that begins.
    pub(crate) fn stage(&mut self, keyword: &str, stage: &Stage, comments: &[String]) {
        self.keyword(keyword, stage.lines);
        let names: Vec<&str> = stage.name.as_deref().into_iter().collect();
        self.found.extend(comments::definition("FROM", &names, comments, stage.lines));
    }

    /// An ARG, global or of a stage.
    pub(crate) fn args(&mut self, args: &[Arg], comments: &[String], lines: Lines) {
        let names: Vec<&str> = args.iter().map(|arg| arg.name.as_str()).collect();
        self.found.extend(comments::definition("ARG", &names, comments, lines));
    }

    /// A MAINTAINER.
    pub(crate) fn maintainer(&mut self, lines: Lines) {
        self.found.push(comments::maintainer(lines));
    }

    /// An instruction's name as written. Those before the first FROM do not count.
    pub(crate) fn keyword(&mut self, keyword: &str, lines: Lines) {
        self.keywords.push((keyword.to_owned(), lines));
    }

    /// What was found before an error ended the file.
    pub(crate) fn broken_off(self) -> Vec<Finding> {
        self.blank.into_iter().chain(self.found).collect()
    }

    /// What was found in a whole file.
    pub(crate) fn finish(self, stages: &[Stage]) -> Vec<Finding> {
        let Self { blank: mut findings, found, keywords } = self;
        findings.extend(found);
        let named = stages.iter().filter_map(|stage| Some((stage.name.as_deref()?, stage.lines)));
        let named: Vec<(&str, Lines)> = named.collect();
        names::stages(&named, &mut findings);
        names::keywords(&keywords, &mut findings);
        findings
    }
}
