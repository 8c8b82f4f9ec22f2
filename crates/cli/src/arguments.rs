//! Arguments, and what is made of their description: man pages and completions.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use clap::Parser;
use clap_complete::Shell;

use crate::{Out, usage};

/// The program's arguments. Ends the program for `--help`, `--version` and, with code 2, for mistakes.
///
/// A hidden first argument `--generate` prints what is made of the arguments' description, and ends
/// the program: `--generate man` (the main page), `--generate man DIR` (a page for each command),
/// `--generate bash`, `zsh`, `fish`, `elvish` or `powershell` (completions).
///
/// # Errors
/// Only from `--generate`.
pub fn parse<C: Parser>() -> anyhow::Result<C> {
    Ok(try_parse::<C>()?.unwrap_or_else(|error| error.exit()))
}

/// As [`parse`], for programs that treat mistakes in their own way.
///
/// # Errors
/// Only from `--generate`.
pub fn try_parse<C: Parser>() -> anyhow::Result<Result<C, clap::Error>> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == "--generate") {
        generate(C::command(), &arguments[2..])?;
        #[expect(clippy::exit, reason = "as clap does after --help")]
        std::process::exit(0);
    }
    Ok(C::try_parse_from(arguments))
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
