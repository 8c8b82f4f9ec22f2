//! `tare-store prune`: make the build cache smaller, in the words of `docker builder prune`.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use store::{CacheLimit, Store};

use super::gc::{self, Showing};

/// Remove from the build cache what was not used for longest
///
/// Without a limit all goes that no image shares and no build at work uses; with --all what images
/// share, too. What nobody holds then is collected, as gc does it. A build bounds the cache by itself:
/// see TARE_BUILD_CACHE in tare-build --help.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Remove also the records of layers that images have, and whatever else the builder keeps
    #[arg(short, long)]
    all: bool,
    /// Remove only what was not used since: until=24h, until=2026-01-31
    #[arg(long, value_name = "until=TIME", value_parser = until)]
    filter: Vec<Duration>,
    /// Keep so much of the cache in any case
    #[arg(long, visible_alias = "keep-storage", value_name = "BYTES", value_parser = image::parse::size)]
    reserved_space: Option<u64>,
    /// Remove only as much as is needed for the cache to take no more than this
    #[arg(long, value_name = "BYTES", value_parser = image::parse::size)]
    max_used_space: Option<u64>,
    /// Remove only as much as is needed to have this much free on the disk
    #[arg(long, value_name = "BYTES", value_parser = image::parse::size)]
    min_free_space: Option<u64>,
    /// Nothing is asked in any case
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    showing: Showing,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let limit = CacheLimit {
        unused_for: arguments.filter.iter().max().copied().unwrap_or_default(),
        max_used: arguments.max_used_space,
        min_free: arguments.min_free_space,
        reserved: arguments.reserved_space.unwrap_or(0),
        shared: arguments.all,
    };
    gc::collect(store, &[limit], arguments.showing)
}

fn until(text: &str) -> Result<Duration, String> {
    let time = text.strip_prefix("until=").ok_or("expected until=TIME")?;
    let then = cli::parse_time(time)?;
    Ok(SystemTime::now().duration_since(then).unwrap_or_default())
}
