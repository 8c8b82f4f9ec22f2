//! What is kept of how a step came about, and what is said of why it was done.

use std::collections::BTreeSet;

use dockerfile::{Dockerfile, Kind};

use super::Solver;
use super::stage::Work;
use crate::explain::{self, BaseImage, Explanation, Place, Reason, Table, Trace};
use crate::key::{Fields, Key};
use crate::plan::{Base, Stage};
use crate::{Event, StepId};

/// The step at hand, as a person sees it.
#[derive(Clone, Default)]
pub(super) struct At {
    pub(super) id: Option<StepId>,
    pub(super) label: String,
    pub(super) text: String,
    pub(super) line: usize,
    pub(super) number: usize,
    /// What it is put on: the step before, or the stage that this one starts from.
    pub(super) before: Option<String>,
}

/// How a step that is being done came about.
pub(super) struct Traced {
    pub(super) trace: Trace,
    table: Option<Table>,
}

impl Traced {
    /// Keeps it, once the step is done.
    pub(super) fn keep(&self, solver: &Solver<'_>) {
        solver.traces.put(&self.trace, self.table.as_ref());
    }
}

impl Work<'_> {
    /// The step was not found in the cache: says why, where that is wanted.
    pub(super) fn missed(&self, key: Key, fields: Fields, table: Option<Table>) -> Traced {
        let traced = Traced { trace: Trace::new(key, fields, self.place()), table };
        if let Some(id) = self.at.id.filter(|_| self.solver.options.explain) {
            let reasons = self.reasons(&traced);
            let explanation = Explanation {
                step: self.at.label.clone(),
                stage: self.stage.name.clone(),
                line: self.at.line,
                instruction: self.at.text.clone(),
                why: Explanation::line(&reasons),
                reasons,
            };
            self.solver.progress.event(id, Event::Explained { explanation: &explanation });
        }
        traced
    }

    /// Why the cache is not to be used, where it is not.
    pub(super) fn ignored(&self) -> Option<Reason> {
        let options = self.solver.options;
        if options.no_cache {
            return Some(Reason::NoCache);
        }
        let name = self.solver.own_name(self.stage)?;
        let named = options.no_cache_filter.iter().any(|other| other.eq_ignore_ascii_case(name));
        named.then(|| Reason::NoCacheFilter { stage: name.to_owned() })
    }

    fn reasons(&self, traced: &Traced) -> Vec<Reason> {
        let Traced { trace, table } = traced;
        let traces = &self.solver.traces;
        if let Some(reason) = self.ignored() {
            return vec![reason];
        }
        if traces.has(&trace.key) {
            return vec![Reason::Collected];
        }
        let Some(nearest) = explain::nearest(trace, self.solver.earlier()) else {
            return vec![Reason::New];
        };
        let arguments = arguments(self.solver.dockerfile);
        let names = explain::Names { arguments: &arguments, before: self.at.before.as_deref() };
        let find = |key: &str| traces.table(key);
        let reasons = explain::compare(trace, nearest, table.as_ref(), &names, &find);
        if reasons.is_empty() { vec![Reason::New] } else { reasons }
    }

    fn place(&self) -> Place {
        Place {
            context: self.solver.contexts.main().source().place(),
            stage: self.stage.name.clone(),
            number: self.at.number,
            text: self.at.text.clone(),
            base: self.solver.base_image(self.stage),
        }
    }
}

impl Solver<'_> {
    /// What earlier builds left, read when first asked.
    fn earlier(&self) -> &[Trace] {
        self.earlier.get_or_init(|| self.traces.all())
    }

    /// The stage's name in the Dockerfile; the plan's is none where there is one stage only.
    fn own_name(&self, stage: &Stage) -> Option<&str> {
        let own = |other: &&dockerfile::Stage| other.lines == stage.lines;
        self.dockerfile.stages.iter().find(own)?.name.as_deref()
    }

    /// The image at the bottom of a stage.
    fn base_image(&self, stage: &Stage) -> Option<BaseImage> {
        match stage.base {
            Base::Scratch | Base::Files(_) => None,
            Base::Stage(index) => self.base_image(&self.plan.stages[index]),
            Base::Image(index) => Some(BaseImage {
                name: self.plan.images[index].name.clone(),
                digest: self.images[index].digest.to_string(),
            }),
        }
    }
}

/// The names that `ARG` declares, anywhere.
fn arguments(dockerfile: &Dockerfile) -> BTreeSet<String> {
    let instructions = dockerfile.stages.iter().flat_map(|stage| &stage.instructions);
    let declared = instructions.filter_map(|it| match &it.kind {
        Kind::Arg(arguments) => Some(arguments),
        _ => None,
    });
    declared.flatten().chain(&dockerfile.global_args).map(|arg| arg.name.clone()).collect()
}
