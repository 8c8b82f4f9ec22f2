//! `tare-build`: Dockerfile to image, without a daemon. Standard output has the image's digest and
//! nothing else; progress and errors go to standard error.

mod agents;
mod annotation;
mod arguments;
mod attestation;
mod cache;
mod call;
mod failure;
mod guard;
mod output;
mod progress;
mod rootless;
mod secrets;
mod tending;
mod without_effect;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use build::{BuildOptions, ContextSource, DockerfileSource, Inputs};
use cli::ErrorExt as _;
use store::Store;

use arguments::Arguments;
use output::{Delivery, Outputs};
use progress::Explained;

fn main() -> ExitCode {
    cli::run("tare-build", run)
}

fn run() -> anyhow::Result<ExitCode> {
    if let Some(guard) = guard::Guard::requested() {
        return guard.stand();
    }
    let arguments = Arguments::read()?;
    let call = arguments.call();
    if call.is_build() {
        rootless::enter()?;
    }
    let interrupt = cli::Interrupt::install().context("cannot handle signals")?;
    let inputs = inputs(&arguments)?;
    if !call.is_build() {
        return call.run(&arguments, inputs);
    }
    let outputs = Outputs::resolve(&arguments)?;
    let options = BuildOptions { unlisted: !outputs.to_store(), ..arguments.options()? };
    let store = Store::open(&arguments.store.path()?)?;
    let tending = tending::Tending::resolve()?;
    let runner = rootless::runner(runtime(&arguments)?, &store.build_dir());
    let report = progress::report(arguments.progress()?);
    let progress = Explained::new(&*report);
    let stop = build::Interrupt::watching(interrupt.flag());
    outputs.check()?;
    arguments.without_effect.warnings().for_each(|warning| report.warn(&warning));
    let built = build::build(&store, inputs, &options, &runner, &progress, &stop);
    report.show_findings();
    if let Some(how) = arguments.explain {
        progress.show(how)?;
    }
    if outputs.rewrite_times() && options.source_date_epoch.is_none() {
        report.warn("rewrite-timestamp has no effect: SOURCE_DATE_EPOCH is not set");
    }
    let delivered = built.map_err(failure::explain).and_then(|image| {
        image.warnings.iter().for_each(|warning| report.warn(warning));
        let epoch = options.source_date_epoch;
        let (arguments, store, image, interrupt) = (&arguments, &store, &image, &interrupt);
        let explained = arguments.explain.map(|_| progress.explanations());
        deliver(&outputs, &Delivery { arguments, store, image, epoch, explained, interrupt })
    });
    // After the delivery: what is not in the store's index is this process's until then.
    tending.tend(&store, &*report);
    delivered.map(|()| ExitCode::SUCCESS)
}

/// Hands over what was built, and says what it is.
fn deliver(outputs: &Outputs, delivery: &Delivery<'_>) -> anyhow::Result<()> {
    let Delivery { arguments, image, .. } = delivery;
    if let Some(path) = &arguments.iidfile {
        fs::write(path, image.digest.to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let metadata = outputs.deliver(delivery)?;
    if let Some(path) = &arguments.metadata_file {
        metadata.write(path)?;
    }
    if !outputs.to_stdout() {
        cli::print(image.digest)?;
    }
    Ok(())
}

/// The runtime program: as named, else ours.
fn runtime(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    match &arguments.runtime {
        Some(program) => Ok(program.clone()),
        None => cli::sibling("tare-runtime").hint("or choose another runtime with --runtime"),
    }
}

fn inputs(arguments: &Arguments) -> anyhow::Result<Inputs> {
    let context = match &*arguments.context {
        "-" => ContextSource::Stream(Box::new(io::stdin())),
        context => context.parse().map_err(failure::explain)?,
    };
    let dockerfile = match &arguments.file {
        None => DockerfileSource::Default,
        Some(file) if file.as_os_str() == "-" => {
            if matches!(context, ContextSource::Stream(_)) {
                return Err(cli::usage("the context and the Dockerfile cannot both be -"));
            }
            let mut text = Vec::new();
            io::Read::read_to_end(&mut io::stdin(), &mut text)
                .context("cannot read the Dockerfile from standard input")?;
            DockerfileSource::Text { name: "-".to_owned(), text }
        }
        Some(file) => DockerfileSource::Path(file.clone()),
    };
    Ok(Inputs { dockerfile, context, named: arguments.contexts.clone() })
}

impl Arguments {
    pub(crate) fn options(&self) -> anyhow::Result<BuildOptions> {
        let build_args = self.build_args();
        let annotations = annotation::given(self, &build_args)?;
        let agents = agents::given(&self.agents)?;
        let forwarded = agents.contains_key("default");
        Ok(BuildOptions {
            tags: self.tags.clone(),
            source_date_epoch: self.source_date_epoch(&build_args)?,
            multi_platform: self.multi_platform(&build_args)?,
            build_args,
            target: self.target.clone(),
            platforms: self.platforms.clone(),
            labels: self.labels(),
            annotations,
            unlisted: false,
            no_cache: self.no_cache,
            no_cache_filter: self.no_cache_filter.clone(),
            cache_from: self.cache_from.clone(),
            cache_to: self.cache_to.clone(),
            explain: self.explain.is_some(),
            pull: self.pull,
            network: self.network.into(),
            allow: self.entitlements(),
            secrets: secrets::given(&self.secrets)?,
            agents,
            hosts: self.hosts.clone(),
            ulimits: self.ulimits.clone(),
            shm_size: self.shm_size,
            cgroup_parent: self.cgroup_parent.clone(),
            volumes: self.volumes.clone(),
            puller: cli::sibling("tare-store").unwrap_or_else(|_| "tare-store".into()),
            git: arguments::git(forwarded),
            guard: std::env::current_exe().ok(),
            driver: self.driver,
            attesting: attestation::given(self)?,
        })
    }
}
