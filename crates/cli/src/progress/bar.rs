//! Bytes that pass: how many, how fast, how long still.

use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::Progress;
use crate::human;

/// How often plain progress speaks.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// A counter of bytes, made by [`Progress::bytes`]. Dropped, it goes away.
#[derive(Debug)]
pub struct Bar {
    progress: Progress,
    name: String,
    bar: ProgressBar,
    started: Instant,
    plain: Mutex<Plain>,
}

#[derive(Debug)]
struct Plain {
    bytes: u64,
    total: Option<u64>,
    spoke: Instant,
}

impl Bar {
    pub(super) fn start(progress: Progress, name: String, total: Option<u64>) -> Self {
        let bar = progress.live(total.map_or_else(ProgressBar::new_spinner, ProgressBar::new));
        bar.set_style(style(total.is_some()));
        bar.set_prefix(name.clone());
        let started = Instant::now();
        let plain = Mutex::new(Plain { bytes: 0, total, spoke: started });
        Self { progress, name, bar, started, plain }
    }

    /// Counts bytes that passed.
    pub fn add(&self, bytes: u64) {
        if self.progress.is_live() {
            return self.bar.inc(bytes);
        }
        let mut plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        plain.bytes += bytes;
        if plain.spoke.elapsed() >= PLAIN_INTERVAL {
            plain.spoke = Instant::now();
            self.progress.line(self.plain_line(&plain));
        }
    }

    /// The bytes have all passed: a line says how many and how long it took.
    pub fn done(self, what: impl std::fmt::Display) {
        self.bar.finish_and_clear();
        self.progress.line(format_args!("{what} ({})", human::duration(self.started.elapsed())));
    }

    /// A reader that counts what is read through it.
    pub fn reader<R: Read>(&self, inner: R) -> Counted<'_, R> {
        Counted { bar: self, inner }
    }

    /// A writer that counts what is written through it.
    pub fn writer<W: Write>(&self, inner: W) -> Counted<'_, W> {
        Counted { bar: self, inner }
    }

    fn plain_line(&self, plain: &Plain) -> String {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let speed = human::bytes((plain.bytes as f64 / seconds) as u64);
        let bytes = human::bytes(plain.bytes);
        match plain.total {
            Some(total) => format!("{} {bytes}/{} {speed}/s", self.name, human::bytes(total)),
            None => format!("{} {bytes} {speed}/s", self.name),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Counts what passes through a reader or writer.
#[derive(Debug)]
pub struct Counted<'a, T> {
    bar: &'a Bar,
    inner: T,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.bar.add(count as u64);
        Ok(count)
    }
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buf)?;
        self.bar.add(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn style(total_known: bool) -> ProgressStyle {
    let template = if total_known {
        " {prefix} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}"
    } else {
        " {spinner} {prefix} {decimal_bytes} {decimal_bytes_per_sec} {elapsed}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
