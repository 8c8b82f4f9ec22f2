//! Which stages the target needs, and what each starts from.

use dockerfile::lint::{self, Finding, StageLint};
use dockerfile::{Dockerfile, IgnorePatterns, Instruction, Kind, Lines};
use image::{ImageConfig, Platform};

use super::lower::Lowering;
use super::origin::{self, Origin};
use super::outline::{Globals, StageOutline};
use super::scope::{self, Environment};
use super::{Base, BuildArgs, Entitlements, From, Named, NamedContexts, Network, Plan, Stage};
use crate::Error;

/// What the user said about the build, as far as it shapes the plan.
#[derive(Clone, Debug)]
pub struct Request {
    /// The image's name as the Dockerfile has it, variables expanded.
    pub name: String,
    /// The platform wanted of it.
    pub platform: Platform,
}

/// Gives the configuration of images that the Dockerfile names.
pub trait Bases {
    /// The configuration of the image, which is asked for once per plan.
    ///
    /// # Errors
    /// Where there is no such image.
    fn config(&mut self, request: &Request) -> Result<ImageConfig, Error>;

    /// As [`Bases::config`], but for a check: none where the image is not at hand. What depends on it
    /// is then not looked at.
    ///
    /// # Errors
    /// As [`Bases::config`].
    fn at_hand(&mut self, request: &Request) -> Result<Option<ImageConfig>, Error> {
        self.config(request).map(Some)
    }
}

