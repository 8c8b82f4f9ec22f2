//! Arguments, and what is made of their description: man pages and completions.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command, Parser};
use clap_complete::Shell;

use crate::{Out, usage};

/// The program's arguments. Ends the program for `--help`, `--version` and, with code 2, for mistakes.
///
/// A hidden first argument `--generate` prints what is made of the arguments' description, and ends
/// the program: `--generate man` (the main page), `--generate man DIR` (a page for each command),
/// `--generate bash`, `zsh`, `fish`, `elvish` or `powershell` (completions).
///
/// As with docker's programs an option that stands twice counts as it stands last, and a switch may
/// have a value: `--rm=false`.
///
/// # Errors
/// Only from `--generate`.
pub fn parse<C: Parser>() -> anyhow::Result<C> {
    Ok(try_parse::<C>()?.unwrap_or_else(|error| error.exit()))
}

/// As [`parse`], without those of the options named (`--target`, `-f`) whose value is empty.
///
/// # Errors
/// Only from `--generate`.
pub fn parse_without_empty<C: Parser>(options: &[&str]) -> anyhow::Result<C> {
    let arguments = without_empty(std::env::args_os(), options);
    Ok(try_parse_from::<C>(&arguments)?.unwrap_or_else(|error| error.exit()))
}

fn without_empty(arguments: impl IntoIterator<Item = OsString>, options: &[&str]) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut arguments = arguments.into_iter().peekable();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            kept.push(argument);
            break;
        }
        let named = options.iter().any(|option| argument == *option);
        if named && arguments.next_if(|value| value.is_empty()).is_some() {
            continue;
        }
        let joined = |option: &&&str| option.starts_with("--") && argument == *format!("{option}=");
        if options.iter().find(joined).is_none() {
            kept.push(argument);
        }
    }
    kept.extend(arguments);
    kept
}

/// As [`parse`], for programs that treat mistakes in their own way.
///
/// # Errors
/// Only from `--generate`.
pub fn try_parse<C: Parser>() -> anyhow::Result<Result<C, clap::Error>> {
    try_parse_from(&std::env::args_os().collect::<Vec<_>>())
}

fn try_parse_from<C: Parser>(arguments: &[OsString]) -> anyhow::Result<Result<C, clap::Error>> {
    if arguments.get(1).is_some_and(|first| first == "--generate") {
        generate(C::command(), &arguments[2..])?;
        #[expect(clippy::exit, reason = "as clap does after --help")]
        std::process::exit(0);
    }
    Ok(parse_from(arguments))
}

fn parse_from<C: Parser>(arguments: &[OsString]) -> Result<C, clap::Error> {
    let matches = as_docker(C::command()).try_get_matches_from(arguments);
    let parsed = matches.and_then(|mut matches| C::from_arg_matches_mut(&mut matches));
    parsed.map_err(|mistake| match mistake.kind() {
        // The help of the command as it is described: there, switches look like switches.
        ErrorKind::DisplayHelp => C::try_parse_from(arguments).err().unwrap_or(mistake),
        kind => {
            let mistake = mistake.format(&mut C::command());
            match without_passwords(&mistake.to_string()) {
                Some(text) => clap::Error::raw(kind, text.trim_start_matches("error: ")),
                None => mistake,
            }
        }
    })
}

/// A text without the passwords of the URLs in it: who gives one by mistake does not find it in a log.
/// `None` where there are none.
fn without_passwords(text: &str) -> Option<String> {
    let is_end = |it: char| "'\"".contains(it) || it.is_whitespace();
    let words = text.split_inclusive(is_end);
    let clean: String = words.map(|word| without_password(word).unwrap_or(word.into())).collect();
    (clean != text).then_some(clean)
}

/// `SCHEME://USER:PASSWORD@HOST…` without the password; the scheme may be missing.
fn without_password(word: &str) -> Option<String> {
    let start = word.find("://").map_or(0, |scheme| scheme + 3);
    let end = word[start..].find('/').map_or(word.len(), |path| start + path);
    let (user, host) = word[start..end].rsplit_once('@')?;
    let (user, _) = user.split_once(':')?;
    // A name with a tag and a digest looks alike.
    let is_digest = host.starts_with("sha256:") || host.starts_with("sha512:");
    (!is_digest).then(|| format!("{}{user}:***@{host}{}", &word[..start], &word[end..]))
}

fn as_docker(command: Command) -> Command {
    command.args_override_self(true).mut_args(switch).mut_subcommands(as_docker)
}

