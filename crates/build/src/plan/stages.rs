//! Which stages the target needs, and what each starts from.

use dockerfile::{Dockerfile, Expander, Instruction, Kind, Lines};
use image::{ImageConfig, Platform};

use super::lower::Lowering;
use super::scope::{self, Environment};
use super::{Base, BuildArgs, Entitlements, From, Network, Plan, Stage};
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
    let target = target(dockerfile, settings)?;
    let globals = globals(dockerfile, settings)?;
    let mut planner = Planner {
        dockerfile,
        settings,
        bases,
        globals,
        planned: vec![None; dockerfile.stages.len()],
        ends: Vec::new(),
        configs: Vec::new(),
        plan: Plan {
            stages: Vec::new(),
            images: Vec::new(),
            unused_args: unused(dockerfile, &settings.build_args),
            platform: settings.platform.as_ref().unwrap_or(&settings.host).clone(),
        },
    };
    planner.stage(target)?;
    let mut plan = planner.plan;
    let last = plan.stages.last_mut().expect("the target was planned");
    finish(&mut last.config, settings);
    Ok(plan)
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

fn globals(dockerfile: &Dockerfile, settings: &Settings) -> Result<Environment, Error> {
    let platform = settings.platform.as_ref().unwrap_or(&settings.host);
    let stage = settings.target.as_deref().unwrap_or_default();
    let given = &settings.build_args;
    let mut globals = scope::platform_args(platform, &settings.host, stage, given);
    for arg in &dockerfile.global_args {
        let value = match (given.get(&arg.name), &arg.default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(word)) => Some(expand(dockerfile, &globals, word, arg.lines)?),
            (None, None) => None,
        };
        if let Some(value) = value {
            globals.set(&arg.name, &value);
        }
    }
    Ok(globals)
}

/// Expands a word where only `scope` counts.
pub(super) fn expand(
    dockerfile: &Dockerfile,
    scope: &Environment,
    word: &str,
    lines: Lines,
) -> Result<String, Error> {
    let lookup = |name: &str| scope.get(name).map(str::to_owned);
    Expander::new(dockerfile.escape, &lookup)
        .text(word)
        .map_err(|error| dockerfile.source.error(lines, error).into())
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
}

pub(super) struct Planner<'a> {
    pub(super) dockerfile: &'a Dockerfile,
    pub(super) settings: &'a Settings,
    pub(super) bases: &'a mut dyn Bases,
    pub(super) globals: Environment,
    /// Where in the plan a stage of the Dockerfile is.
    planned: Vec<Option<usize>>,
    /// For each stage of the plan.
    ends: Vec<End>,
    /// For each image of the plan.
    configs: Vec<ImageConfig>,
    pub(super) plan: Plan,
}

impl Planner<'_> {
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
        let base = self.global(&stage.base, stage.lines)?;
        let base = self.dockerfile.stage_named(&base, index);
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
        let (base, start) = self.base(index)?;
        let triggers = self.triggers(&start.config, stage.lines)?;
        let mut lowering = Lowering::new(self, index, start);
        if let Base::Stage(base) = base {
            lowering.needs(base);
        }
        for instruction in triggers.iter().chain(&stage.instructions) {
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
        let stage = &self.dockerfile.stages[index];
        let name = self.global(&stage.base, stage.lines)?;
        if name.is_empty() {
            let message = format!("the base image {} is empty", stage.base);
            return Err(self.dockerfile.source.error(stage.lines, message).into());
        }
        let platform = self.platform(index)?;
        if let Some(earlier) = self.dockerfile.stage_named(&name, index) {
            let base = self.stage(earlier)?;
            let mut start = self.ends[base].clone();
            // Its arguments keep their values, unless the image sets the variable, and only its own
            // history speaks of them.
            start.declared.clear();
            start.environment.set_all(&start.config.config.env);
            start.platform = platform.unwrap_or(start.platform);
            return Ok((Base::Stage(base), start));
        }
        let wanted = platform.unwrap_or_else(|| self.wanted());
        if name == "scratch" {
            let mut config = ImageConfig::empty(&wanted);
            config.config.working_dir = "/".to_owned();
            return Ok((Base::Scratch, self.start(config, wanted)));
        }
        let image = self.image(name, wanted, stage.lines)?;
        let config = self.configs[image].clone();
        let platform = config.platform();
        Ok((Base::Image(image), self.start(config, platform)))
    }

    fn wanted(&self) -> Platform {
        self.settings.platform.as_ref().unwrap_or(&self.settings.host).clone()
    }

    fn platform(&self, index: usize) -> Result<Option<Platform>, Error> {
        let stage = &self.dockerfile.stages[index];
        let Some(word) = &stage.platform else { return Ok(None) };
        let platform = self.global(word, stage.lines)?;
        let parsed = platform.parse().map_err(|error| {
            let message = format!("--platform={word}: {error}");
            self.dockerfile.source.error(stage.lines, message)
        })?;
        Ok(Some(parsed))
    }

    /// What a stage on an image, or on nothing, starts with.
    fn start(&self, mut config: ImageConfig, platform: Platform) -> End {
        let env = &mut config.config.env;
        if !env.iter().any(|entry| entry.starts_with("PATH=")) {
            env.push(format!("PATH={DEFAULT_PATH}"));
        }
        let environment = Environment::from_list(env);
        End { environment, declared: Vec::new(), config, platform }
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
        let config = self.bases.config(&request).map_err(|error| {
            Error::at(&self.dockerfile.source, lines, format!("FROM {}", request.name), error)
        })?;
        self.configs.push(config);
        self.plan.images.push(request);
        Ok(self.plan.images.len() - 1)
    }

    /// What `COPY --from` names: a stage before this one by name or number, else an image.
    pub(super) fn from(&mut self, name: &str, index: usize, lines: Lines) -> Result<From, Error> {
        let dockerfile = self.dockerfile;
        if let Some(stage) = dockerfile.stage_referred(name, index) {
            return Ok(From::Stage(self.stage(stage)?));
        }
        let later = dockerfile.stage_referred(name, dockerfile.stages.len()).is_some();
        if later || name.parse::<usize>().is_ok() {
            let message = match later {
                true => format!("stage {name} comes at or after the stage that copies from it"),
                false => format!("there is no stage {name} before this one"),
            };
            return Err(dockerfile.source.error(lines, message).into());
        }
        let platform = self.wanted();
        Ok(From::Image(self.image(name.to_owned(), platform, lines)?))
    }

    fn global(&self, word: &str, lines: Lines) -> Result<String, Error> {
        expand(self.dockerfile, &self.globals, word, lines)
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

/// What docker sets where an image has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
