//! What a pull or a push shows: a bar for each blob that is on its way, and for each layer that is
//! compressed.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cli::{Bar, Progress, ProgressMode};
use image::{DiffId, Digest};
use registry::Event;
use store::OutgoingEvent;

use crate::find::short;

/// The options of each command that shows progress.
#[derive(Debug, clap::Args)]
pub(crate) struct ProgressFlags {
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// How to show progress: auto, plain, tty or quiet
    #[arg(long, value_name = "KIND", default_value = "auto", conflicts_with = "quiet")]
    progress: ProgressMode,
}

impl ProgressFlags {
    pub(crate) fn mode(&self) -> ProgressMode {
        if self.quiet { ProgressMode::Quiet } else { self.progress }
    }
}

/// The bars, by what they are about.
pub(crate) struct Bars {
    progress: Progress,
    bars: Mutex<HashMap<Subject, (Bar, u64)>>,
}

/// What a bar is about. A layer may be compressed while its older form is sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    Blob(Digest),
    Layer(DiffId),
}

impl Bars {
    pub(crate) fn new(mode: ProgressMode) -> Self {
        Self { progress: Progress::new(mode), bars: Mutex::default() }
    }

    /// Shows layers that are compressed.
    pub(crate) fn outgoing(&self, event: OutgoingEvent<'_>) {
        match event {
            OutgoingEvent::Compressing { diff_id, size } => self.compressing(diff_id, size),
            OutgoingEvent::Compressed { diff_id, bytes } => self.compressed(diff_id, bytes),
            OutgoingEvent::CompressedAll { diff_id, size } => self.compressed_all(diff_id, size),
            _ => {}
        }
    }

    fn compressing(&self, layer: DiffId, size: u64) {
        let name = format!("{} compressing", short(layer.digest()));
        self.begin(Subject::Layer(layer), name, size);
    }

    fn compressed(&self, layer: DiffId, bytes: u64) {
        self.add(Subject::Layer(layer), bytes);
    }

    fn compressed_all(&self, layer: DiffId, size: u64) {
        if let Some((bar, before)) = self.lock().remove(&Subject::Layer(layer)) {
            let (name, after) = (short(layer.digest()), cli::bytes(size));
            bar.done(format_args!("{name} compressed from {} to {after}", cli::bytes(before)));
        }
    }

    fn begin(&self, subject: Subject, name: impl Display, size: u64) {
        let bar = self.progress.bytes(name, Some(size));
        self.lock().insert(subject, (bar, size));
    }

    fn add(&self, subject: Subject, bytes: u64) {
        if let Some((bar, _)) = self.lock().get(&subject) {
            bar.add(bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Subject, (Bar, u64)>> {
        self.bars.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl registry::Progress for Bars {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Started { digest, size } => {
                self.begin(Subject::Blob(digest), short(digest), size);
            }
            Event::Received { digest, bytes } => self.add(Subject::Blob(digest), bytes),
            Event::Done { digest } => {
                if let Some((bar, size)) = self.lock().remove(&Subject::Blob(digest)) {
                    bar.done(format_args!("{} {}", short(digest), cli::bytes(size)));
                }
            }
            Event::Known { digest, .. } => {
                self.progress.line(format_args!("{} exists already", short(digest)));
            }
            Event::Mounted { digest, from } => {
                self.progress.line(format_args!("{} comes from {from}", short(digest)));
            }
            Event::Compressing { diff_id, size } => self.compressing(diff_id, size),
            Event::Compressed { diff_id, bytes } => self.compressed(diff_id, bytes),
            Event::CompressedAll { diff_id, size } => self.compressed_all(diff_id, size),
            Event::Mirror { name, reason } => self.progress.line(format_args!(
                "{} does not give it: {reason}; asking the next place",
                name.familiar()
            )),
            Event::Retry { action, reason, pause } => self.progress.line(format_args!(
                "cannot {action}: {reason}; trying again in {}",
                cli::duration(pause)
            )),
            _ => {}
        }
    }
}
