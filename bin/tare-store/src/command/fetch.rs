//! `tare-store fetch`: what a web server gives into the store, as a blob. Plumbing: `tare-build` starts
//! it for `ADD https://…` and for contexts on web servers.

use std::io::Read as _;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use cli::{Bar, Interrupt, Interrupted, Progress, ProgressMode};
use image::Digest;
use registry::{Event, Fetched, Options, Resource};
use serde::Serialize;
use store::Store;

use crate::registries;

/// Get a file from a web server into the store
///
/// The file becomes a blob of the store, which its build cache holds. Fetched again, it is only asked
/// for if the server has something newer (ETag, Last-Modified). Proxies and trusted authorities are
/// those of the environment, as for pull.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The digest that the file must have
    #[arg(long, value_name = "sha256:HEX")]
    checksum: Option<Digest>,
    /// The most bytes that it may have [default: as many as the disk has room for]
    #[arg(long, value_name = "BYTES")]
    max_size: Option<u64>,
    /// Print digest, size, time of change and path as JSON
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// How to show progress: auto, plain, tty or quiet
    #[arg(long, value_name = "KIND", default_value = "auto", conflicts_with = "quiet")]
    progress: ProgressMode,
    /// http:// or https://; with - it is read from standard input, where no other user sees it
    url: String,
}

/// What `--json` prints: `{"digest":"sha256:…","size":5,"lastModified":784111777,"known":false,"path":"/…"}`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Printed<'a> {
    digest: Digest,
    /// In bytes.
    size: u64,
    /// Seconds since 1970; left out where the server does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified: Option<i64>,
    /// Whether nothing had to be transferred.
    known: bool,
    /// The blob's file.
    path: &'a std::path::Path,
}

/// Prints the file's digest.
pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let fetched = fetch(arguments, store)?;
    if !arguments.json {
        cli::print(fetched.digest)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Fetched { digest, size, last_modified, known } = fetched;
    let path = store.blob_path(&digest);
    cli::print_json(&Printed { digest, size, last_modified, known, path: &path })?;
    Ok(ExitCode::SUCCESS)
}

fn fetch(arguments: &Arguments, store: &Store) -> anyhow::Result<Fetched> {
    let resource = Resource {
        url: url(&arguments.url)?,
        digest: arguments.checksum,
        limit: arguments.max_size,
    };
    let options = Options {
        trust: registries::trust(),
        proxies: registries::proxies(),
        ..Options::default()
    };
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let mode = if arguments.quiet { ProgressMode::Quiet } else { arguments.progress };
    let shown = Shown { progress: Progress::new(mode), bar: Mutex::default() };
    registry::fetch(store, &resource, &options, &shown, &interrupt.flag()).map_err(|error| {
        match error.hint() {
            _ if matches!(error, registry::Error::Interrupted) => Interrupted.into(),
            Some(hint) => cli::hinted(error, hint),
            None => error.into(),
        }
    })
}

/// No URL is longer.
const MAX_URL: u64 = 64 << 10;

fn url(argument: &str) -> anyhow::Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    std::io::stdin()
        .take(MAX_URL)
        .read_to_string(&mut text)
        .context("cannot read the URL from standard input")?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// A bar for the file.
struct Shown {
    progress: Progress,
    bar: Mutex<Option<(Bar, u64)>>,
}

impl registry::Progress for Shown {
    fn event(&self, event: Event<'_>) {
        let mut bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Opened { size } => *bar = Some((self.progress.bytes("file", size), 0)),
            Event::More { bytes } => {
                if let Some((bar, received)) = &mut *bar {
                    bar.add(bytes);
                    *received += bytes;
                }
            }
            Event::Done { .. } => {
                if let Some((bar, received)) = bar.take() {
                    bar.done(format_args!("{} received", cli::bytes(received)));
                }
            }
            Event::Known { .. } => self.progress.line("the file is here already"),
            Event::Retry { action, reason, pause } => self.progress.line(format_args!(
                "cannot {action}: {reason}; trying again in {}",
                cli::duration(pause)
            )),
            _ => {}
        }
    }
}
