//! A build's events as steps on standard error.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use build::{Event, Progress, StepId};
use cli::ProgressMode;
use dockerfile::Source;
use dockerfile::lint::Finding;

use super::Report;

/// Shows steps as they come.
pub(crate) struct Rendered {
    progress: cli::Progress,
    steps: Mutex<HashMap<StepId, Shown>>,
    findings: Mutex<Vec<String>>,
}

struct Shown {
    step: cli::Step,
    /// The start of a line whose end has not come yet.
    partial: Vec<u8>,
}

/// No line is kept back longer than this.
const MAX_LINE: usize = 16 << 10;

impl Rendered {
    pub(crate) fn new(mode: ProgressMode) -> Self {
        Self {
            progress: cli::Progress::new(mode),
            steps: Mutex::default(),
            findings: Mutex::default(),
        }
    }

    fn steps(&self) -> MutexGuard<'_, HashMap<StepId, Shown>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, id: StepId, end: impl FnOnce(cli::Step)) {
        if let Some(mut shown) = self.steps().remove(&id) {
            shown.flush();
            end(shown.step);
        }
    }
}

impl Report for Rendered {
    fn warn(&self, message: &str) {
        self.progress.warn(message);
    }

    /// Below the steps, as buildx shows it. Nothing when quiet.
    fn show_findings(&self) {
        let findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        let title = match findings.len() {
            0 => return,
            1 => "1 warning found".to_owned(),
            count => format!("{count} warnings found"),
        };
        self.progress.line(format_args!("\n {title} (use --check to expand):"));
        findings.iter().for_each(|finding| self.progress.line(finding));
    }
}

impl Progress for Rendered {
    fn findings(&self, file: &Source, findings: &[Finding]) {
        let shown = |it: &Finding| {
            let Finding { rule, lines, detail, .. } = it;
            format!(" - {}: {detail} ({}:{})", rule.name, file.name(), lines.start)
        };
        let shown = findings.iter().map(shown).collect();
        *self.findings.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    fn event(&self, id: StepId, event: Event<'_>) {
        match event {
            Event::Started { name } => {
                let step = self.progress.step(name);
                self.steps().insert(id, Shown { step, partial: Vec::new() });
            }
            Event::Output { bytes } => {
                if let Some(shown) = self.steps().get_mut(&id) {
                    shown.output(bytes);
                }
            }
            Event::Cached => self.end(id, cli::Step::cached),
            Event::Done { .. } => self.end(id, cli::Step::done),
            Event::Failed { .. } => self.end(id, |step| step.failed("see below")),
            Event::Explained { .. } => {}
            // Dropped, a step counts as canceled.
            _ => self.end(id, drop),
        }
    }
}

impl Shown {
    fn output(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            self.step.log(&String::from_utf8_lossy(&line));
        }
        if self.partial.len() > MAX_LINE {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.partial.is_empty() {
            let line = std::mem::take(&mut self.partial);
            self.step.log(&String::from_utf8_lossy(&line));
        }
    }
}
