//! What a stage starts from: an earlier stage, an image, files, nothing.

use dockerfile::lint::StageLint;
use dockerfile::{Instruction, Lines};
use image::{ImageConfig, Platform};

use super::origin::Origin;
use super::outline::StageOutline;
use super::scope::Environment;
use super::stages::{End, Planner};
use super::{Base, Named};
use crate::Error;

/// The name of no image.
const SCRATCH: &str = "scratch";

/// What docker sets where an image has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Planner<'_> {
    /// What a stage starts from, and what it inherits.
    pub(super) fn base(&mut self, index: usize) -> Result<(Base, End), Error> {
        let Origin { base: name, platform, used, .. } = &self.origins[index];
        let (name, platform, used) = (name.clone(), platform.clone(), used.clone());
        let lines = self.dockerfile.stages[index].lines;
        if self.dockerfile.stage_named(&name, index).is_some() && !is_lower(&name) {
            let lower = name.to_ascii_lowercase();
            let message = format!("no image is called {name}; FROM names the stage by {lower}");
            return Err(self.dockerfile.source.error(lines, message).at_word(&name).into());
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
    pub(super) fn replacement(&self, index: usize) -> Option<(Named, Platform)> {
        let name = self.dockerfile.stages[index].name.as_ref()?;
        let platform = self.origins[index].platform.clone();
        let wanted = platform.unwrap_or_else(|| self.wanted());
        let named = self.settings.contexts.get(name, &wanted)?.clone();
        Some((named, wanted))
    }

    /// What starts from a context that has a name.
    pub(super) fn named(
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
        let label = format!("FROM {name}");
        let image = self.image(name, wanted.clone(), lines, label)?;
        self.doubt_platform(image, lines);
        let config = self.configs[image].clone();
        let platform = config.as_ref().map_or(wanted, ImageConfig::platform);
        Ok((Base::Image(image), self.start(config, platform, used)))
    }

    /// The stage that `FROM` means: as BuildKit has it by its name in lower case alone, however that is
    /// written where the stage begins.
    pub(super) fn based_on(&self, name: &str, before: usize) -> Option<usize> {
        self.dockerfile.stage_named(name, before).filter(|_| is_lower(name))
    }

    pub(super) fn wanted(&self) -> Platform {
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
    pub(super) fn triggers(
        &self,
        config: &ImageConfig,
        lines: Lines,
    ) -> Result<Vec<Instruction>, Error> {
        let parse = |text: &String| {
            dockerfile::parse_trigger(text, '\\').map(|mut instruction| {
                instruction.lines = lines;
                instruction
            })
        };
        config.config.on_build.iter().map(|text| Ok(parse(text)?)).collect()
    }
}

fn is_lower(name: &str) -> bool {
    !name.bytes().any(|byte| byte.is_ascii_uppercase())
}
