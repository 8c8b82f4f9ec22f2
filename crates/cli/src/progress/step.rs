//! One step of a long action.

use std::fmt;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Progress, View};
use crate::human;

/// A step that runs, made by [`Progress::step`].
#[derive(Debug)]
pub struct Step {
    progress: Progress,
    number: u32,
    name: String,
    started: Instant,
    bar: ProgressBar,
    ended: bool,
}

impl Step {
    pub(super) fn start(progress: Progress, number: u32, name: String) -> Self {
        let bar = progress.live(ProgressBar::new_spinner());
        if progress.is_live() {
            bar.set_style(style());
            bar.set_prefix(name.clone());
            bar.tick();
        } else {
            progress.line(format_args!("#{number} {name}"));
        }
        Self { progress, number, name, started: Instant::now(), bar, ended: false }
    }

    /// A line that the step's work printed; a terminal shows the last one only.
    pub fn log(&self, line: &str) {
        let line = line.trim_end_matches(['\r', '\n']);
        match &self.progress.view {
            View::Live(_) => self.bar.set_message(visible(line)),
            View::Plain => {
                let seconds = self.started.elapsed().as_secs_f64();
                self.progress.line(format_args!("#{} {seconds:.3} {line}", self.number));
            }
            View::Quiet => {}
        }
    }

    /// The step is done.
    pub fn done(mut self) {
        let took = human::duration(self.started.elapsed());
        self.end('✔', &format!("DONE {took}"), &took);
    }

    /// There was nothing to do.
    pub fn cached(mut self) {
        self.end('✔', "CACHED", "cached");
    }

    /// The step failed. The error itself is printed by whoever ends the program.
    pub fn failed(mut self, why: impl fmt::Display) {
        self.end('✘', &format!("ERROR: {why}"), "failed");
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn end(&mut self, mark: char, plain: &str, live: &str) {
        self.ended = true;
        self.bar.finish_and_clear();
        if self.progress.is_live() {
            self.progress.line(format_args!(" {mark} {}  {live}", visible(&self.name)));
        } else {
            self.progress.line(format_args!("#{} {plain}", self.number));
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.ended {
            self.end('✘', "CANCELED", "canceled");
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template(" {spinner} {prefix}  {elapsed}  {wide_msg:.dim}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// Output of a step comes from inside an image; a terminal must not obey it.
fn visible(line: &str) -> String {
    let last = line.rsplit('\r').next().unwrap_or(line);
    last.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
