//! COPY and ADD.

use crate::flags::{Flags, Takes};
use crate::heredoc::{self, Heredoc};
use crate::instruction::{Add, Copy, InlineFile, Kind};
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

/// Sources and destination of COPY and ADD.
struct Paths {
    sources: Vec<String>,
    inline: Vec<InlineFile>,
    destination: String,
}

fn paths(parts: &Parts<'_>) -> Result<Paths, Problem> {
    let instruction = || parts.name.clone();
    let mut words = path_words(parts)?;
    let destination = words.pop().filter(|_| !words.is_empty());
    let missing = || Problem::NoDestination { instruction: instruction() };
    let destination = destination.ok_or_else(missing)?;
    if !parts.heredocs.is_empty() && heredoc::sole(&destination).is_some() {
        return Err(Problem::HeredocDestination { instruction: instruction() });
    }
    let mut inline = parts.heredocs.iter();
    let (mut sources, mut files) = (Vec::new(), Vec::new());
    for word in words {
        match heredoc::sole(&word).and_then(|_| inline.next()) {
            Some(heredoc) => files.push(inline_file(heredoc)),
            None => sources.push(word),
        }
    }
    Ok(Paths { sources, inline: files, destination })
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
    let paths = paths(parts)?;
    let from = flags.text("from");
    if from.as_deref().is_some_and(|from| from.contains('$')) {
        return Err(Problem::VariableInFlag { flag: "from".to_owned() });
    }
    Ok(Kind::Copy(Copy {
        sources: paths.sources,
        inline: paths.inline,
        destination: paths.destination,
        from,
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.switch("link").unwrap_or(false),
        parents: flags.switch("parents").unwrap_or(false),
        exclude: flags.values("exclude").map(str::to_owned).collect(),
    }))
}

pub(super) fn add(parts: &Parts<'_>) -> Result<Kind, Problem> {
    let flags = Flags::read("ADD", &parts.flags, ADD_FLAGS)?;
    let paths = paths(parts)?;
    Ok(Kind::Add(Add {
        sources: paths.sources,
        inline: paths.inline,
        destination: paths.destination,
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.switch("link").unwrap_or(false),
        keep_git_dir: flags.switch("keep-git-dir"),
        checksum: flags.text("checksum"),
        unpack: flags.switch("unpack"),
        exclude: flags.values("exclude").map(str::to_owned).collect(),
    }))
}
