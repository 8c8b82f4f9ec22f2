//! What a long action is doing: live lines on a terminal, plain lines elsewhere, on standard error.
//!
//! ```text
//! terminal:  ⠹ [2/5] RUN apt-get update   3.2s  Reading package lists...
//! pipe:      #2 [2/5] RUN apt-get update
//!            #2 3.214 Reading package lists...
//!            #2 DONE 3.4s
//! ```
//!
//! Steps may run side by side in several threads.

mod bar;
mod step;

use std::fmt;
use std::io::IsTerminal as _;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

pub use bar::{Bar, Counted};
pub use step::Step;

use crate::output;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ProgressMode {
    /// Live where standard error is a terminal, plain elsewhere.
    #[default]
    Auto,
    /// One line per event.
    Plain,
    /// Live lines, whatever standard error is.
    Terminal,
    /// Nothing.
    Quiet,
}

/// The names that docker build takes for `--progress`; `rawjson` is the builder's own.
impl FromStr for ProgressMode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Self::Auto),
            "plain" => Ok(Self::Plain),
            "tty" => Ok(Self::Terminal),
            "quiet" | "none" => Ok(Self::Quiet),
            _ => {
                Err(format!("unknown kind of progress `{name}`: known are auto, plain, tty, quiet"))
            }
        }
    }
}

/// Shows steps and bars. Clones show in the same place.
#[derive(Clone, Debug)]
pub struct Progress {
    view: View,
    steps: Arc<AtomicU32>,
}

#[derive(Clone, Debug)]
enum View {
    Quiet,
    Plain,
    Live(MultiProgress),
}

impl Progress {
    /// Progress on standard error.
    pub fn new(mode: ProgressMode) -> Self {
        let live = match mode {
            ProgressMode::Auto => std::io::stderr().is_terminal(),
            ProgressMode::Terminal => true,
            ProgressMode::Plain | ProgressMode::Quiet => false,
        };
        let view = match (mode, live) {
            (ProgressMode::Quiet, _) => View::Quiet,
            (_, true) => View::Live(MultiProgress::with_draw_target(ProgressDrawTarget::stderr())),
            (_, false) => View::Plain,
        };
        Self { view, steps: Arc::default() }
    }

    /// Whether lines are redrawn in place.
    pub fn is_live(&self) -> bool {
        matches!(self.view, View::Live(_))
    }

    /// Starts a step. End it with one of its methods; dropped without, it counts as failed.
    pub fn step(&self, name: impl fmt::Display) -> Step {
        Step::start(self.clone(), self.steps.fetch_add(1, Ordering::Relaxed) + 1, name.to_string())
    }

    /// Starts a bar that counts bytes, towards a total where it is known. Plain progress shows
    /// where it is every ten seconds.
    pub fn bytes(&self, name: impl fmt::Display, total: Option<u64>) -> Bar {
        Bar::start(self.clone(), name.to_string(), total)
    }

    /// Prints a line above what is live. Nothing when quiet.
    pub fn line(&self, line: impl fmt::Display) {
        match &self.view {
            View::Quiet => {}
            View::Plain => output::to_stderr(&format!("{line}\n")),
            View::Live(view) => view.suspend(|| output::to_stderr(&format!("{line}\n"))),
        }
    }

    /// Prints a warning above what is live, when quiet too.
    pub fn warn(&self, message: impl fmt::Display) {
        match &self.view {
            View::Live(view) => view.suspend(|| output::warn(message)),
            View::Quiet | View::Plain => output::warn(message),
        }
    }

    fn live(&self, bar: ProgressBar) -> ProgressBar {
        match &self.view {
            View::Live(view) => {
                let bar = view.add(bar);
                bar.enable_steady_tick(Duration::from_millis(100));
                bar
            }
            View::Quiet | View::Plain => ProgressBar::hidden(),
        }
    }
}
