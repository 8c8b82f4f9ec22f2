//! `tare-store serve`: the store as a registry.

use std::process::ExitCode;

use anyhow::Context as _;
use cli::Interrupt;
use registry::Server;
use store::Store;

/// Answers over plain HTTP until it is interrupted, without asking anybody for a login: for this
/// machine, or for a network that is trusted. What is pushed is named in the store as it would be on
/// docker.io: app for HOST:PORT/app. The address is printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen; port 0 takes any
    #[arg(short, long, value_name = "HOST:PORT", default_value = "127.0.0.1:5000")]
    listen: String,
    /// Let nobody push or remove anything
    #[arg(long)]
    read_only: bool,
    /// Show no requests
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let server = Server::listen(&arguments.listen, arguments.read_only)?;
    cli::print(server.address())?;
    let log = |method: &str, path: &str, status: u16| {
        if !arguments.quiet {
            cli::note(format_args!("{status} {method} {path}"));
        }
    };
    server.run(store, &interrupt.flag(), &log);
    Ok(ExitCode::SUCCESS)
}
