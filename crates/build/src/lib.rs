//! Dockerfile to image: what there is to do ([`plan`]), and doing it with as little as possible.
//!
//! ```text
//! Dockerfile, arguments ──plan──▶ stages of steps, variables expanded           pure
//!                                   │
//!     context, base images ──solve──┴─▶ layers, from the cache or made now       threads, files, mounts
//!                                   │
//!                                   └─▶ configuration, manifest, tags in the store
//! ```
//!
//! Nothing is unpacked. `COPY` streams files into a layer's tar, `COPY --from` copies ranges of bytes
//! between tars, and only `RUN` mounts something: the layers so far, as they are, under an overlay.
//! A step's result is remembered under a key that defines it ([`key`]); a step whose key is known is
//! not done again, and then none of its inputs but the file times of the context is looked at.
//!
//! A build that fails, or is interrupted, leaves no tag, no mount, no process and no temporary file.
//! What one leaves that is killed is ended by its guard ([`clean_up`]), or else by the next build.

mod agent;
mod annotations;
mod attesting;
mod cache;
mod check;
mod context;
mod copy;
mod error;
mod explain;
mod fetch;
mod git;
mod guard;
mod hold;
mod images;
mod inputs;
mod interrupt;
pub mod key;
mod leftover;
mod materials;
mod names;
mod options;
mod own_network;
pub mod plan;
mod program;
mod progress;
mod record;
mod result;
mod runner;
mod scratch;
mod solve;
mod source;

use dockerfile::Dockerfile;
use dockerfile::lint::Options;
use image::{Digest, Platform};
use store::{Holder, Store};

pub use ::attest::provenance::{Mode as ProvenanceMode, Version as ProvenanceVersion};
pub use attesting::{Attestation, Attesting, ProvenanceOptions};
pub use cache::{CachePlace, CacheSource, CacheTarget};
pub use check::{Checked, check, refuse, rules as check_options};
pub use error::Error;
pub use explain::{Change, Explanation, Reason};
pub use interrupt::Interrupt;
pub use options::{
    AgentSource, Annotation, AnnotationTarget, BuildOptions, ContextSource, DockerfileSource,
    GitProgram, Host, Inputs, NamedSource, SecretValue, Volume,
};
pub use progress::{Event, Progress, Silent, StepId};
pub use result::BuiltImage;
pub use rootfs::Driver;
pub use runner::{ProgramRunner, Runner};
pub use scratch::clean_up;

use attesting::About;
use context::{Context, Contexts, Opener};
use images::Images;
use materials::Materials;
use plan::{Examined, Plan};
use solve::{Session, Solver};

/// Builds an image into the store and gives it its tags.
///
/// # Errors
/// Anything that stops the build. The store then has no new image, only records of the steps that
/// were done; no mount, process or file of the build is left.
pub fn build(
    store: &Store,
    inputs: Inputs,
    options: &BuildOptions,
    runner: &dyn Runner,
    progress: &dyn Progress,
    interrupt: &Interrupt,
) -> Result<BuiltImage, Error> {
    // From here on gc leaves what this build finds in the cache.
    let _at_work = store.lease(&[], Holder::Process)?;
    scratch::sweep(&store.build_dir().join("tmp"), runner);
    scratch::sweep_spool(&store.build_dir().join("spool"));
    let Inputs { dockerfile, context, named } = inputs;
    let dockerfile_at_hand = matches!(dockerfile, DockerfileSource::Text { .. });
    let about = About::beginning(&context, dockerfile_at_hand);
    let materials = Materials::default();
    let opener = opener(store, options, progress, interrupt, &materials);
    let (context, dockerfile) = opener.open(context, dockerfile)?;
    let meanings = meanings(&named);
    let named = named.into_iter().map(|(_, source)| source).collect();
    let contexts = Contexts::new(context, named, opener);
    let rules = check::rules(&dockerfile.directives, &dockerfile.source, &options.build_args)?;
    let mut works = Vec::new();
    for platform in platforms(options) {
        // What there is to say is said once.
        let rules = works.is_empty().then_some(&rules);
        let settings = settings(options, platform, contexts.main(), &meanings);
        works.push(Work::plan(store, &dockerfile, &settings, options, progress, rules)?);
    }
    let manifests: Vec<Digest> = works.iter().flat_map(|work| work.manifests.clone()).collect();
    let lease = store.lease(&manifests, Holder::Process)?;
    let mut said = cache::import_all(store, options, progress, interrupt)?;
    let sources = (&contexts, &dockerfile, &materials);
    let session = Session::new(store, options, sources, runner, progress, interrupt);
    let several = works.len() > 1;
    let (plans, images): (Vec<_>, Vec<_>) =
        works.into_iter().map(|work| (work.plan, work.images)).unzip();
    let solvers: Vec<Solver<'_>> = plans
        .iter()
        .zip(images)
        .map(|(plan, images)| Solver::new(&session, plan, images, several))
        .collect();
    let solved = solve::solve(&solvers);
    contexts.save();
    session.traces.prune();
    solved?;
    let mut image = finish(&solvers, options, &about)?;
    said.extend(cache::export_all(&solvers, options, progress)?);
    drop(lease);
    image.warnings = warnings(&plans[0]).chain(said).chain(session.warnings()).collect();
    Ok(image)
}

