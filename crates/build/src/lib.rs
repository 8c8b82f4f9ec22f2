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
//! One that is killed leaves a locked directory less its lock; the next build cleans it up.

mod context;
mod copy;
mod error;
mod images;
mod interrupt;
pub mod key;
mod names;
mod options;
pub mod plan;
mod progress;
mod record;
mod result;
mod runner;
mod scratch;
mod solve;
mod source;

use image::Platform;
use store::{Holder, Store};

pub use error::Error;
pub use interrupt::Interrupt;
pub use options::{BuildOptions, ContextSource, DockerfileSource, Inputs, Volume};
pub use progress::{Event, Progress, Silent, StepId};
pub use result::BuiltImage;
pub use rootfs::Driver;
pub use runner::{ProgramRunner, Runner};

use images::Images;
use solve::Solver;

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
    scratch::sweep(&store.build_dir().join("tmp"), runner);
    scratch::sweep_spool(&store.build_dir().join("spool"));
    let (context, dockerfile) =
        context::open(inputs.context, inputs.dockerfile, &store.build_dir())?;
    let mut images = Images {
        store,
        puller: &options.puller,
        always_pull: options.pull,
        progress,
        found: Vec::new(),
        manifests: Vec::new(),
    };
    let plan = plan::plan(&dockerfile, &settings(options), &mut images)?;
    let Images { found, manifests, .. } = images;
    let lease = store.lease(&manifests, Holder::Process)?;
    let solver = Solver::new(
        store,
        options,
        &dockerfile,
        &plan,
        &context,
        found,
        runner,
        progress,
        interrupt,
    );
    let solved = solve::schedule(&solver);
    context.save();
    solved?;
    let image = finish(&solver, options)?;
    drop(lease);
    Ok(image)
}

fn settings(options: &BuildOptions) -> plan::Settings {
    plan::Settings {
        build_args: options.build_args.clone(),
        target: options.target.clone(),
        platform: options.platform.clone(),
        host: Platform::host(),
        network: options.network,
        labels: options.labels.clone(),
    }
}

fn finish(solver: &Solver<'_>, options: &BuildOptions) -> Result<BuiltImage, Error> {
    let target = solver.plan.stages.len() - 1;
    let built = solver.built(target)?;
    let files = built.snapshot.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut image = result::put(solver.store, &solver.plan.stages[target], built, &files)?;
    for tag in &options.tags {
        solver.store.tag(tag, &image.manifest)?;
    }
    if options.tags.is_empty() {
        solver.store.keep(&image.manifest)?;
    }
    let unused = solver.plan.unused_args.iter();
    image.warnings.extend(
        unused.map(|name| format!("build argument {name} is not used: no ARG declares it")),
    );
    let doubtful = solver.dockerfile.warnings.iter();
    let name = solver.dockerfile.source.name();
    image
        .warnings
        .extend(doubtful.map(|warning| format!("{name}:{}: {}", warning.lines, warning.message)));
    Ok(image)
}
