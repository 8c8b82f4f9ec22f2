//! One stage: its steps in order, each from the cache or done now.

use std::sync::{Mutex, PoisonError};

use image::{History, Platform};

use super::explain::{At, Traced};
use super::{Built, Shown, Snapshot, Solver};
use crate::Error;
use crate::key::Key;
use crate::plan::{Base, From, Operation, Stage, Step};
use crate::record::{self, LayerRef, Record};

/// A stage that is being built.
pub(super) struct Work<'a> {
    pub(super) solver: &'a Solver<'a>,
    pub(super) stage: &'a Stage,
    pub(super) files: Snapshot,
    pub(super) at: At,
    history: Vec<History>,
    /// Of the last step that made or could have made a layer.
    created: Option<String>,
}

/// What a step is found by in the cache.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    /// By how the files that it is put on came about.
    pub(super) own: Key,
    /// By what they are; where that is another key.
    pub(super) same: Option<Key>,
}

/// What doing a step gave.
pub(super) struct Outcome {
    /// How it came about.
    pub(super) traced: Traced,
    /// The layer, perhaps an empty one, with what is in it.
    pub(super) layer: (LayerRef, tree::Changeset),
    /// What the next step is keyed by, where it is not the step's own key.
    pub(super) output: Option<Key>,
}

/// How a step ended.
pub(super) struct Ended {
    record: Record,
    changeset: Option<tree::Changeset>,
    key: Key,
    /// What later steps are keyed by, where that is not the step's own key.
    output: Option<Key>,
    cached: bool,
}

impl Solver<'_> {
    /// Builds a stage.
    pub(super) fn stage(&self, index: usize) -> Result<(), Error> {
        let stage = &self.plan.stages[index];
        let mut work = Work::start(self, stage)?;
        let mut number = usize::from(matches!(stage.base, Base::Image(_)));
        let total = stage.steps.iter().filter(|step| is_work(step)).count() + number;
        if let Base::Image(image) = stage.base {
            let text = format!("FROM {}", self.plan.images[image].name);
            self.show(&self.label(stage, 1, total, &text)).end(Ok(true));
        }
        for step in &stage.steps {
            self.check()?;
            if is_work(step) {
                number += 1;
                work.at.number = number;
                work.at.label = self.label(stage, number, total, &step.text);
                work.step(step)?;
                work.at.before = Some(step.text.clone());
            } else {
                work.configured(step);
            }
        }
        let Work { files, history, .. } = work;
        let built = Built { snapshot: Mutex::new(files.shared()), history };
        self.stages[index].set(built).map_err(|_| Error::internal("a stage was built twice"))
    }
}

impl Solver<'_> {
    /// `[builder 2/5] RUN make`; with several platforms `[linux/amd64->arm64 builder 2/5] RUN make`, that
    /// on which the stage runs first.
    fn label(&self, stage: &Stage, number: usize, total: usize, text: &str) -> String {
        let name = if stage.name.is_empty() { String::new() } else { format!("{} ", stage.name) };
        let platform = match self.several {
            false => String::new(),
            true => route(&stage.platform, &self.plan.platform) + " ",
        };
        format!("[{platform}{name}{number}/{total}] {text}")
    }
}

fn route(stage: &Platform, target: &Platform) -> String {
    let words = target.to_string();
    let rest = match words.split_once('/') {
        Some((os, rest)) if os == stage.os() => rest,
        _ => &words,
    };
    if stage == target { words } else { format!("{stage}->{rest}") }
}

fn is_work(step: &Step) -> bool {
    !matches!(step.operation, Operation::Configure)
}

impl<'a> Work<'a> {
    fn start(solver: &'a Solver<'a>, stage: &'a Stage) -> Result<Self, Error> {
        let lock =
            |files: &Mutex<Snapshot>| files.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (files, history, created) = match stage.base {
            // A context's files are copied below.
            Base::Scratch | Base::Files(_) => (Snapshot::scratch(), Vec::new(), None),
            Base::Stage(index) => {
                let built = solver.built(index)?;
                let created = built.history.last().and_then(|last| last.created.clone());
                (lock(&built.snapshot), built.history.clone(), created)
            }
            Base::Image(index) => {
                let image = &solver.images[index];
                (lock(&image.snapshot), image.history.clone(), image.created.clone())
            }
        };
        let before = match stage.base {
            Base::Stage(index) => Some(format!("stage {}", solver.plan.stages[index].name)),
            _ => None,
        };
        let at = At { before, ..At::default() };
        let mut work = Self { solver, stage, files, at, history, created };
        if let Base::Files(index) = stage.base {
            work.files = work.context_files(From::Named(index), "/")?;
        }
        Ok(work)
    }

    fn configured(&mut self, step: &Step) {
        self.history.push(self.entry(step, self.created.clone(), true));
    }