/// What opens the contexts of a build.
fn opener<'a>(
    store: &'a Store,
    options: &'a BuildOptions,
    progress: &'a dyn Progress,
    interrupt: &'a Interrupt,
    materials: &'a Materials,
) -> Opener<'a> {
    Opener {
        materials,
        store,
        fetcher: &options.puller,
        git: &options.git,
        keep_git_dir: keeps_git_dir(options),
        progress,
        interrupt,
    }
}

/// BuildKit's own build argument for contexts that are repositories.
fn keeps_git_dir(options: &BuildOptions) -> bool {
    let value = options.build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR");
    value.is_some_and(|value| dockerfile::truth(value) == Some(true))
}

/// What the names of contexts stand for in the plan.
fn meanings(named: &[(String, NamedSource)]) -> plan::NamedContexts {
    let mut contexts = plan::NamedContexts::default();
    for (index, (name, source)) in named.iter().enumerate() {
        let meaning = match source {
            NamedSource::Image(image) => plan::Named::Image(image.clone()),
            _ => plan::Named::Files(index),
        };
        contexts.insert(name, meaning);
    }
    contexts
}

/// The platforms to build for: each once, at least one. `None` is this machine's.
fn platforms(options: &BuildOptions) -> Vec<Option<Platform>> {
    let mut platforms: Vec<Option<Platform>> = Vec::new();
    for platform in options.platforms.iter().cloned().map(Some) {
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    if platforms.is_empty() { vec![None] } else { platforms }
}

/// What is to be done for one platform.
struct Work {
    plan: Plan,
    images: Vec<solve::Image>,
    /// Of the images, to be kept while the build runs.
    manifests: Vec<Digest>,
}

impl Work {
    fn plan(
        store: &Store,
        dockerfile: &Dockerfile,
        settings: &plan::Settings,
        options: &BuildOptions,
        progress: &dyn Progress,
        rules: Option<&Options>,
    ) -> Result<Self, Error> {
        let mut images = Images {
            store,
            puller: &options.puller,
            always_pull: options.pull,
            progress,
            found: Vec::new(),
            manifests: Vec::new(),
        };
        let Examined { plan, findings } = plan::examine(dockerfile, settings, &mut images);
        let findings = rules.map(|rules| (rules, rules.filter(findings)));
        findings.iter().for_each(|(_, found)| progress.findings(&dockerfile.source, found));
        let plan = plan?;
        findings.iter().try_for_each(|(rules, found)| check::refuse(rules, found))?;
        let Images { found, manifests, .. } = images;
        Ok(Self { plan, images: found, manifests })
    }
}

fn settings(
    options: &BuildOptions,
    platform: Option<Platform>,
    context: &Context,
    contexts: &plan::NamedContexts,
) -> plan::Settings {
    plan::Settings {
        contexts: contexts.clone(),
        build_args: options.build_args.clone(),
        target: options.target.clone(),
        platform,
        host: Platform::host(),
        network: options.network,
        labels: options.labels.clone(),
        allow: options.allow,
        ignored: context.ignored(),
        check: false,
    }
}

/// Writes the image, or the images and their index, and names it.
fn finish(
    solvers: &[Solver<'_>],
    options: &BuildOptions,
    about: &About,
) -> Result<BuiltImage, Error> {
    let store = solvers[0].store;
    let image = match solvers {
        [solver] if !options.multi_platform && !options.attesting.is_asked() => {
            result::image(solver)?
        }
        solvers => result::index(store, solvers, about)?,
    };
    if options.unlisted {
        return Ok(image);
    }
    for tag in &options.tags {
        store.tag(tag, &image.manifest)?;
    }
    if options.tags.is_empty() {
        store.keep(&image.manifest)?;
    }
    Ok(image)
}

/// What the user should know, and what is no error.
fn warnings(plan: &Plan) -> impl Iterator<Item = String> {
    let unused = plan.unused_args.iter();
    unused.map(|name| format!("build argument {name} is not used: no ARG declares it"))
}
