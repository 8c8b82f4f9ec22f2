//! What a build tells the outside while it works. Rendering belongs to the caller.

use std::time::Duration;

use dockerfile::Source;
use dockerfile::lint::Finding;

use crate::Explanation;

/// Names a step within one build: unique, in the order in which steps are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId(pub usize);

impl StepId {
    /// Whether it is no instruction, but something beside them: an image, a context or a cache comes or goes.
    pub fn is_preparation(self) -> bool {
        self >= Self::PREPARATION
    }

    /// The first of those that are no instructions.
    pub(crate) const PREPARATION: Self = Self(usize::MAX - 2);
}

/// Receives a build's events, from several threads at once.
pub trait Progress: Sync {
    /// One event. Must return soon: the build waits for it.
    fn event(&self, step: StepId, event: Event<'_>);

    /// What the Dockerfile's rules say, before any step: at most once.
    fn findings(&self, _file: &Source, _findings: &[Finding]) {}
}

/// What happened to a step. Each step starts once and ends once, as done, cached or failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The step is looked at: `name` is `[builder 2/5] RUN make`.
    Started {
        /// What a person should read.
        name: &'a str,
    },
    /// Whole or partial lines that a `RUN` step wrote, standard output and error in order.
    Output {
        /// The bytes as written, any encoding.
        bytes: &'a [u8],
    },
    /// Why the step is done, and was not found in the cache: once, where that was asked for.
    Explained {
        /// The reasons.
        explanation: &'a Explanation,
    },
    /// The result was taken from the cache.
    Cached,
    /// The step was done now.
    Done {
        /// Time since it started.
        elapsed: Duration,
    },
    /// The step failed; the build's error says why.
    Failed {
        /// Time since it started.
        elapsed: Duration,
    },
    /// A step that nobody needs any more was stopped.
    Canceled,
}

/// Drops every event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: StepId, _: Event<'_>) {}
}
