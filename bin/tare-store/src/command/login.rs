//! `tare-store login`, `logout`: who we are to a registry.

use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use cli::{ErrorExt as _, Interrupt};
use image::Reference;
use registry::{Credentials, Keeper, Options};

use crate::{registries, terminal};

/// No user's name or password is longer, in bytes.
const MAX_SECRET: u64 = 64 << 10;

/// The registry is asked whether it takes the login before that is kept. A password is read from the
/// terminal or from standard input: as an argument everybody on the machine could see it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The user's name
    #[arg(short, long, value_name = "USER")]
    username: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    password_stdin: bool,
    #[command(flatten)]
    registry: registries::RegistryFlags,
    /// The registry: a host name, perhaps with a port
    #[arg(default_value = "docker.io", value_parser = registry_name)]
    name: Registry,
}

/// Take a login away again.
#[derive(Debug, clap::Args)]
pub(crate) struct LogoutArguments {
    /// Take all logins away
    #[arg(short, long, conflicts_with = "name")]
    all: bool,
    #[command(flatten)]
    registry: registries::RegistryFlags,
    /// The registry
    #[arg(default_value = "docker.io", value_parser = registry_name)]
    name: Registry,
}

/// A registry, as a reference to nothing in it.
#[derive(Clone, Debug)]
pub(crate) struct Registry(Reference);

fn registry_name(word: &str) -> Result<Registry, String> {
    // Docker writes its own registry as a URL.
    let bare = word.trim_start_matches("https://").trim_start_matches("http://");
    let host = bare.split('/').next().unwrap_or(bare);
    let host = if host == "index.docker.io" { "docker.io" } else { host };
    let reference: Reference = format!("{host}/login")
        .parse()
        .map_err(|error: image::ReferenceError| error.to_string())?;
    match reference.registry() == host {
        true => Ok(Registry(reference)),
        false => Err(format!("{word} is no host name: it has neither a dot nor a port")),
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Registry(name) = &arguments.name;
    let registry = name.registry();
    let (user, password) = asked(arguments, registry)?;
    let options = Options {
        credentials: Credentials::of(registry, &user, &password),
        ..arguments.registry.options_without_login()?
    };
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    registry::check_login(name, &options, &interrupt.flag())
        .map_err(registries::explain)
        .with_context(|| format!("cannot log in to {registry}"))?;
    let path = arguments.registry.login_file()?;
    let keeper = match registry::save_login(&path, registry, &user, &password)? {
        Keeper::File => format!("in {}", path.display()),
        Keeper::Helper(name) => format!("by docker-credential-{name}"),
    };
    cli::note(format_args!("logged in to {registry} as {user}; kept {keeper}"));
    Ok(ExitCode::SUCCESS)
}

/// User and password, from where they were said to come.
fn asked(arguments: &Arguments, registry: &str) -> anyhow::Result<(String, String)> {
    let terminal = std::io::stdin().is_terminal();
    if !terminal && !arguments.password_stdin {
        return Err(anyhow!("standard input is no terminal to ask for a password"))
            .hint("pipe it in: tare-store login --username USER --password-stdin REGISTRY");
    }
    let user = match &arguments.username {
        Some(user) => user.clone(),
        None => terminal::ask(&format!("User name for {registry}: "), true)?,
    };
    let password = match arguments.password_stdin {
        true => from_stdin()?,
        false => terminal::ask(&format!("Password of {user}: "), false)?,
    };
    if user.is_empty() || password.is_empty() || user.contains(':') {
        return Err(cli::usage("a login needs a user without colons, and a password"));
    }
    Ok((user, password))
}

fn from_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .take(MAX_SECRET)
        .read_to_string(&mut text)
        .context("cannot read the password from standard input")?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

pub(crate) fn logout(arguments: &LogoutArguments) -> anyhow::Result<ExitCode> {
    let Registry(name) = &arguments.name;
    let registry = (!arguments.all).then(|| name.registry());
    let mut gone = false;
    for path in arguments.registry.login_files() {
        gone |= registry::remove_login(&path, registry)?;
    }
    let what = registry.unwrap_or("any registry");
    match gone {
        true => cli::note(format_args!("logged out of {what}")),
        false => return Err(anyhow!("there is no login for {what}")),
    }
    Ok(ExitCode::SUCCESS)
}