/// A switch that takes a value after `=`.
fn switch(argument: Arg) -> Arg {
    match argument.get_action() {
        ArgAction::SetTrue => argument
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_value("false")
            .default_missing_value("true")
            .value_parser(boolean),
        _ => argument,
    }
}

/// The words that docker's programs take for truth values (Go's `strconv.ParseBool`).
fn boolean(word: &str) -> Result<bool, &'static str> {
    match word {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("want true or false"),
    }
}

fn generate(mut command: clap::Command, arguments: &[OsString]) -> anyhow::Result<()> {
    let text = |argument: &OsString| argument.to_string_lossy().into_owned();
    let name = command.get_name().to_owned();
    match (arguments.first().map(text).as_deref(), arguments.get(1)) {
        (Some("man"), Some(dir)) => man_pages(command, Path::new(dir)),
        (Some("man"), None) => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            write(&page)
        }
        (Some(shell), None) => {
            let Ok(shell) = shell.parse::<Shell>() else { bail!(unknown(shell)) };
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, name, &mut script);
            write(&script)
        }
        _ => Err(usage("--generate needs one of: man [DIR], bash, zsh, fish")),
    }
}

fn unknown(kind: &str) -> anyhow::Error {
    usage(format!("cannot generate {kind}: known are man [DIR], bash, zsh, fish"))
}

fn man_pages(command: clap::Command, dir: &Path) -> anyhow::Result<()> {
    clap_mangen::generate_to(command.disable_help_subcommand(true), dir)
        .with_context(|| format!("cannot write man pages to {}", dir.display()))
}

fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = Out::new();
    out.write_all(bytes)?;
    Ok(out.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Parser)]
    struct Example {
        /// A switch
        #[arg(short, long)]
        interactive: bool,
        #[arg(short, long)]
        tty: bool,
        #[arg(long)]
        rm: bool,
        #[arg(short, long)]
        memory: Option<String>,
        #[arg(short, long)]
        env: Vec<String>,
        #[arg(trailing_var_arg = true)]
        words: Vec<String>,
    }

    fn example(line: &str) -> Result<Example, clap::Error> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        parse_from(&words)
    }

    #[test]
    fn switches_take_values_as_dockers_do() {
        for (line, want) in [
            ("x -it", [true, true, false]),
            ("x -i=true --tty=0 --rm=T", [true, false, true]),
            ("x --rm --rm=false -ti", [true, true, false]),
            ("x --rm --rm", [false, false, true]),
            ("x word --rm=true -i", [false, false, false]),
        ] {
            let found = example(line).unwrap();
            assert_eq!([found.interactive, found.tty, found.rm], want, "{line}");
        }
        assert!(example("x --rm=perhaps").is_err());
        assert_eq!(example("x --rm false").unwrap().words, ["false"]);
    }

    #[test]
    fn the_last_of_several_counts_and_lists_grow() {
        let found = example("x -m 1 -e a --memory=2 -e b").unwrap();
        assert_eq!((found.memory.as_deref(), found.env), (Some("2"), vec!["a".into(), "b".into()]));
    }

    #[test]
    fn a_mistake_shows_no_password_of_a_url() {
        let error = example("x --rm=http://me:hunter2@host:1/x").unwrap_err().to_string();
        assert!(error.starts_with("error: invalid value 'http://me:***@host:1/x' for"), "{error}");
        for (text, want) in [
            ("a://u:p@h b://u:p@h", Some("a://u:***@h b://u:***@h")),
            ("see http://host:80/a@b:c", None),
            ("bad \"u:p@h/x\"", Some("bad \"u:***@h/x\"")),
            ("bad \"app:1@sha256:0\"", None),
            ("http://user@host", None),
            ("\"http://u:p:q@h\": bad", Some("\"http://u:***@h\": bad")),
        ] {
            assert_eq!(without_passwords(text).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn options_without_a_value_are_left_out() {
        let line =
            ["x", "-m", "", "--env=", "-e", "", "-e", "a", "--memory", "1", "--", "--env", ""];
        let kept = without_empty(line.map(OsString::from), &["--env", "--memory", "-m"]);
        assert_eq!(kept, ["x", "-e", "", "-e", "a", "--memory", "1", "--", "--env", ""]);
    }

    #[test]
    fn the_help_shows_switches_as_switches() {
        let help = example("x --help").unwrap_err().to_string();
        assert!(help.contains("-i, --interactive  "), "{help}");
    }
}
