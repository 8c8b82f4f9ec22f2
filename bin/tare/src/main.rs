//! The front door: containers without a daemon, and a way to the other programs of the family.
//!
//! * `tare build`, `tare store` and `tare runtime` become the programs `tare-build`, `tare-store` and
//!   `tare-runtime`, with the arguments as they are.
//! * `tare run` makes a bundle of an image, starts a runtime on it and releases the bundle.
//! * `tare ps`, `logs`, `stop`, … look at what [`container`] keeps on disk.
//! * Called `tare-init` it is a container's first process ([`init`]).

mod attach;
mod command;
mod container;
mod init;
mod log;
mod monitor;
mod rootless;
mod runtime;
mod signals;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::container::Root;

/// Containers and images without a daemon
#[derive(Debug, Parser)]
#[command(name = "tare", version, subcommand_required = true, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    store: cli::StoreFlag,
    /// Where containers' state is [default: /run/tare; for others than root, below $XDG_RUNTIME_DIR]
    #[arg(long, env = "TARE_ROOT", hide_env_values = true, value_name = "DIR")]
    root: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a command in a new container
    Run(Box<command::run::Arguments>),
    /// Run a further command in a container that runs
    Exec(command::exec::Arguments),
    /// List containers
    Ps(command::ps::Arguments),
    /// Print the output of a container
    Logs(command::logs::Arguments),
    /// Stop containers
    Stop(command::stop::Arguments),
    /// Send a signal to containers
    Kill(command::kill::Arguments),
    /// Wait until containers end, and print their exit codes
    Wait(command::wait::Arguments),
    /// Remove containers
    Rm(command::rm::Arguments),
    /// Show all that is known of containers, as JSON
    Inspect(command::inspect::Arguments),
    /// Show versions, places, and what this machine can do
    Info(command::info::Arguments),
    /// Build an image: tare-build
    Build(command::family::Arguments),
    /// Images at rest: tare-store
    Store(command::family::Arguments),
    /// An OCI runtime: tare-runtime
    Runtime(command::family::Arguments),
    /// Run a command as root of a user namespace, where bundles can be mounted without being root
    Unshare(command::unshare::Arguments),
    /// Watch a container that runs in the background
    #[command(hide = true)]
    Monitor(command::monitor::Arguments),
}

/// What all commands need.
#[derive(Debug)]
struct Context {
    root: Root,
    store: cli::StoreFlag,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    if Path::new(&name).file_name().is_some_and(|name| name == "tare-init") {
        let command: Vec<OsString> = arguments.skip_while(|word| word == "--").collect();
        return cli::run("tare-init", || init::run(&command));
    }
    cli::run("tare", || match cli::try_parse::<Arguments>()? {
        Ok(arguments) => dispatch(arguments),
        Err(mistake) => Ok(report(&mistake)),
    })
}

fn dispatch(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let root = Root::new(arguments.root.unwrap_or_else(cli::runtime_dir));
    let context = Context { root, store: arguments.store };
    match arguments.command {
        Command::Run(arguments) => command::run::run(&arguments, &context),
        Command::Exec(arguments) => command::exec::run(&arguments, &context),
        Command::Ps(arguments) => command::ps::run(&arguments, &context),
        Command::Logs(arguments) => command::logs::run(&arguments, &context),
        Command::Stop(arguments) => command::stop::run(&arguments, &context),
        Command::Kill(arguments) => command::kill::run(&arguments, &context),
        Command::Wait(arguments) => command::wait::run(&arguments, &context),
        Command::Rm(arguments) => command::rm::run(&arguments, &context),
        Command::Inspect(arguments) => command::inspect::run(&arguments, &context),
        Command::Info(arguments) => command::info::run(&arguments, &context),
        Command::Build(arguments) => command::family::run("tare-build", &arguments, &context),
        Command::Store(arguments) => command::family::run("tare-store", &arguments, &context),
        Command::Runtime(arguments) => command::family::run("tare-runtime", &arguments, &context),
        Command::Unshare(arguments) => command::unshare::run(&arguments),
        Command::Monitor(arguments) => command::monitor::run(&arguments, &context),
    }
}

/// Prints a mistake in the arguments. Where the exit code is the container's, a mistake of the caller
/// has docker's code for "it never ran".
fn report(mistake: &clap::Error) -> ExitCode {
    let _ = mistake.print();
    let passes_code_on = std::env::args_os().skip(1).any(|word| word == "run" || word == "exec");
    match mistake.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ if passes_code_on => ExitCode::from(125),
        _ => ExitCode::from(2),
    }
}
