//! The images and stages that a Dockerfile names.

use dockerfile::{Lines, lint, nearest};
use image::{ImageConfig, Platform, Reference};

use super::stages::Planner;
use super::{From, Named, Request, origin};
use crate::Error;
use crate::inputs::LAYOUT;

impl Planner<'_> {
    /// The index of an image in the plan; it is asked for when it is met first. `label` is what an error
    /// calls the instruction.
    pub(super) fn image(
        &mut self,
        name: String,
        platform: Platform,
        lines: Lines,
        label: String,
    ) -> Result<usize, Error> {
        let same = |known: &Request| known.name == name && known.platform == platform;
        if let Some(known) = self.plan.images.iter().position(same) {
            return Ok(known);
        }
        let request = Request { name, platform };
        let found = match self.settings.check {
            true => self.bases.at_hand(&request).and_then(|found| possible(found, &request)),
            false => self.bases.config(&request).map(Some),
        };
        let config = found.map_err(|error| self.no_image(&request.name, error, lines, label))?;
        self.configs.push(config);
        self.plan.images.push(request);
        Ok(self.plan.images.len() - 1)
    }

    /// Why an image cannot be had: perhaps it is no image that was meant.
    fn no_image(&self, name: &str, error: Error, lines: Lines, label: String) -> Error {
        let source = &self.dockerfile.source;
        if !matches!(error, Error::NoImage { .. }) {
            return Error::at(source, lines, label, error);
        }
        let hint = self.unset_in(lines).or_else(|| self.meant(name, lines));
        match name.parse::<Reference>() {
            Err(invalid) if !name.starts_with(LAYOUT) => {
                source.error(lines, invalid).at_word(name).hinted(hint).into()
            }
            _ => Error::at(source, lines, label, error).hinted(hint),
        }
    }

    /// What to do about variables without a value in the FROM at `lines`.
    fn unset_in(&self, lines: Lines) -> Option<String> {
        let index = self.dockerfile.stages.iter().position(|stage| stage.lines == lines)?;
        self.origins[index].advice.clone()
    }

    /// The stage that was probably meant by a name.
    fn meant(&self, name: &str, lines: Lines) -> Option<String> {
        let stages = &self.dockerfile.stages;
        let called = |stage: &&dockerfile::Stage| {
            stage.name.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(name))
        };
        if let Some(stage) = stages.iter().find(called) {
            let place = stage.lines.start;
            return Some(match place == lines.start {
                true => format!("stage {name} cannot start from itself"),
                false => {
                    format!("stage {name} begins at line {place}: it must come before this line")
                }
            });
        }
        let names: Vec<&str> = stages.iter().filter_map(|stage| stage.name.as_deref()).collect();
        nearest(name, &names).map(|near| format!("did you mean stage {near}?"))
    }

    /// Whether an image is for the platform that was asked for.
    pub(super) fn doubt_platform(&mut self, image: usize, lines: Lines) {
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
            let hint = match index {
                0 => "this is the first stage: none can be copied from".to_owned(),
                1 => "only stage 0 comes before this one".to_owned(),
                _ => format!("the stages before this one are 0 to {}", index - 1),
            };
            let error = dockerfile.source.error(lines, message);
            return Err(error.at_word(&format!("from={name}")).hinted(Some(hint)).into());
        }
        let platform = self.wanted();
        let name = match self.settings.contexts.get(name, &platform).cloned() {
            Some(Named::Files(index)) => return Ok(From::Named(index)),
            Some(Named::Image(image)) => image,
            None => name.to_owned(),
        };
        let label = format!("from={name}");
        let image = self.image(name, platform, lines, label)?;
        self.doubt_platform(image, lines);
        Ok(From::Image(image))
    }
}

/// What a check found at hand; a name that no image can have is an error all the same.
fn possible(found: Option<ImageConfig>, request: &Request) -> Result<Option<ImageConfig>, Error> {
    let name = &request.name;
    match found.is_some() || name.starts_with(LAYOUT) || name.parse::<Reference>().is_ok() {
        true => Ok(found),
        false => Err(Error::NoImage { name: name.clone(), pull: None }),
    }
}
