//! `--explain`: why steps were done, after the steps, as text or as JSON.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use build::{Event, Explanation, Progress, StepId};
use clap::ValueEnum;
use dockerfile::Source;
use dockerfile::lint::Finding;
use serde::Serialize;

/// `--explain`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Explain {
    /// A line for each step that was done.
    Text,
    /// One line: an object.
    Json,
}

/// Passes all events on, and keeps what explains them.
pub(crate) struct Explained<'a> {
    report: &'a dyn Progress,
    cached: AtomicUsize,
    done: AtomicUsize,
    explanations: Mutex<Vec<(StepId, Explanation)>>,
}

/// What `--explain=json` prints, as one line on standard error, and `--metadata-file` has as `tare.explain`.
///
/// ```json
/// {"cached": 2, "done": 1, "steps": [{"step": "[3/3] RUN make", "why": "follows COPY src/ /src", …}]}
/// ```
#[derive(Debug, Serialize)]
pub(crate) struct Explanations {
    /// How many steps the cache gave.
    cached: usize,
    /// How many were done, or failed.
    done: usize,
    /// Those, in the order in which they were met.
    steps: Vec<Explanation>,
}

impl<'a> Explained<'a> {
    pub(crate) fn new(report: &'a dyn Progress) -> Self {
        let (cached, done) = Default::default();
        Self { report, cached, done, explanations: Mutex::default() }
    }

    /// Prints it on standard error.
    pub(crate) fn show(&self, how: Explain) -> anyhow::Result<()> {
        let all = self.explanations();
        cli::note(match how {
            Explain::Json => serde_json::to_string(&all)?,
            Explain::Text => text(&all),
        });
        Ok(())
    }

    /// All that there is to explain.
    pub(crate) fn explanations(&self) -> Explanations {
        let mut all = self.explanations.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.sort_by_key(|(id, _)| *id);
        Explanations {
            cached: self.cached.load(Ordering::Relaxed),
            done: self.done.load(Ordering::Relaxed),
            steps: all.into_iter().map(|(_, it)| it).collect(),
        }
    }
}

fn text(all: &Explanations) -> String {
    let Explanations { cached, done, steps } = all;
    if *done == 0 {
        return format!("all {cached} steps cached");
    }
    let head = format!("{done} of {} steps not cached:", cached + done);
    steps.iter().fold(head, |text, step| format!("{text}\n - {}", visible(&step.to_string())))
}

/// Names of files and instructions are a stranger's; a terminal must not obey them.
fn visible(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl Progress for Explained<'_> {
    fn event(&self, id: StepId, event: Event<'_>) {
        match &event {
            Event::Explained { explanation } => {
                let mut all = self.explanations.lock().unwrap_or_else(PoisonError::into_inner);
                all.push((id, (*explanation).clone()));
            }
            Event::Cached if !id.is_preparation() => {
                self.cached.fetch_add(1, Ordering::Relaxed);
            }
            Event::Done { .. } | Event::Failed { .. } if !id.is_preparation() => {
                self.done.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        self.report.event(id, event);
    }

    fn findings(&self, file: &Source, findings: &[Finding]) {
        self.report.findings(file, findings);
    }
}