/// What shapes a plan besides the Dockerfile.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `--build-arg`
    pub build_args: BuildArgs,
    /// `--target`: a stage's name or number; the last stage without.
    pub target: Option<String>,
    /// `--platform`; the host's without.
    pub platform: Option<Platform>,
    /// The platform of this machine.
    pub host: Platform,
    /// `--network`
    pub network: Network,
    /// `--label`
    pub labels: Vec<(String, String)>,
    /// `--allow`
    pub allow: Entitlements,
    /// `--build-context`
    pub contexts: NamedContexts,
    /// What the context leaves out, as far as checks look at it.
    pub ignored: IgnorePatterns,
    /// Only to be checked and described: without a target all stages are looked at, and an image
    /// that is not at hand is no error.
    pub check: bool,
}

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
    origins: Vec<Origin>,
    pub(super) findings: &'a mut Vec<Finding>,
    /// Where in the plan a stage of the Dockerfile is.
    planned: Vec<Option<usize>>,
    /// For each stage of the plan.
    ends: Vec<End>,
    /// For each image of the plan.
    configs: Vec<Option<ImageConfig>>,
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
    fn stage(&mut self, index: usize) -> Result<usize, Error> {
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

    /// What a stage starts from, and what it inherits.
    fn base(&mut self, index: usize) -> Result<(Base, End), Error> {
        let Origin { base: name, platform, used } = &self.origins[index];
        let (name, platform, used) = (name.clone(), platform.clone(), used.clone());
        let lines = self.dockerfile.stages[index].lines;
        if self.dockerfile.stage_named(&name, index).is_some() && !is_lower(&name) {
            let lower = name.to_ascii_lowercase();
            let message = format!("no image is called {name}; FROM names the stage by {lower}");
            return Err(self.dockerfile.source.error(lines, message).into());
        }
        if let Some(earlier) = self.based_on(&name, index) {
            let base = self.stage(earlier)?;
            let mut start = self.ends[base].clone();
            // Its arguments keep their values, unless the image sets the variable.
            start.environment.set_all(&start.config.config.env);
            start.outline = StageOutline::using(used);
            start.lint = start.lint.inherited();
            start.platform = platform.unwrap_or(start.platform);
            return Ok((Base::Stage(base), start));
        }
        let wanted = platform.unwrap_or_else(|| self.wanted());
        if name == SCRATCH {
            return Ok(self.empty(Base::Scratch, wanted, used));
        }
        if let Some(named) = self.settings.contexts.get(&name, &wanted).cloned() {
            return self.named(named, wanted, used, lines);
        }
        self.on_image(name, wanted, used, lines)
    }

    /// What replaces a stage, and for which platform: a context of its name.
    fn replacement(&self, index: usize) -> Option<(Named, Platform)> {
        let name = self.dockerfile.stages[index].name.as_ref()?;
        let platform = self.origins[index].platform.clone();
        let wanted = platform.unwrap_or_else(|| self.wanted());
        let named = self.settings.contexts.get(name, &wanted)?.clone();
        Some((named, wanted))
    }

    /// What starts from a context that has a name.
    fn named(
        &mut self,
        named: Named,
        wanted: Platform,
        used: Vec<String>,
        lines: Lines,
    ) -> Result<(Base, End), Error> {
        match named {
            Named::Files(index) => Ok(self.empty(Base::Files(index), wanted, used)),
            Named::Image(name) if name == SCRATCH => Ok(self.empty(Base::Scratch, wanted, used)),
            Named::Image(name) => self.on_image(name, wanted, used, lines),
        }
    }

    /// What starts without a configuration.
    fn empty(&self, base: Base, wanted: Platform, used: Vec<String>) -> (Base, End) {
        let mut config = ImageConfig::empty(&wanted);
        config.config.working_dir = "/".to_owned();
        (base, self.start(Some(config), wanted, used))
    }

    fn on_image(
        &mut self,
        name: String,
        wanted: Platform,
        used: Vec<String>,
        lines: Lines,
    ) -> Result<(Base, End), Error> {
        let image = self.image(name, wanted.clone(), lines)?;
        self.doubt_platform(image, lines);
        let config = self.configs[image].clone();
        let platform = config.as_ref().map_or(wanted, ImageConfig::platform);
        Ok((Base::Image(image), self.start(config, platform, used)))
    }

    /// The stage that `FROM` means: as BuildKit has it by its name in lower case alone, however that is
    /// written where the stage begins.
    fn based_on(&self, name: &str, before: usize) -> Option<usize> {
        self.dockerfile.stage_named(name, before).filter(|_| is_lower(name))
    }

    fn wanted(&self) -> Platform {
        self.settings.platform.as_ref().unwrap_or(&self.settings.host).clone()
    }

    /// What a stage on an image, or on nothing, starts with.
    fn start(&self, config: Option<ImageConfig>, platform: Platform, used: Vec<String>) -> End {
        let known = config.is_some();
        let mut config = config.unwrap_or_else(|| ImageConfig::empty(&platform));
        let env = &mut config.config.env;
        if !env.iter().any(|entry| entry.starts_with("PATH=")) {
            env.push(format!("PATH={DEFAULT_PATH}"));
        }
        End {
            environment: Environment::from_list(env),
            declared: Vec::new(),
            config,
            platform,
            lint: StageLint::default(),
            outline: StageOutline::using(used),
            known,
        }
    }

    /// The triggers that the base has for those who build on it.
    fn triggers(&self, config: &ImageConfig, lines: Lines) -> Result<Vec<Instruction>, Error> {
        let parse = |text: &String| {
            dockerfile::parse_trigger(text, '\\').map(|mut instruction| {
                instruction.lines = lines;
                instruction
            })
        };
        config.config.on_build.iter().map(|text| Ok(parse(text)?)).collect()
    }

    /// The index of an image in the plan; it is asked for when it is met first.
    fn image(&mut self, name: String, platform: Platform, lines: Lines) -> Result<usize, Error> {
        let same = |known: &Request| known.name == name && known.platform == platform;
        if let Some(known) = self.plan.images.iter().position(same) {
            return Ok(known);
        }
        let request = Request { name, platform };
        let found = match self.settings.check {
            true => self.bases.at_hand(&request),
            false => self.bases.config(&request).map(Some),
        };
        let config = found.map_err(|error| {
            Error::at(&self.dockerfile.source, lines, format!("FROM {}", request.name), error)
        })?;
        self.configs.push(config);
        self.plan.images.push(request);
        Ok(self.plan.images.len() - 1)
    }

    /// Whether an image is for the platform that was asked for.
    fn doubt_platform(&mut self, image: usize, lines: Lines) {
        let Some(config) = &self.configs[image] else { return };
        let (wanted, found) = (&self.plan.images[image].platform, config.platform());
        let (wanted_text, found_text) = (wanted.to_string(), found.to_string());
        self.findings.extend(lint::base_platform(
            &self.plan.images[image].name,
            origin::parts(wanted, &wanted_text),
            origin::parts(&found, &found_text),
            lines,
        ));
    }

    /// What `COPY --from` names: a stage before this one by name or number, else an image.
    pub(super) fn from(&mut self, name: &str, index: usize, lines: Lines) -> Result<From, Error> {
        let dockerfile = self.dockerfile;
        if let Some(stage) = dockerfile.stage_referred(name, index) {
            return Ok(From::Stage(self.stage(stage)?));
        }
        let named = self.settings.contexts.get(name, &self.wanted()).is_some();
        let later = !named && dockerfile.stage_referred(name, dockerfile.stages.len()).is_some();
        if later || name.parse::<usize>().is_ok() {
            let message = match later {
                true => format!("stage {name} comes at or after the stage that copies from it"),
                false => format!("there is no stage {name} before this one"),
            };
            return Err(dockerfile.source.error(lines, message).into());
        }
        let platform = self.wanted();
        let name = match self.settings.contexts.get(name, &platform).cloned() {
            Some(Named::Files(index)) => return Ok(From::Named(index)),
            Some(Named::Image(image)) => image,
            None => name.to_owned(),
        };
        let image = self.image(name, platform, lines)?;
        self.doubt_platform(image, lines);
        Ok(From::Image(image))
    }
}

fn is_lower(name: &str) -> bool {
    !name.bytes().any(|byte| byte.is_ascii_uppercase())
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

/// The name of no image.
const SCRATCH: &str = "scratch";

/// What docker sets where an image has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
