//! `tare-store pull`: an image from a registry into the store.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use cli::{Bar, Interrupt, Interrupted, Progress, ProgressMode};
use image::{Digest, Platform, Reference};
use registry::{Event, Options, Pulled, Trust};
use store::Store;

use crate::registries;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Platform of the image, such as linux/arm64 [default: this machine's]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// How to show progress: auto, plain, tty or quiet
    #[arg(long, value_name = "KIND", default_value = "auto", conflicts_with = "quiet")]
    progress: ProgressMode,
    /// File with the logins [default: those of podman login and docker login]
    #[arg(long, value_name = "FILE", env = "REGISTRY_AUTH_FILE")]
    authfile: Option<PathBuf>,
    /// Speak TLS only, and check the certificate; false also allows plain HTTP
    #[arg(long, value_name = "BOOL", default_value_t = true, default_missing_value = "true")]
    #[arg(num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    tls_verify: bool,
    /// The same as --tls-verify=false
    #[arg(long, conflicts_with = "tls_verify")]
    insecure: bool,
    /// How many layers are fetched at a time
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
    /// The image: NAME, NAME:TAG or NAME@DIGEST, with docker.io where no registry is named
    name: Name,
}

/// A reference, perhaps with the transport in front that skopeo and podman write.
#[derive(Clone, Debug)]
struct Name(Reference);

impl FromStr for Name {
    type Err = image::ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("docker://").unwrap_or(text).parse().map(Self)
    }
}

/// Prints the digest of the image's manifest.
pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let name = arguments.name.0.familiar();
    let pulled = pull(arguments, store).with_context(|| format!("cannot pull {name}"))?;
    if arguments.platform.is_none() && !Platform::host().accepts(&pulled.platform) {
        cli::warn(format_args!("{name} is for {}, not for this machine", pulled.platform));
    }
    cli::print(pulled.manifest.digest())?;
    Ok(ExitCode::SUCCESS)
}

fn pull(arguments: &Arguments, store: &Store) -> anyhow::Result<Pulled> {
    let options = options(arguments)?;
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let mode = if arguments.quiet { ProgressMode::Quiet } else { arguments.progress };
    let bars = Bars { progress: Progress::new(mode), bars: Mutex::default() };
    registry::pull(store, &arguments.name.0, &options, &bars, &interrupt.flag()).map_err(|error| {
        match error.hint() {
            _ if matches!(error, registry::Error::Interrupted) => Interrupted.into(),
            Some(hint) => cli::hinted(error, hint),
            None => error.into(),
        }
    })
}

fn options(arguments: &Arguments) -> anyhow::Result<Options> {
    let verify = arguments.tls_verify && !arguments.insecure;
    Ok(Options {
        platform: arguments.platform.clone(),
        trust: if verify { registries::trust() } else { Trust::Anybody },
        credentials: registries::credentials(arguments.authfile.as_deref())?,
        proxies: registries::proxies(),
        parallel: arguments.jobs.into(),
        ..Options::default()
    })
}

/// A bar for each blob that is on its way.
struct Bars {
    progress: Progress,
    bars: Mutex<HashMap<Digest, (Bar, u64)>>,
}

impl registry::Progress for Bars {
    fn event(&self, event: Event<'_>) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started { digest, size } => {
                bars.insert(digest, (self.progress.bytes(short(&digest), Some(size)), size));
            }
            Event::Received { digest, bytes } => {
                if let Some((bar, _)) = bars.get(&digest) {
                    bar.add(bytes);
                }
            }
            Event::Done { digest } => {
                if let Some((bar, size)) = bars.remove(&digest) {
                    bar.done(format_args!("{} {}", short(&digest), cli::bytes(size)));
                }
            }
            Event::Known { digest, .. } => {
                self.progress.line(format_args!("{} is here already", short(&digest)));
            }
            Event::Retry { action, reason, pause } => self.progress.line(format_args!(
                "cannot {action}: {reason}; trying again in {}",
                cli::duration(pause)
            )),
            _ => {}
        }
    }
}

/// As docker shows a blob.
fn short(digest: &Digest) -> String {
    digest.hex().chars().take(12).collect()
}
