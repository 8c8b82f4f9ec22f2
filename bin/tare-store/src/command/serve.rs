//! `tare-store serve`: the store as a registry.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use cli::Interrupt;
use registry::{Access, Server};
use store::Store;

/// Answers until it is interrupted. Without a certificate and logins that is over plain HTTP, and nobody
/// is asked who they are: for this machine, or for a network that is trusted. What is pushed is named in
/// the store as it would be on docker.io: app for HOST:PORT/app. The address is printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen; port 0 takes any
    #[arg(short, long, value_name = "HOST:PORT", default_value = "127.0.0.1:5000")]
    listen: String,
    /// Let nobody push or remove anything
    #[arg(long)]
    read_only: bool,
    /// Speak TLS, with the certificate in this PEM file, and those that vouch for it
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Let in only the users in this file, which htpasswd -B writes
    #[arg(long, value_name = "FILE")]
    htpasswd: Option<PathBuf>,
    /// Show no requests
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let access = Access {
        read_only: arguments.read_only,
        certificate: arguments.tls_cert.clone().zip(arguments.tls_key.clone()),
        logins: arguments.htpasswd.clone(),
    };
    let server = Server::listen(&arguments.listen, &access)?;
    cli::print(server.address())?;
    let log = |method: &str, path: &str, status: u16| {
        if !arguments.quiet {
            cli::note(format_args!("{status} {method} {path}"));
        }
    };
    server.run(store, &interrupt.flag(), &log);
    Ok(ExitCode::SUCCESS)
}
