//! Each instruction from its flags and arguments. No I/O, no expansion.

use crate::flags::Flags;
use crate::instruction::Kind;
use crate::list;
use crate::parse::Parts;
use crate::problem::Problem;
use crate::words;

mod files;
mod health;
mod run;

/// The kind of an instruction that is neither FROM nor ONBUILD; none where its name is unknown.
pub(crate) fn read(parts: &Parts<'_>) -> Result<Option<Kind>, Problem> {
    Ok(Some(match parts.name.as_str() {
        "ADD" => files::add(parts)?,
        "COPY" => files::copy(parts)?,
        "RUN" => run::run(parts)?,
        "HEALTHCHECK" => Kind::Healthcheck(health::healthcheck(parts)?),
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
