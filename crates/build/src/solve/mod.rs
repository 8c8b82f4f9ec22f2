//! Doing what was planned: stages side by side, each step from the cache where that is possible.
//!
//! ```text
//! schedule   a thread for each stage whose needs are met
//! stage      its steps in order: look up the key, else do it and remember it
//! run        RUN: mount, start the runtime program, capture
//! copy       COPY, ADD, WORKDIR: files to a layer, without any mount
//! remote     ADD: what is fetched
//! explain    what is kept of a step that was done, and why it was
//! ```
//!
//! Nothing is read, folded or mounted before a step needs it: when every step is in the cache, the
//! records are all that is looked at.

mod agents;
mod caches;
mod container;
mod copy;
mod explain;
mod foreign;
mod mounts;
mod network;
mod remote;
mod run;
mod schedule;
mod secrets;
mod snapshot;
mod stage;

use std::collections::HashMap;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use dockerfile::Dockerfile;
use image::{DateTime, Digest, History};
use rootfs::Driver;
use store::Store;

pub(crate) use schedule::solve;
pub(crate) use snapshot::Snapshot;

use crate::agent::KeyAgent;
use crate::cache::{CachePlace, Collected};
use crate::context::{Context, Contexts};
use crate::explain::Traces;
use crate::key::Key;
use crate::materials::Materials;
use crate::options::BuildOptions;
use crate::own_network::OwnNetwork;
use crate::plan::{From, Plan};
use crate::record::{self, LayerRef, Record};
use crate::scratch::Scratch;
use crate::{Error, Event, Interrupt, Progress, Runner, StepId};

/// What all steps of a build share, whatever platform they are for.
pub(crate) struct Session<'a> {
    pub(crate) store: &'a Store,
    pub(crate) options: &'a BuildOptions,
    pub(crate) dockerfile: &'a Dockerfile,
    pub(crate) contexts: &'a Contexts<'a>,
    /// What was taken from elsewhere.
    pub(crate) materials: &'a Materials,
    pub(crate) runner: &'a dyn Runner,
    pub(crate) progress: &'a dyn Progress,
    /// Set by the user, or when a stage has failed.
    pub(crate) interrupt: Interrupt,
    steps: AtomicUsize,
    driver: OnceLock<Driver>,
    /// Of an ordinary user's commands. It has files in `scratch`, and goes before.
    own_network: Mutex<Option<Option<OwnNetwork>>>,
    scratch: Mutex<Option<Arc<Scratch>>>,
    /// The layer of steps that changed nothing, once there is one.
    empty: Mutex<Option<LayerRef>>,
    /// What the steps of this build gave.
    records: Mutex<HashMap<Key, Record>>,
    /// What its steps are found by.
    pub(crate) collected: Collected,
    /// How the steps of earlier builds came about.
    pub(crate) traces: Traces,
    earlier: OnceLock<Vec<crate::explain::Trace>>,
    /// For each command: held by the stage that runs it.
    turns: Mutex<HashMap<Key, Arc<Mutex<()>>>>,
    /// Agents that were started for key files, by their ids.
    key_agents: Mutex<HashMap<String, KeyAgent>>,
    warnings: Mutex<Vec<String>>,
}

/// The build for one platform.
pub(crate) struct Solver<'a> {
    session: &'a Session<'a>,
    pub(crate) plan: &'a Plan,
    pub(crate) images: Vec<Image>,
    /// Whether steps are to say which platform they are for.
    several: bool,
    stages: Vec<OnceLock<Built>>,
}

/// Most of what a step needs is the session's.
impl<'a> Deref for Solver<'a> {
    type Target = Session<'a>;

    fn deref(&self) -> &Session<'a> {
        self.session
    }
}

/// An image that the build starts or copies from.
pub(crate) struct Image {
    /// Of its manifest.
    pub(crate) digest: Digest,
    /// Of what its name stands for: the manifest, or an index.
    pub(crate) named: Digest,
    pub(crate) snapshot: Mutex<Snapshot>,
    pub(crate) history: Vec<History>,
    pub(crate) created: Option<String>,
}

