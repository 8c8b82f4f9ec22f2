//! Which stages the target needs, in the order in which they can be built.

use dockerfile::lint::{Finding, StageLint};
use dockerfile::{Dockerfile, Instruction, Kind};
use image::{ImageConfig, Platform};

use super::lower::Lowering;
use super::origin::{self, Origin};
use super::outline::{Globals, StageOutline};
use super::scope::{self, Environment};
use super::{Base, Bases, BuildArgs, Plan, Settings, Stage};
use crate::Error;

/// A plan, or why there is none, and what the rules say meanwhile.
#[derive(Debug)]
pub struct Examined {
    /// The plan.
    pub plan: Result<Plan, Error>,
    /// All findings, of experimental rules as well: those of the text first, then of each FROM, then
    /// of the instructions of the stages that were planned.
    pub findings: Vec<Finding>,
}

/// Plans the build of a Dockerfile.
///
/// # Errors
/// A mistake in the Dockerfile that the parser cannot see, shown at its place; or what `bases` says.
pub fn plan(
    dockerfile: &Dockerfile,
    settings: &Settings,
    bases: &mut dyn Bases,
) -> Result<Plan, Error> {
    examine(dockerfile, settings, bases).plan
}

/// As [`plan`], with what the rules say of the Dockerfile.
pub fn examine(dockerfile: &Dockerfile, settings: &Settings, bases: &mut dyn Bases) -> Examined {
    let mut findings = dockerfile.findings.clone();
    let plan = examined(dockerfile, settings, bases, &mut findings);
    Examined { plan, findings }
}

fn examined(
    dockerfile: &Dockerfile,
    settings: &Settings,
    bases: &mut dyn Bases,
    findings: &mut Vec<Finding>,
) -> Result<Plan, Error> {
    let start = platform_args(settings);
    let plain = origin::globals(dockerfile, &start, &BuildArgs::new()).ok();
    let globals = origin::globals(dockerfile, &start, &settings.build_args)?;
    let origins = origin::origins(dockerfile, &globals, plain.as_ref(), findings)?;
    let target = target(dockerfile, settings)?;
    let mut planner = Planner {
        dockerfile,
        settings,
        bases,
        outline: Globals::new(dockerfile, &start, settings),
        globals,
        origins,
        findings,
        planned: vec![None; dockerfile.stages.len()],
        ends: Vec::new(),
        configs: Vec::new(),
        plan: Plan {
            stages: Vec::new(),
            images: Vec::new(),
            unused_args: unused(dockerfile, &settings.build_args),
            absent_devices: Vec::new(),
            platform: settings.platform.as_ref().unwrap_or(&settings.host).clone(),
            outline: Default::default(),
            wants_inline_cache: scope::wants_inline_cache(&settings.build_args),
        },
    };
    if settings.check && settings.target.is_none() {
        (0..target).try_for_each(|stage| planner.stage(stage).map(drop))?;
    }
    planner.stage(target)?;
    Ok(planner.finish(target))
}

fn platform_args(settings: &Settings) -> Environment {
    let platform = settings.platform.as_ref().unwrap_or(&settings.host);
    let stage = settings.target.as_deref().unwrap_or_default();
    scope::platform_args(platform, &settings.host, stage, &settings.build_args)
}

/// What of the configuration belongs to the result alone.
fn finish(config: &mut ImageConfig, settings: &Settings) {
    config.config.labels.extend(settings.labels.iter().cloned());
    if let Some(platform) = &settings.platform {
        config.os = platform.os().to_owned();
        config.architecture = platform.architecture().to_owned();
        config.variant = platform.variant().unwrap_or_default().to_owned();
    }
}

fn target(dockerfile: &Dockerfile, settings: &Settings) -> Result<usize, Error> {
    let stages = &dockerfile.stages;
    let Some(name) = &settings.target else { return Ok(stages.len() - 1) };
    dockerfile.stage_referred(name, stages.len()).ok_or_else(|| Error::NoTarget {
        target: name.clone(),
        stages: stages.iter().filter_map(|stage| stage.name.clone()).collect(),
    })
}

/// Build arguments that no `ARG` of any stage declares: mostly a typing mistake.
fn unused(dockerfile: &Dockerfile, given: &BuildArgs) -> Vec<String> {
    let in_stages = dockerfile.stages.iter().flat_map(|stage| &stage.instructions);
    let declared: Vec<&str> = in_stages
        .filter_map(|instruction| match &instruction.kind {
            dockerfile::Kind::Arg(args) => Some(args),
            _ => None,
        })
        .flatten()
        .chain(&dockerfile.global_args)
        .map(|arg| arg.name.as_str())
        .collect();
    let unused = |name: &&String| !declared.contains(&name.as_str()) && !scope::is_builders(name);
    given.keys().filter(unused).cloned().collect()
}

/// What a stage hands on to one that starts from it.
#[derive(Clone)]
pub(super) struct End {
    pub(super) environment: Environment,
    pub(super) declared: Vec<(String, Option<String>)>,
    pub(super) config: ImageConfig,
    pub(super) platform: Platform,
    pub(super) lint: StageLint,
    pub(super) outline: StageOutline,
    /// Whether all of the environment is known: the base image is at hand.
    pub(super) known: bool,
}

