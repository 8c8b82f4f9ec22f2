//! `tare-store import`: make an image of a root file system's tar.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use image::{DateTime, History, ImageConfig, Platform, Reference, manifest, media_type};
use store::Store;

use crate::{change, find, source::Source};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Change the configuration by an instruction, such as 'CMD ["sh"]'
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// A remark for the image's history
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Platform that the files are for [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// Time of the image, in seconds since 1970
    #[arg(long, env = "SOURCE_DATE_EPOCH", hide = true)]
    source_date_epoch: Option<u64>,
    /// A tar, plain or compressed by gzip or zstd; - is standard input
    source: PathBuf,
    /// Name of the image
    #[arg(value_parser = find::new_name)]
    name: Reference,
}

/// Prints the digest of the image's manifest.
pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let digest = import(arguments, store).with_context(|| {
        format!("cannot import {} as {}", arguments.source.display(), arguments.name.familiar())
    })?;
    cli::print(digest)?;
    Ok(ExitCode::SUCCESS)
}

fn import(arguments: &Arguments, store: &Store) -> anyhow::Result<String> {
    let mut config = configuration(arguments)?;
    let interrupt = cli::Interrupt::install().context("cannot handle signals")?;
    let source = Source::open(&arguments.source, interrupt.clone())?;
    let mode = if arguments.quiet { cli::ProgressMode::Quiet } else { cli::ProgressMode::Auto };
    let bar = cli::Progress::new(mode).bytes("importing", source.size());
    let (layer, diff_id, changeset) = store.import_root(bar.reader(source))?;
    config.rootfs.diff_ids.push(diff_id);
    let config = store.put_json(media_type::CONFIG, &config)?;
    let size = layer.size();
    let manifest = store.put_manifest(&manifest::manifest(config, vec![layer]))?;
    interrupt.check()?;
    store.tag(&arguments.name, &manifest)?;
    bar.done(format_args!(
        "imported {}: {} entries, {}",
        arguments.name.familiar(),
        changeset.len(),
        cli::bytes(size)
    ));
    Ok(manifest.digest().to_string())
}

/// All but the layer; mistakes in the options show before anything is read.
fn configuration(arguments: &Arguments) -> anyhow::Result<ImageConfig> {
    let platform = arguments.platform.clone().unwrap_or_else(Platform::host);
    let now = match arguments.source_date_epoch {
        Some(seconds) => SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
        None => SystemTime::now(),
    };
    let created = Some(DateTime::from(now).to_string());
    let mut config = ImageConfig::empty(&platform);
    config.created = created.clone();
    config.history.push(History {
        created,
        created_by: format!("import {}", arguments.source.display()),
        comment: arguments.message.clone().unwrap_or_default(),
        ..History::default()
    });
    for change in &arguments.change {
        change::apply(&mut config, change)?;
    }
    Ok(config)
}
