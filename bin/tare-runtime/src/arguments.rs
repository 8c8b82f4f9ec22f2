//! The command line, with runc's names. Parsing has no side effects.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use clap::error::{ContextKind, ErrorKind};
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::commands::{
    checkpoint, create, delete, events, exec, features, kill, list, pause, ps, restore, resume,
    run, spec, start, state, update,
};
use crate::words;

/// As runc prints it: this program's version, and that of the runtime-spec it follows.
const VERSION: &str = concat!("version ", env!("CARGO_PKG_VERSION"), "\nspec: 1.3.0");

/// What `exec` ends with when it failed itself: most programs' own code for a failure is 1.
const EXEC_FAILED: u8 = 255;

/// Open Container Initiative runtime: run containers from bundles
#[derive(Debug, Parser)]
#[command(name = NAME, version = VERSION, arg_required_else_help = true)]
#[command(disable_version_flag = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) globals: Globals,
    /// Print the version
    #[arg(short = 'v', short_alias = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    pub(crate) command: Command,
    /// This program and its command, where it was called by another's name.
    #[arg(skip)]
    pub(crate) stands_for: Option<String>,
}

const NAME: &str = "tare-runtime";

/// The arguments of this process; else the exit code, after help or what is wrong has been printed.
/// Mistakes end as they end runc, whose users' scripts know its codes.
///
/// A hidden first argument `--generate` prints man pages and completions instead, as all our programs
/// do.
pub(crate) fn parse() -> Result<Arguments, ExitCode> {
    if std::env::args_os().nth(1).is_some_and(|first| first == "--generate") {
        let Err(error) = cli::try_parse::<Arguments>() else { return Err(ExitCode::SUCCESS) };
        eprintln!("tare-runtime: error: {error:#}");
        return Err(ExitCode::FAILURE);
    }
    let words: Vec<OsString> = std::env::args_os().collect();
    let command = command(&words);
    let words = words::plain(&words, &command).map_err(|mistake| {
        eprintln!("tare-runtime: error: {mistake}");
        ExitCode::FAILURE
    })?;
    understand(command, &words).map_err(|mistake| {
        if mistake.kind() == ErrorKind::InvalidSubcommand {
            let name = mistake.get(ContextKind::InvalidSubcommand).map(ToString::to_string);
            eprintln!("No help topic for '{}'", name.unwrap_or_default());
            return ExitCode::from(3);
        }
        let _ = mistake.print();
        match mistake.kind() {
            _ if !mistake.use_stderr() => ExitCode::SUCCESS,
            // To runc a flag that it does not know is a mistake before the command begins.
            ErrorKind::UnknownArgument | ErrorKind::InvalidValue => ExitCode::FAILURE,
            _ if is_exec(&words) => EXEC_FAILED.into(),
            _ => ExitCode::FAILURE,
        }
    })
}

fn is_exec(words: &[OsString]) -> bool {
    let mut names = words.iter().skip(1).filter(|word| !word.as_bytes().starts_with(b"-"));
    names.next().is_some_and(|name| name == "exec")
}

/// Help has the form of runc's: name, as it was called, and purpose before all else. Where nobody asks for
/// help the commands are left as names: clap makes the arguments of the one that it meets, which saves half
/// of the time and memory of a start.
fn command(words: &[OsString]) -> clap::Command {
    let called = called(words);
    // clap keeps names for as long as the process lives.
    let shown: &'static str = called.clone().into_owned().leak();
    let command = Arguments::command().display_name(shown).args_override_self(true);
    if !asks_for_help(words, &command) {
        return command.mut_subcommands(|command| command.args_override_self(true));
    }
    let form = |name: &str| {
        format!("NAME:\n   {name} - {{about}}\n\n{{usage-heading}} {{usage}}\n\n{{all-args}}\n")
    };
    let mut command = command.help_template(form(&called)).mut_subcommands(|command| {
        let name = format!("{called} {}", command.get_name());
        command.help_template(form(&name)).args_override_self(true)
    });
    command.build();
    command
}

/// Whether help may be the answer: in doubt, as where a program's word looks like it, yes.
fn asks_for_help(words: &[OsString], command: &clap::Command) -> bool {
    let words = || words.iter().skip(1);
    words().any(|word| ["-h", "-help", "--help", "help"].iter().any(|help| word == help))
        || !words().any(|word| command.get_subcommands().any(|known| *word == *known.get_name()))
}

/// The name by which this program was called.
fn called(words: &[OsString]) -> Cow<'_, str> {
    let called = words.first().and_then(|word| Path::new(word).file_name());
    called.map_or(NAME.into(), OsStr::to_string_lossy)
}

