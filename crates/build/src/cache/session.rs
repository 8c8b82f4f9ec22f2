//! The caches of one build: all that it imports before its steps, and exports after them.

use std::collections::BTreeSet;
use std::time::Instant;

use image::{DiffId, Platform};
use store::Store;

use super::export::{Exporter, export};
use super::import::{Importer, import};
use super::{CachePlace, CacheTarget};
use crate::options::BuildOptions;
use crate::solve::Solver;
use crate::{Error, Event, Interrupt, Progress, StepId};

/// The step that shows how caches come and go.
const CACHE: StepId = StepId::PREPARATION;

/// Imports the caches that the build may use. What cannot be had is a warning: a build needs no cache.
pub(crate) fn import_all(
    store: &Store,
    options: &BuildOptions,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<Vec<String>, Error> {
    let mut warnings = Vec::new();
    if options.no_cache {
        return Ok(warnings);
    }
    let platform = options.platforms.first().cloned().unwrap_or_else(Platform::host);
    let importer = Importer { store, puller: &options.puller, platform, interrupt };
    for from in &options.cache_from {
        let name = format!("importing cache from {from}");
        match shown(progress, &name, || import(&importer, from)) {
            Ok(()) => {}
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => warnings.push(format!("no cache from {from}: {}", chain(&error))),
        }
    }
    Ok(warnings)
}

/// Exports the cache to where it is wanted. What may fail and does is a warning.
pub(crate) fn export_all(
    solvers: &[Solver<'_>],
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<Vec<String>, Error> {
    let mut warnings = Vec::new();
    let outside = |target: &&CacheTarget| target.to != CachePlace::Inline;
    let (Some(solver), true) = (solvers.first(), options.cache_to.iter().any(|it| outside(&it)))
    else {
        return Ok(warnings);
    };
    let interrupt: &Interrupt = &solver.interrupt;
    let exporter = Exporter { store: solver.store, pusher: &options.puller, interrupt };
    let result = result(solvers)?;
    for target in options.cache_to.iter().filter(outside) {
        let name = format!("exporting cache to {}", target.to);
        let work = || export(&exporter, target, &solver.collected, &result);
        match shown(progress, &name, work) {
            Err(error) if target.ignore_error && !matches!(error, Error::Interrupted) => {
                warnings.push(format!("no cache at {}: {}", target.to, chain(&error)));
            }
            done => done?,
        }
    }
    Ok(warnings)
}

/// The layers of what was built.
fn result(solvers: &[Solver<'_>]) -> Result<BTreeSet<DiffId>, Error> {
    let mut layers = BTreeSet::new();
    for solver in solvers {
        let target = solver.built(solver.plan.stages.len() - 1)?;
        let files = target.snapshot.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        layers.extend(files.diff_ids());
    }
    Ok(layers)
}

fn shown(
    progress: &dyn Progress,
    name: &str,
    work: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    progress.event(CACHE, Event::Started { name });
    let started = Instant::now();
    let result = work();
    let elapsed = started.elapsed();
    let event = match &result {
        Ok(()) => Event::Done { elapsed },
        Err(Error::Interrupted) => Event::Canceled,
        Err(_) => Event::Failed { elapsed },
    };
    progress.event(CACHE, event);
    result
}

/// An error with its causes, in one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text.replace('\n', " ")
}
