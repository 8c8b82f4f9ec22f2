//! `tare-store bundle`: make a runtime bundle of an image.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use bundle::BundleOptions;
use cli::ErrorExt as _;
use image::Platform;
use store::Store;

use crate::find;

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// Put a small first process before the command that passes signals on and collects orphans
    #[arg(long)]
    init: bool,
    /// How the root file system is made: erofs or directory [default: what works]
    #[arg(long, value_name = "DRIVER")]
    driver: Option<rootfs::Driver>,
    /// Platform of the image, such as linux/amd64
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Image, by name or id
    image: String,
    /// Where the bundle is made; what is there must be empty
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Command and arguments, in place of the image's; sh where neither has any
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    flags: cli::RunFlags,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    make(arguments, store).with_context(|| {
        format!("cannot make a bundle of {} in {}", arguments.image, arguments.dir.display())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn make(arguments: &Arguments, store: &Store) -> anyhow::Result<()> {
    if !rootfs::user_namespace::can_mount() {
        return Err(anyhow!("a bundle's root file system is mounted, and that needs root")).hint(
            "try it with sudo, or be root of a user namespace for as long as the bundle is to \
                 last: tare unshare",
        );
    }
    let (_, descriptor) = find::descriptor(store, &arguments.image)?;
    let image = match &arguments.platform {
        Some(platform) => store.image_for(&descriptor, platform)?,
        None => store.image(&descriptor, &Platform::host())?,
    };
    let mut run = arguments.flags.options(&arguments.command)?;
    // A bundle is there to be looked at and changed too: it need not know yet what it is to run.
    if arguments.flags.command_line(&image.config.config, &arguments.command).is_empty() {
        run.args = vec!["sh".to_owned()];
    }
    if arguments.init {
        run.init = Some(cli::sibling("tare")?);
    }
    let interrupt = cli::Interrupt::install().context("cannot handle signals")?;
    let options = BundleOptions {
        run,
        driver: arguments.driver,
        reference: Some(arguments.image.clone()),
        interrupt: Some(interrupt.flag()),
        ..BundleOptions::default()
    };
    let dir: &Path = &arguments.dir;
    let dir = std::path::absolute(dir).context("cannot tell the working directory")?;
    bundle::create(store, &image, &dir, &options)?;
    Ok(())
}