    fn entry(&self, step: &Step, created: Option<String>, empty_layer: bool) -> History {
        let epoch = self.solver.options.source_date_epoch.map(|_| self.solver.now());
        History {
            created: epoch.or(created),
            created_by: step.created_by.clone(),
            comment: COMMENT.to_owned(),
            empty_layer,
            ..History::default()
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), Error> {
        let shown = self.solver.show(&self.at.label);
        self.at.id = Some(shown.id);
        self.at.text.clone_from(&step.text);
        self.at.line = step.lines.start;
        let result = self.done(step, &shown);
        shown.end(result.as_ref().map(|ended| ended.cached));
        let ended = result.map_err(|error| {
            Error::at(&self.solver.dockerfile.source, step.lines, step.text.clone(), error)
        })?;
        let created = ended.record.created.clone();
        let entry = self.entry(step, Some(created.clone()), false);
        self.history.push(entry);
        self.created = Some(created);
        self.take(ended)
    }

    fn done(&mut self, step: &Step, shown: &Shown<'_>) -> Result<Ended, Error> {
        match &step.operation {
            Operation::Configure => Err(Error::internal("a configuration is no work")),
            Operation::Run(run) => self.run(run, shown),
            Operation::Copy(copy) => self.copy(copy, &mut |bytes| shown.output(bytes)),
            Operation::Workdir { path, owner } => {
                self.workdir(path, owner, &mut |bytes| shown.output(bytes))
            }
        }
    }

    /// The step's result from the cache, unless that is not to be used.
    pub(super) fn cached(&self, key: Key) -> Result<Option<Ended>, Error> {
        let ended = self.look_up(key)?;
        ended.iter().for_each(|ended| self.solver.collected.record(key, &ended.record));
        Ok(ended)
    }

    fn look_up(&self, key: Key) -> Result<Option<Ended>, Error> {
        if self.ignored().is_some() {
            return Ok(None);
        }
        let record = record::get(self.solver.store, &key)?;
        let ended = record.map(|record| Ended::cached(key, record));
        ended.iter().for_each(|ended| self.solver.traces.touch(&ended.own_key()));
        Ok(ended)
    }

    /// The same by one of a step's keys. What is found by the second is found by the first from then on.
    pub(super) fn cached_by(&self, keys: &Keys) -> Result<Option<Ended>, Error> {
        if let Some(ended) = self.cached(keys.own)? {
            return Ok(Some(ended));
        }
        let Some(same) = keys.same else { return Ok(None) };
        let ended = self.look_up(same)?;
        if let Some(ended) = &ended {
            self.solver.keep(keys.own, &ended.by_content())?;
        }
        Ok(ended)
    }

    /// A step's keys, from its key on files that have a key.
    pub(super) fn keys(&self, key: impl Fn(Key) -> Key) -> Keys {
        let own = key(self.files.key);
        Keys { own, same: Some(key(self.files.content_key())).filter(|same| *same != own) }
    }

    /// Remembers what doing a step gave, under the step's keys. Where another stage or build has done
    /// the same meanwhile, its result counts: one key, one result, one digest.
    pub(super) fn remember(&self, keys: Keys, outcome: Outcome) -> Result<Ended, Error> {
        let Keys { own: key, same } = keys;
        let (layer, changeset) = outcome.layer;
        let ours = Record { layer, created: self.solver.now(), content: None };
        let mut records = self.solver.records.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match records.get(&key) {
            Some(record) => Some(record.clone()),
            None if self.ignored().is_some() => None,
            None => record::get(self.solver.store, &key)?,
        };
        if known.is_none() {
            record::put(self.solver.store, &key, &ours)?;
            outcome.traced.keep(self.solver);
        }
        let is_ours = known.as_ref().is_none_or(|record| record.layer == ours.layer);
        let changeset = is_ours.then_some(changeset);
        let record = known.unwrap_or(ours);
        self.solver.collected.record(key, &record);
        records.insert(key, record.clone());
        let ended = Ended { record, changeset, key, output: outcome.output, cached: false };
        if let Some(same) = same {
            record::put(self.solver.store, &same, &ended.by_content())?;
        }
        Ok(ended)
    }

    /// What another stage of this build has made of the same step.
    pub(super) fn done_before(&self, key: Key) -> Option<Ended> {
        let records = self.solver.records.lock().unwrap_or_else(PoisonError::into_inner);
        let record = records.get(&key)?.clone();
        Some(Ended::cached(key, record))
    }
}

impl Work<'_> {
    /// A stage of no files at all, to make files for a mount.
    pub(super) fn on_nothing(&self) -> Work<'_> {
        Work {
            solver: self.solver,
            stage: self.stage,
            files: Snapshot::scratch(),
            at: At::default(),
            history: Vec::new(),
            created: None,
        }
    }

    /// Takes on what a step gave.
    pub(super) fn take(&mut self, ended: Ended) -> Result<(), Error> {
        self.files.key = ended.output.unwrap_or(ended.own_key());
        self.files.push(ended.record.layer, ended.changeset.as_ref())
    }
}

impl Ended {
    fn cached(key: Key, record: Record) -> Self {
        Self { record, changeset: None, key, output: None, cached: true }
    }

    /// The step's key: by content, for a copy that was found by the stage it reads.
    pub(super) fn own_key(&self) -> Key {
        self.record.content.unwrap_or(self.key)
    }

    /// The same result, to be found under another key.
    pub(super) fn by_content(&self) -> Record {
        Record { content: Some(self.own_key()), ..self.record.clone() }
    }

    /// The same result, followed by steps with this key.
    pub(super) fn with_output(mut self, output: Option<Key>) -> Self {
        self.output = output;
        self
    }
}

/// What BuildKit writes as a history entry's comment; tools tell its images by it.
const COMMENT: &str = "buildkit.dockerfile.v0";