fn understand(command: clap::Command, words: &[OsString]) -> Result<Arguments, clap::Error> {
    let matches = command.try_get_matches_from(words)?;
    let mut arguments = Arguments::from_arg_matches(&matches)?;
    let called = called(words);
    let name = matches.subcommand_name().filter(|_| called != NAME);
    arguments.stands_for = name.map(|name| format!("{called} {name}"));
    Ok(arguments)
}

/// Options before the command.
#[derive(Debug, Args)]
pub(crate) struct Globals {
    /// Directory for the state of containers; best on a tmpfs
    /// [default: /run/tare-runtime, for other users $XDG_RUNTIME_DIR/tare-runtime]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Write messages to this file too
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Form of the messages in the log
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// Log what is done
    #[arg(long)]
    pub(crate) debug: bool,
    /// Have systemd manage the cgroups; linux.cgroupsPath is slice:prefix:name then
    #[arg(long)]
    pub(crate) systemd_cgroup: bool,
    /// Go without cgroups where they cannot be made and no path is given
    #[arg(long, value_enum, default_value_t = Rootless::Auto, value_name = "WHEN")]
    rootless: Rootless,
    /// The criu program that checkpoint and restore use
    #[arg(long, value_name = "PROGRAM", default_value = "criu")]
    pub(crate) criu: PathBuf,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Rootless {
    Auto,
    True,
    False,
}

impl Globals {
    /// The bus of an ordinary user's systemd, where systemd is to manage the cgroups.
    pub(crate) fn user_bus(&self) -> Option<String> {
        if !self.systemd_cgroup || rustix::process::geteuid().is_root() {
            return None;
        }
        let address = std::env::var("DBUS_SESSION_BUS_ADDRESS").ok();
        address.filter(|address| !address.is_empty()).or_else(|| {
            let run = std::env::var("XDG_RUNTIME_DIR").ok().filter(|run| !run.is_empty());
            let uid = rustix::process::geteuid().as_raw();
            let run = run.unwrap_or_else(|| format!("/run/user/{uid}"));
            Some(format!("unix:path={run}/bus"))
        })
    }

    /// The state root.
    pub(crate) fn root(&self) -> anyhow::Result<PathBuf> {
        if let Some(root) = &self.root {
            return Ok(std::path::absolute(root)?);
        }
        let own = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
        let Some(own) = own.filter(|_| is_ordinary_user()) else {
            if rustix::process::geteuid().is_root() {
                return Ok("/run/tare-runtime".into());
            }
            bail!("XDG_RUNTIME_DIR is not set: say with --root where state is kept");
        };
        Ok(PathBuf::from(own).join("tare-runtime"))
    }

    /// Whether missing cgroups are tolerated.
    pub(crate) fn rootless(&self) -> bool {
        match self.rootless {
            // User 0 counts as rootless where it turns out to be another's user namespace.
            Rootless::Auto | Rootless::True => true,
            Rootless::False => false,
        }
    }
}

/// Also user 0 of a user namespace, unless it calls itself root: then it has a machine of its own, which
/// an ordinary user's podman does not pretend.
fn is_ordinary_user() -> bool {
    let root = rustix::process::geteuid().is_root();
    !root
        || (container::in_user_namespace()
            && std::env::var_os("USER").is_none_or(|user| user != "root"))
}

/// The commands.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    Checkpoint(checkpoint::Options),
    Create(create::Options),
    Delete(delete::Options),
    Events(events::Options),
    Exec(Box<exec::Options>),
    Features(features::Options),
    Kill(kill::Options),
    List(list::Options),
    Pause(pause::Options),
    Ps(ps::Options),
    Restore(restore::Options),
    Resume(resume::Options),
    Run(run::Options),
    Spec(spec::Options),
    Start(start::Options),
    State(state::Options),
    Update(Box<update::Options>),
}

impl Command {
    /// Whether it stays in the foreground with a container's process.
    pub(crate) fn stays(&self) -> bool {
        match self {
            Self::Run(options) => !options.detach,
            Self::Exec(options) => !options.detach,
            _ => false,
        }
    }

    /// Whether it prints what is known and does no more.
    pub(crate) fn only_prints(&self) -> bool {
        matches!(
            self,
            Self::Events(_) | Self::Features(_) | Self::List(_) | Self::Ps(_) | Self::State(_)
        )
    }

    /// The exit code when it failed: that of `exec` is told from most programs' own 1.
    pub(crate) fn failure(&self) -> ExitCode {
        if matches!(self, Self::Exec(_)) { EXEC_FAILED.into() } else { ExitCode::FAILURE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
