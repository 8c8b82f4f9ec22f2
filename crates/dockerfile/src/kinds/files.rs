//! COPY and ADD.

use crate::flags::{Flags, Takes};
use crate::heredoc::{self, Heredoc};
use crate::instruction::{Add, Copy, Files, InlineFile, Kind};
use crate::list;
use crate::parse::Parts;
use crate::problem::Problem;

const COPY_FLAGS: &[(&str, Takes)] = &[
    ("from", Takes::Value),
    ("chown", Takes::Value),
    ("chmod", Takes::Value),
    ("link", Takes::Bool),
    ("parents", Takes::Bool),
    ("exclude", Takes::Values),
];

const ADD_FLAGS: &[(&str, Takes)] = &[
    ("chown", Takes::Value),
    ("chmod", Takes::Value),
    ("link", Takes::Bool),
    ("keep-git-dir", Takes::Bool),
    ("checksum", Takes::Value),
    ("unpack", Takes::Bool),
    ("exclude", Takes::Values),
];

fn files(parts: &Parts<'_>, flags: &Flags) -> Result<Files, Problem> {
    let instruction = || parts.name.clone();
    let mut words = path_words(parts)?;
    let destination = words.pop().filter(|_| !words.is_empty());
    let missing = || Problem::NoDestination { instruction: instruction() };
    let destination = destination.ok_or_else(missing)?;
    if !parts.heredocs.is_empty() && heredoc::sole(&destination).is_some() {
        return Err(Problem::HeredocDestination { instruction: instruction() });
    }
    let (sources, inline) = split(words, parts.heredocs);
    Ok(Files {
        sources,
        inline,
        destination,
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.switch("link").unwrap_or(false),
        exclude: flags.values("exclude").map(str::to_owned).collect(),
    })
}

/// The words that are paths, and those that are heredocs.
fn split(words: Vec<String>, heredocs: &[Heredoc]) -> (Vec<String>, Vec<InlineFile>) {
    let mut heredocs = heredocs.iter();
    let (mut sources, mut files) = (Vec::new(), Vec::new());
    for word in words {
        match heredoc::sole(&word).and_then(|_| heredocs.next()) {
            Some(heredoc) => files.push(inline_file(heredoc)),
            None => sources.push(word),
        }
    }
    (sources, files)
}

/// Heredoc words may hold blanks: `<< EOF`, `<<'two words'`.
fn path_words(parts: &Parts<'_>) -> Result<Vec<String>, Problem> {
    let raw = if parts.heredocs.is_empty() { None } else { heredoc::raw_words(parts.arguments) };
    match raw {
        Some(words) => Ok(words.into_iter().map(str::to_owned).collect()),
        None => list::words(&parts.name, parts.arguments),
    }
}

fn inline_file(heredoc: &Heredoc) -> InlineFile {
    InlineFile { name: heredoc.name.clone(), content: heredoc.content(), expand: heredoc.expand }
}

pub(super) fn copy(parts: &Parts<'_>) -> Result<Kind, Problem> {
    let flags = Flags::read("COPY", &parts.flags, COPY_FLAGS)?;
    let files = files(parts, &flags)?;
    let from = flags.text("from");
    if from.as_deref().is_some_and(|from| from.contains('$')) {
        return Err(Problem::VariableInFlag { flag: "from".to_owned() });
    }
    Ok(Kind::Copy(Copy { files, from, parents: flags.switch("parents").unwrap_or(false) }))
}

pub(super) fn add(parts: &Parts<'_>) -> Result<Kind, Problem> {
    let flags = Flags::read("ADD", &parts.flags, ADD_FLAGS)?;
    Ok(Kind::Add(Add {
        files: files(parts, &flags)?,
        keep_git_dir: flags.switch("keep-git-dir"),
        checksum: flags.text("checksum"),
        unpack: flags.switch("unpack"),
    }))
}
