//! What a build knows of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use attest::image_purl;
use attest::provenance::{Material, Needed, Provenance, Source, Step};
use image::{Digest, Platform};

use super::{About, ProvenanceOptions, TOOL, told};
use crate::options::BuildOptions;
use crate::plan::{Network, Operation, Plan, Run};
use crate::solve::Solver;

/// How the image of this solver came about.
pub(super) fn of(solver: &Solver<'_>, how: &ProvenanceOptions, about: &About) -> Provenance {
    let (plan, options, source) = (solver.plan, solver.options, &solver.dockerfile.source);
    let sources = solver.materials.all();
    let context = about.context.as_ref();
    let material = context.and_then(|uri| sources.iter().find(|it| it.uri == *uri).cloned());
    let (program, version) = TOOL;
    let mut provenance = Provenance {
        mode: how.mode,
        builder_id: how.builder_id.clone(),
        builder_version: BTreeMap::from([(program.to_owned(), version.to_owned())]),
        builder_platform: Platform::host().to_string(),
        source: Source { material, path: source.name().to_owned() },
        arguments: arguments(options, context),
        locals: locals(about),
        secrets: needed(plan, |run| run.secrets.iter().map(|it| (&*it.id, it.required)).collect()),
        agents: needed(plan, |run| run.agents.iter().map(|it| (&*it.id, it.required)).collect()),
        materials: images(solver).chain(sources).collect(),
        steps: steps(plan),
        dockerfile: source.text().as_bytes().to_vec(),
        invocation: String::new(),
        started: told(about.started, options),
        finished: told(SystemTime::now(), options),
        reproducible: how.reproducible,
        hermetic: commands(plan).all(|run| run.network == Network::None),
    };
    provenance.invocation = invocation(&provenance, options);
    provenance
}

/// The build's options by the names that BuildKit's frontend has for them.
fn arguments(options: &BuildOptions, context: Option<&String>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let build_args = options.build_args.iter();
    all.extend(build_args.map(|(name, value)| (format!("build-arg:{name}"), value.clone())));
    let labels = options.labels.iter();
    all.extend(labels.map(|(name, value)| (format!("label:{name}"), value.clone())));
    let mut put = |name: &str, value: String| all.insert(name.to_owned(), value);
    if let Some(context) = context {
        put("context", context.clone());
    }
    if let Some(target) = &options.target {
        put("target", target.clone());
    }
    if options.no_cache || !options.no_cache_filter.is_empty() {
        put("no-cache", options.no_cache_filter.join(","));
    }
    if options.network == Network::None {
        put("force-network-mode", "none".to_owned());
    }
    if let Some(size) = options.shm_size {
        put("shm-size", size.to_string());
    }
    if !options.hosts.is_empty() {
        let host = |it: &crate::Host| format!("{}={}", it.name, it.address);
        put("add-hosts", options.hosts.iter().map(host).collect::<Vec<_>>().join(","));
    }
    all
}

fn locals(about: &About) -> Vec<String> {
    let all = [("context", about.local_context), ("dockerfile", about.local_dockerfile)];
    all.iter().filter(|(_, local)| *local).map(|(name, _)| (*name).to_owned()).collect()
}

/// The images that stages start from, or copy from.
fn images<'a>(solver: &'a Solver<'_>) -> impl Iterator<Item = Material> + 'a {
    solver.plan.images.iter().zip(&solver.images).map(|(request, image)| {
        Material::new(image_purl(&request.name, &request.platform), "sha256", image.named.hex())
    })
}

fn commands(plan: &Plan) -> impl Iterator<Item = &Run> {
    plan.stages.iter().flat_map(|stage| &stage.steps).filter_map(|step| match &step.operation {
        Operation::Run(run) => Some(&**run),
        _ => None,
    })
}

fn needed<'a>(plan: &'a Plan, of: impl Fn(&'a Run) -> Vec<(&'a str, bool)>) -> Vec<Needed> {
    let all: BTreeSet<Needed> = commands(plan)
        .flat_map(of)
        .map(|(id, required)| Needed { id: id.to_owned(), optional: !required })
        .collect();
    all.into_iter().collect()
}

fn steps(plan: &Plan) -> Vec<Step> {
    let all = plan.stages.iter().flat_map(|stage| stage.steps.iter().map(move |it| (stage, it)));
    let step = |(stage, step): (&crate::plan::Stage, &crate::plan::Step)| Step {
        stage: stage.name.clone(),
        instruction: step.text.clone(),
        lines: (step.lines.start, step.lines.end),
    };
    all.map(step).collect()
}

/// A name that no other build has; where builds are to be the same, one made of what went in.
fn invocation(of: &Provenance, options: &BuildOptions) -> String {
    let what = match options.source_date_epoch {
        None => crate::names::unique().to_string(),
        Some(_) => {
            let Provenance { arguments, materials, dockerfile, .. } = of;
            format!("{arguments:?}\n{materials:?}\n{}", Digest::of(dockerfile))
        }
    };
    Digest::of(what).hex()[..32].to_owned()
}
