//! Each instruction from its flags and arguments. No I/O, no expansion.

use std::time::Duration;

use crate::duration;
use crate::flags::{Flags, Takes};
use crate::heredoc::{self, Heredoc};
use crate::instruction::{
    Add, Copy, HealthTest, Healthcheck, InlineFile, Kind, Network, Run, Security,
};
use crate::list;
use crate::mount::MountOptions;
use crate::problem::Problem;
use crate::suggest::nearest;
use crate::words;

use crate::parse::Parts;

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
const RUN_FLAGS: &[(&str, Takes)] = &[
    ("mount", Takes::Values),
    ("network", Takes::Value),
    ("security", Takes::Value),
    ("device", Takes::Values),
];
const HEALTH_FLAGS: &[(&str, Takes)] = &[
    ("interval", Takes::Value),
    ("timeout", Takes::Value),
    ("start-period", Takes::Value),
    ("start-interval", Takes::Value),
    ("retries", Takes::Value),
];
/// The shortest duration that a health check takes; zero means the default.
const SHORTEST: Duration = Duration::from_millis(1);

/// The kind of an instruction that is neither FROM nor ONBUILD; none where its name is unknown.
pub(crate) fn read(parts: &Parts<'_>) -> Result<Option<Kind>, Problem> {
    Ok(Some(match parts.name.as_str() {
        "ADD" => add(parts)?,
        "COPY" => copy(parts)?,
        "RUN" => run(parts)?,
        "HEALTHCHECK" => Kind::Healthcheck(healthcheck(parts)?),
        name => {
            let Some(kind) = simple(name, parts)? else { return Ok(None) };
            Flags::read(name, &parts.flags, &[])?;
            kind
        }
    }))
}

/// The instructions without flags.
fn simple(name: &str, parts: &Parts<'_>) -> Result<Option<Kind>, Problem> {
    let text = parts.arguments;
    Ok(Some(match name {
        "ARG" => Kind::Arg(words::args(text, parts.escape, parts.lines, parts.comments)?),
        "CMD" => Kind::Cmd(list::command(name, text)?),
        "ENTRYPOINT" => Kind::Entrypoint(list::command(name, text)?),
        "ENV" => Kind::Env(words::pairs(name, text, parts.escape)?),
        "EXPOSE" => Kind::Expose(some(name, blank_separated(text))?),
        "LABEL" => Kind::Label(words::pairs(name, text, parts.escape)?),
        "MAINTAINER" => Kind::Maintainer(one(name, text)?),
        "SHELL" => Kind::Shell(shell(text)?),
        "STOPSIGNAL" => Kind::StopSignal(one(name, text)?),
        "USER" => Kind::User(one(name, text)?),
        "VOLUME" => Kind::Volume(volumes(text)?),
        "WORKDIR" => Kind::Workdir(one(name, text)?),
        _ => return Ok(None),
    }))
}