/// A stage that was built.
pub(crate) struct Built {
    pub(crate) snapshot: Mutex<Snapshot>,
    pub(crate) history: Vec<History>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        store: &'a Store,
        options: &'a BuildOptions,
        (contexts, dockerfile, materials): (&'a Contexts<'a>, &'a Dockerfile, &'a Materials),
        runner: &'a dyn Runner,
        progress: &'a dyn Progress,
        interrupt: &Interrupt,
    ) -> Self {
        Self {
            store,
            options,
            dockerfile,
            contexts,
            materials,
            runner,
            progress,
            interrupt: interrupt.child(),
            steps: AtomicUsize::new(0),
            driver: OnceLock::new(),
            own_network: Mutex::default(),
            scratch: Mutex::new(None),
            empty: Mutex::default(),
            records: Mutex::default(),
            collected: Collected::default(),
            traces: Traces::at(store.build_dir().join("traces")),
            earlier: OnceLock::new(),
            turns: Mutex::default(),
            key_agents: Mutex::default(),
            warnings: Mutex::default(),
        }
    }

    /// Two stages that run the same command on the same files take turns: the second finds it done.
    pub(crate) fn turn(&self, key: Key) -> Arc<Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry(key).or_default().clone()
    }

    pub(crate) fn driver(&self) -> Driver {
        let probe = || Driver::probe(&self.store.build_dir()).0;
        *self.driver.get_or_init(|| self.options.driver.unwrap_or_else(probe))
    }

    /// The build's working directory, made when first needed.
    pub(crate) fn scratch(&self) -> Result<Arc<Scratch>, Error> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scratch) = &*scratch {
            return Ok(scratch.clone());
        }
        let made = Scratch::new(&self.temporary())?;
        let made = Arc::new(made.guarded(self.options.guard.as_deref(), self.runner));
        let hostname = crate::plan::hostname(&self.options.build_args);
        network::write(made.path(), hostname, &self.options.hosts)?;
        *scratch = Some(made.clone());
        Ok(made)
    }

    /// The network namespace of an ordinary user's commands, made when first needed; `None` where they have the
    /// host's.
    pub(crate) fn own_network(&self) -> Result<Option<PathBuf>, Error> {
        let scratch = self.scratch()?;
        let mut network = self.own_network.lock().unwrap_or_else(PoisonError::into_inner);
        if network.is_none() {
            *network = Some(network::start_own(scratch.path())?);
        }
        Ok(network.as_ref().and_then(Option::as_ref).map(OwnNetwork::path))
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.store.build_dir().join("tmp")
    }

    /// The time that results of now are from.
    pub(crate) fn now(&self) -> String {
        let now = || DateTime::from(std::time::SystemTime::now());
        let epoch = |seconds| DateTime::new(seconds, 0);
        self.options.source_date_epoch.map_or_else(now, epoch).to_string()
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.interrupt.check()
    }

    /// Remembers a step's result, in the store and in the caches that are taken along.
    pub(crate) fn keep(&self, key: Key, record: &Record) -> Result<(), Error> {
        self.collected.record(key, record);
        record::put(self.store, &key, record)
    }

    /// Keeps what the user should know, and what is no error.
    pub(crate) fn warn(&self, said: String) {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(said);
    }

    /// What was said so.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Announces a step; end it with [`Shown::end`].
    pub(crate) fn show(&self, name: &str) -> Shown<'_> {
        let id = StepId(self.steps.fetch_add(1, Ordering::Relaxed));
        self.progress.event(id, Event::Started { name });
        Shown { progress: self.progress, id, started: Instant::now() }
    }
}

impl<'a> Solver<'a> {
    /// The build of a plan, one of several or the only one, from these images.
    pub(crate) fn new(
        session: &'a Session<'a>,
        plan: &'a Plan,
        images: Vec<Image>,
        several: bool,
    ) -> Self {
        let stages = plan.stages.iter().map(|_| OnceLock::new()).collect();
        Self { session, plan, images, several, stages }
    }

    /// Whether the image is to have its cache in it: `--cache-to type=inline`, `BUILDKIT_INLINE_CACHE`.
    pub(crate) fn wants_inline_cache(&self) -> bool {
        let inline = self.options.cache_to.iter().any(|target| target.to == CachePlace::Inline);
        inline || self.plan.wants_inline_cache
    }

    /// The stage, which was built before.
    pub(crate) fn built(&self, index: usize) -> Result<&Built, Error> {
        self.stages[index]
            .get()
            .ok_or_else(|| Error::internal("a stage was read before it was built"))
    }

    /// A copy of the files of a stage or image, which share their tree. `None` for a context.
    pub(crate) fn files(&self, from: From) -> Result<Option<Snapshot>, Error> {
        let lock = |snapshot: &Mutex<Snapshot>| {
            let mut files = snapshot.lock().unwrap_or_else(PoisonError::into_inner);
            // Folded under the lock, once for all that copy from it.
            files.tree(self.store)?;
            Ok::<_, Error>(files.clone())
        };
        match from {
            From::Context | From::Named(_) => Ok(None),
            From::Stage(index) => lock(&self.built(index)?.snapshot).map(Some),
            From::Image(index) => lock(&self.images[index].snapshot).map(Some),
        }
    }

    /// The context that a copy reads from.
    pub(crate) fn context_of(&self, from: From) -> Result<&Context, Error> {
        match from {
            From::Named(index) => self.contexts.named(index),
            _ => Ok(self.contexts.main()),
        }
    }

    /// The key of what a copy reads from; the context has none, its files are looked at.
    pub(crate) fn files_key(&self, from: From) -> Result<Option<Key>, Error> {
        let key = |snapshot: &Mutex<Snapshot>| {
            snapshot.lock().unwrap_or_else(PoisonError::into_inner).key
        };
        Ok(match from {
            From::Context | From::Named(_) => None,
            From::Stage(index) => Some(key(&self.built(index)?.snapshot)),
            From::Image(index) => Some(key(&self.images[index].snapshot)),
        })
    }

    /// What to call a source in an error.
    pub(crate) fn files_name(&self, from: From) -> String {
        match from {
            From::Context | From::Named(_) => "the build context".to_owned(),
            From::Stage(index) => format!("stage {}", self.plan.stages[index].name),
            From::Image(index) => format!("image {}", self.plan.images[index].name),
        }
    }
}

/// A step that was announced.
pub(crate) struct Shown<'a> {
    progress: &'a dyn Progress,
    pub(crate) id: StepId,
    started: Instant,
}

impl Shown<'_> {
    pub(crate) fn output(&self, bytes: &[u8]) {
        self.progress.event(self.id, Event::Output { bytes });
    }

    /// Says how it ended: `Ok(true)` from the cache.
    pub(crate) fn end(self, result: Result<bool, &Error>) {
        let elapsed = self.started.elapsed();
        self.progress.event(
            self.id,
            match result {
                Ok(true) => Event::Cached,
                Ok(false) => Event::Done { elapsed },
                Err(Error::Interrupted) => Event::Canceled,
                Err(_) => Event::Failed { elapsed },
            },
        );
    }
}
