//! `restore`.

use std::path::PathBuf;

use clap::Args;
use container::{ContainerId, CreateOptions, RestoreOptions, RunOptions};

use super::checkpoint::ImageOptions;
use crate::arguments::Globals;

/// Bring a container back from image files, by criu
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    image: ImageOptions,
    /// The bundle's directory
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,
    /// Unix socket that gets the terminal's master descriptor
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// Return as soon as the container runs
    #[arg(short, long)]
    detach: bool,
    /// Write the first process's number to this file
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Do not adopt processes that the container orphans
    #[arg(long)]
    no_subreaper: bool,
    /// For a root on a ramdisk; criu sees that itself, with or without this
    #[arg(long)]
    no_pivot: bool,
    /// Security profile instead of the image's
    #[arg(long, value_name = "TYPE:NAME")]
    lsm_profile: Option<String>,
    /// SELinux context of mounts instead of the image's
    #[arg(long, value_name = "CONTEXT")]
    lsm_mount_context: Option<String>,
    /// Name for the container, unique below the state root
    container_id: ContainerId,
}

pub(crate) fn run(globals: &Globals, options: &Options) -> anyhow::Result<u8> {
    let create = CreateOptions {
        bundle: options.bundle.clone(),
        pid_file: options.pid_file.clone(),
        console_socket: options.console_socket.clone(),
        no_pivot: options.no_pivot,
        rootless: globals.rootless(),
        ..CreateOptions::default()
    };
    let run = RunOptions {
        detach: options.detach,
        no_subreaper: options.no_subreaper,
        ..RunOptions::default()
    };
    let restore = RestoreOptions {
        criu: options.image.resolve(globals)?,
        lsm_profile: options.lsm_profile.clone(),
        lsm_mount_context: options.lsm_mount_context.clone(),
    };
    let root = globals.root()?;
    let code = container::restore(&root, &options.container_id, &create, &run, &restore)?;
    Ok(code as u8)
}
