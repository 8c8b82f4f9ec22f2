//! `create`: a container that waits for `start`.

use std::path::PathBuf;

use clap::Args;
use container::{ContainerId, CreateOptions};

use crate::arguments::Globals;

/// Create a container from a bundle, without starting its program
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    bundle: BundleOptions,
    /// Name for the container, unique below the state root
    container_id: ContainerId,
}

/// What `create` and `run` share.
#[derive(Debug, Args)]
pub(crate) struct BundleOptions {
    /// The bundle's directory
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,
    /// Unix socket that gets the terminal's master descriptor
    #[arg(long, value_name = "SOCKET")]
    pub(crate) console_socket: Option<PathBuf>,
    /// Unix socket that gets the first process's pidfd
    #[arg(long, value_name = "SOCKET")]
    pidfd_socket: Option<PathBuf>,
    /// Write the first process's number to this file
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Move the root over the host's instead of pivot_root(2), for a root on a ramdisk
    #[arg(long)]
    no_pivot: bool,
    /// Keep the caller's session keyring
    #[arg(long)]
    no_new_keyring: bool,
    /// Pass N more descriptors on (stdio + $LISTEN_FDS + N in total)
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1024))]
    preserve_fds: u32,
}

impl BundleOptions {
    pub(crate) fn resolve(&self, globals: &Globals) -> CreateOptions {
        CreateOptions {
            bundle: self.bundle.clone(),
            pid_file: self.pid_file.clone(),
            console_socket: self.console_socket.clone(),
            pidfd_socket: self.pidfd_socket.clone(),
            no_pivot: self.no_pivot,
            no_new_keyring: self.no_new_keyring,
            preserve_fds: self.preserve_fds,
            listen_fds: listen_fds(),
            notify_socket: notify_socket(),
            rootless: globals.rootless(),
            systemd_cgroup: globals.systemd_cgroup,
            user_bus: globals.user_bus(),
        }
    }
}

/// How many sockets were passed to this very process (sd_listen_fds(3)).
fn listen_fds() -> u32 {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    let count = number("LISTEN_FDS").filter(|&count| count <= 1024);
    count.filter(|_| number("LISTEN_PID") == Some(std::process::id())).unwrap_or(0)
}

/// Where a service manager wants to hear that the container is ready.
pub(crate) fn notify_socket() -> Option<PathBuf> {
    std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()).map(PathBuf::from)
}

pub(crate) fn run(globals: &Globals, options: &Options) -> anyhow::Result<u8> {
    let create = options.bundle.resolve(globals);
    container::create(&globals.root()?, &options.container_id, &create)?;
    Ok(0)
}
