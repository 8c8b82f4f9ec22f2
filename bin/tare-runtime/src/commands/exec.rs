//! `exec`: another process in a running container.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use container::{ContainerId, ExecOptions};

use crate::arguments::Globals;

/// Execute a process in a running container
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Unix socket that gets the terminal's master descriptor
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// Unix socket that gets the process's pidfd
    #[arg(long, value_name = "SOCKET")]
    pidfd_socket: Option<PathBuf>,
    /// Working directory in the container
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Set an environment variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// With a terminal
    #[arg(short, long)]
    tty: bool,
    /// User and group ids
    #[arg(short, long, value_name = "UID[:GID]")]
    user: Option<String>,
    /// Further group ids
    #[arg(short = 'g', long, value_name = "GID", value_delimiter = ',')]
    additional_gids: Vec<u32>,
    /// File with the whole process as JSON; only --tty may change it
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["cwd", "env", "user", "additional_gids", "cap", "no_new_privs", "apparmor", "process_label"])]
    process: Option<PathBuf>,
    /// Return as soon as the program runs
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Write the process's number to this file
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// SELinux label of the process
    #[arg(long, value_name = "LABEL")]
    process_label: Option<String>,
    /// AppArmor profile of the process
    #[arg(long, value_name = "PROFILE")]
    apparmor: Option<String>,
    /// Forbid new privileges
    #[arg(long)]
    no_new_privs: bool,
    /// Add a capability
    #[arg(short, long, value_name = "CAP")]
    cap: Vec<String>,
    /// Pass N more descriptors on
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1024))]
    preserve_fds: u32,
    /// Run in a sub-cgroup that exists
    #[arg(long, value_name = "[CONTROLLER:]PATH")]
    cgroup: Vec<String>,
    /// Execute in a paused container too
    #[arg(long)]
    ignore_paused: bool,
    /// Do not adopt processes that it orphans
    #[arg(long)]
    no_subreaper: bool,
    /// The container
    container_id: ContainerId,
    /// Program and arguments
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required_unless_present = "process"
    )]
    command: Vec<String>,
}

pub(crate) fn run(globals: &Globals, options: &Options) -> anyhow::Result<u8> {
    if options.process.is_some() && !options.command.is_empty() {
        bail!("--process names the whole process: give no command beside it");
    }
    let exec = ExecOptions {
        process: options.process.clone(),
        args: options.command.clone(),
        env: options.env.clone(),
        cwd: options.cwd.clone(),
        user: options.user.as_deref().map(parse_user).transpose()?,
        additional_gids: options.additional_gids.clone(),
        capabilities: options.cap.clone(),
        terminal: options.tty,
        no_new_privileges: options.no_new_privs,
        apparmor: options.apparmor.clone(),
        process_label: options.process_label.clone(),
        detach: options.detach,
        pid_file: options.pid_file.clone(),
        console_socket: options.console_socket.clone(),
        pidfd_socket: options.pidfd_socket.clone(),
        preserve_fds: options.preserve_fds,
        ignore_paused: options.ignore_paused,
        cgroups: options.cgroup.clone(),
        no_subreaper: options.no_subreaper,
    };
    Ok(container::exec(&globals.root()?, &options.container_id, &exec)? as u8)
}

fn parse_user(text: &str) -> anyhow::Result<(u32, Option<u32>)> {
    let number =
        |text: &str| text.parse().with_context(|| format!("--user: {text:?} is not a number"));
    match text.split_once(':') {
        Some((uid, gid)) => Ok((number(uid)?, Some(number(gid)?))),
        None => Ok((number(text)?, None)),
    }
}
