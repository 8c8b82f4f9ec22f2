//! `tare-store mount` and `umount`: an image's files, read-only, on a directory.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use cli::ErrorExt as _;
use image::Platform;
use serde::Serialize;
use store::Store;

use crate::find;

/// Without arguments it lists what is mounted. The image stays in the store as long as it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How the root file system is made: erofs or directory [default: what works]
    #[arg(long, value_name = "DRIVER")]
    driver: Option<rootfs::Driver>,
    /// Which image of several
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Print the list as JSON
    #[arg(long, conflicts_with = "image")]
    json: bool,
    /// Image, by name or id
    #[arg(requires = "dir")]
    image: Option<String>,
    /// An existing directory
    dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct UmountArguments {
    /// Directories on which tare-store mount mounted something
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// All of them
    #[arg(short, long)]
    all: bool,
}

/// A mount as `--json` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    target: PathBuf,
    reference: String,
    image: String,
    driver: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let (Some(name), Some(dir)) = (&arguments.image, &arguments.dir) else {
        return list(arguments.json);
    };
    if !rootfs::user_namespace::can_mount() {
        return Err(anyhow!("mounting needs root"))
            .hint("try it with sudo, or in tare unshare; tree, cat and unpack do without");
    }
    let (found, image) = find::image(store, name, arguments.platform.as_ref())?;
    bundle::mount(store, &image, dir, &records(), arguments.driver, &found)
        .with_context(|| format!("cannot mount {name} on {}", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn umount(arguments: &UmountArguments) -> anyhow::Result<ExitCode> {
    let mut dirs = arguments.dirs.clone();
    if arguments.all {
        dirs.extend(bundle::mounted(&records())?.into_iter().map(|mounted| mounted.target));
    }
    for dir in &dirs {
        bundle::unmount(dir, &records())
            .with_context(|| format!("cannot unmount {}", dir.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn list(json: bool) -> anyhow::Result<ExitCode> {
    let lines: Vec<Line> = bundle::mounted(&records())?
        .into_iter()
        .map(|mounted| Line {
            target: mounted.target,
            reference: mounted.record.reference.unwrap_or_default(),
            image: mounted.record.image.to_string(),
            driver: mounted.record.driver,
        })
        .collect();
    if json {
        cli::print_json(&lines)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = cli::Table::new(["IMAGE", "DIRECTORY", "DRIVER"]);
    for line in lines {
        let driver = line.driver.unwrap_or_default();
        table.row([find::familiar(&line.reference), line.target.display().to_string(), driver]);
    }
    table.print()?;
    Ok(ExitCode::SUCCESS)
}

/// Where what is mounted is written down.
fn records() -> PathBuf {
    cli::runtime_dir().join("mounts")
}