fn blank_separated(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn some(instruction: &str, words: Vec<String>) -> Result<Vec<String>, Problem> {
    match words.is_empty() {
        true => Err(Problem::NoArgument { instruction: instruction.to_owned() }),
        false => Ok(words),
    }
}

fn one(instruction: &str, text: &str) -> Result<String, Problem> {
    match text.is_empty() {
        true => Err(Problem::NotOneArgument { instruction: instruction.to_owned() }),
        false => Ok(text.to_owned()),
    }
}

fn shell(text: &str) -> Result<Vec<String>, Problem> {
    let not_json = || Problem::NotJson { instruction: "SHELL".to_owned() };
    match text.is_empty() {
        true => some("SHELL", Vec::new()),
        false => some("SHELL", list::strings("SHELL", text)?.ok_or_else(not_json)?),
    }
}

fn volumes(text: &str) -> Result<Vec<String>, Problem> {
    let words = some("VOLUME", list::words("VOLUME", text)?)?;
    let words: Vec<String> = words.iter().map(|word| word.trim().to_owned()).collect();
    if words.iter().any(String::is_empty) { Err(Problem::EmptyVolume) } else { Ok(words) }
}

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

fn copy(parts: &Parts<'_>) -> Result<Kind, Problem> {
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

fn add(parts: &Parts<'_>) -> Result<Kind, Problem> {
    let flags = Flags::read("ADD", &parts.flags, ADD_FLAGS)?;
    let paths = paths(parts)?;
    Ok(Kind::Add(Add {
        sources: paths.sources,
        inline: paths.inline,
        destination: paths.destination,
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.switch("link").unwrap_or(false),
        keep_git_dir: flags.switch("keep-git-dir").unwrap_or(false),
        checksum: flags.text("checksum"),
        unpack: flags.switch("unpack"),
        exclude: flags.values("exclude").map(str::to_owned).collect(),
    }))
}

fn run(parts: &Parts<'_>) -> Result<Kind, Problem> {
    let flags = Flags::read("RUN", &parts.flags, RUN_FLAGS)?;
    if parts.arguments.is_empty() {
        return Err(Problem::NoArgument { instruction: "RUN".to_owned() });
    }
    let network = flags.value("network").map_or(Ok(Network::Default), |value| match value {
        "default" => Ok(Network::Default),
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        value => Err(choice("network", value, &["default", "none", "host"])),
    })?;
    let security = flags.value("security").map_or(Ok(Security::Sandbox), |value| match value {
        "sandbox" => Ok(Security::Sandbox),
        "insecure" => Ok(Security::Insecure),
        value => Err(choice("security", value, &["sandbox", "insecure"])),
    })?;
    let mounts: Result<_, _> = flags.values("mount").map(MountOptions::read).collect();
    Ok(Kind::Run(Run {
        line: list::command("RUN", parts.arguments)?,
        heredocs: parts.heredocs.to_vec(),
        mounts: mounts?,
        network,
        security,
        devices: flags.values("device").map(str::to_owned).collect(),
    }))
}

fn choice(flag: &str, value: &str, known: &[&str]) -> Problem {
    Problem::InvalidFlagValue {
        flag: flag.to_owned(),
        value: value.to_owned(),
        why: format!("it is one of {}", known.join(", ")),
        suggestion: nearest(value, known).map(str::to_owned),
    }
}

fn healthcheck(parts: &Parts<'_>) -> Result<Healthcheck, Problem> {
    let flags = Flags::read("HEALTHCHECK", &parts.flags, HEALTH_FLAGS)?;
    let text = parts.arguments;
    let (kind, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    Ok(Healthcheck {
        test: health_test(kind, rest.trim_start())?,
        interval: interval(&flags, "interval")?,
        timeout: interval(&flags, "timeout")?,
        start_period: interval(&flags, "start-period")?,
        start_interval: interval(&flags, "start-interval")?,
        retries: retries(&flags)?,
    })
}

fn health_test(kind: &str, rest: &str) -> Result<HealthTest, Problem> {
    match kind.to_ascii_uppercase().as_str() {
        "" => Err(Problem::NoArgument { instruction: "HEALTHCHECK".to_owned() }),
        "NONE" if rest.is_empty() => Ok(HealthTest::None),
        "NONE" => Err(Problem::HealthcheckNone),
        "CMD" => match list::command("HEALTHCHECK", rest)? {
            command if command.is_empty() => Err(Problem::HealthcheckNoCommand),
            command => Ok(HealthTest::Command(command)),
        },
        _ => {
            let suggestion = nearest(kind, &["CMD", "NONE"]).map(str::to_owned);
            Err(Problem::HealthcheckType { name: kind.to_owned(), suggestion })
        }
    }
}

fn interval(flags: &Flags, flag: &'static str) -> Result<Option<Duration>, Problem> {
    let Some(value) = flags.value(flag).filter(|value| !value.is_empty()) else { return Ok(None) };
    match duration::parse(value) {
        Ok(Duration::ZERO) => Ok(None),
        Ok(duration) if duration < SHORTEST => Err(invalid(flag, value, "it is less than 1ms")),
        Ok(duration) => Ok(Some(duration)),
        Err(why) => Err(invalid(flag, value, &why)),
    }
}

/// Zero means the default, as an interval of zero does.
fn retries(flags: &Flags) -> Result<Option<u32>, Problem> {
    let Some(value) = flags.value("retries").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let retries = value.parse::<u32>().ok().filter(|retries| i32::try_from(*retries).is_ok());
    let why = "it is not a number of retries";
    retries.map(|n| (n > 0).then_some(n)).ok_or_else(|| invalid("retries", value, why))
}

fn invalid(flag: &str, value: &str, why: &str) -> Problem {
    Problem::InvalidFlagValue {
        flag: flag.to_owned(),
        value: value.to_owned(),
        why: why.to_owned(),
        suggestion: None,
    }
}