pub(super) struct Planner<'a> {
    pub(super) dockerfile: &'a Dockerfile,
    pub(super) settings: &'a Settings,
    pub(super) bases: &'a mut dyn Bases,
    pub(super) globals: Environment,
    pub(super) outline: Globals,
    /// For each stage of the Dockerfile.
    pub(super) origins: Vec<Origin>,
    pub(super) findings: &'a mut Vec<Finding>,
    /// Where in the plan a stage of the Dockerfile is.
    planned: Vec<Option<usize>>,
    /// For each stage of the plan.
    pub(super) ends: Vec<End>,
    /// For each image of the plan.
    pub(super) configs: Vec<Option<ImageConfig>>,
    pub(super) plan: Plan,
}

impl Planner<'_> {
    fn finish(self, target: usize) -> Plan {
        let Self { dockerfile, settings, mut plan, ends, planned, .. } = self;
        let index = planned[target].expect("the target was planned");
        let needs = plan.stages.iter().map(|stage| stage.needs.as_slice());
        let outlines = ends.iter().map(|end| &end.outline).zip(needs).collect();
        plan.outline = self.outline.describe(&dockerfile.stages[target], outlines, index);
        finish(&mut plan.stages[index].config, settings);
        plan
    }

    /// Plans a stage of the Dockerfile, and first all that it needs; its index in the plan. A list
    /// rather than recursion: a file may have thousands of stages, each on the one before.
    pub(super) fn stage(&mut self, index: usize) -> Result<usize, Error> {
        let mut open = vec![index];
        while let Some(&next) = open.last() {
            let needs = if self.planned[next].is_some() { Vec::new() } else { self.needs(next)? };
            let missing = needs.into_iter().find(|&need| self.planned[need].is_none());
            match missing {
                Some(need) => open.push(need),
                None => {
                    self.lower(next)?;
                    open.pop();
                }
            }
        }
        self.lower(index)
    }

    /// The stages that this one names: its base first, then those that it reads from.
    fn needs(&self, index: usize) -> Result<Vec<usize>, Error> {
        let stage = &self.dockerfile.stages[index];
        if self.replacement(index).is_some() {
            return Ok(Vec::new());
        }
        let base = self.based_on(&self.origins[index].base, index);
        let inherited = base.iter().flat_map(|&base| &self.dockerfile.stages[base].instructions);
        let triggers = inherited.filter_map(|instruction| match &instruction.kind {
            Kind::OnBuild(trigger) => Some(&*trigger.instruction),
            _ => None,
        });
        let named = triggers.chain(&stage.instructions).flat_map(sources);
        let read = named.filter_map(|name| self.dockerfile.stage_referred(&name, index));
        Ok(base.into_iter().chain(read).collect())
    }

    /// Plans a stage whose needs are planned.
    fn lower(&mut self, index: usize) -> Result<usize, Error> {
        if let Some(planned) = self.planned[index] {
            return Ok(planned);
        }
        let dockerfile = self.dockerfile;
        let stage = &dockerfile.stages[index];
        let replacement = self.replacement(index);
        let replaced = replacement.is_some();
        let (base, start) = match replacement {
            Some((named, platform)) => self.named(named, platform, Vec::new(), stage.lines)?,
            None => self.base(index)?,
        };
        let triggers = match replaced {
            true => Vec::new(),
            false => self.triggers(&start.config, stage.lines)?,
        };
        let own: &[Instruction] = if replaced { &[] } else { &stage.instructions };
        let mut lowering = Lowering::new(self, index, start);
        if let Base::Stage(base) = base {
            lowering.needs(base);
        }
        for instruction in triggers.iter().chain(own) {
            lowering.instruction(instruction)?;
        }
        let (steps, needs, end) = lowering.finish();
        let name = self.name(index);
        let planned = self.plan.stages.len();
        let mut config = end.config.clone();
        config.rootfs = image::RootFs::default();
        config.history = Vec::new();
        self.plan.stages.push(Stage {
            name,
            base,
            platform: end.platform.clone(),
            steps,
            config,
            needs,
            lines: stage.lines,
            text: stage.text.clone(),
        });
        self.ends.push(end);
        self.planned[index] = Some(planned);
        Ok(planned)
    }

    fn name(&self, index: usize) -> String {
        let stage = &self.dockerfile.stages[index];
        match &stage.name {
            _ if self.dockerfile.stages.len() == 1 => String::new(),
            Some(name) => name.clone(),
            None => format!("stage-{index}"),
        }
    }
}

/// What an instruction says it reads from.
fn sources(instruction: &Instruction) -> Vec<String> {
    match &instruction.kind {
        Kind::Copy(copy) => copy.from.iter().cloned().collect(),
        Kind::Run(run) => {
            let fields = run.mounts.iter().flat_map(|mount| &mount.fields);
            fields.filter(|(key, _)| key == "from").filter_map(|(_, name)| name.clone()).collect()
        }
        _ => Vec::new(),
    }
}
