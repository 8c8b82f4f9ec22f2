//! The images that a Dockerfile names: found in the store, or pulled into it by the program that can.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use image::manifest::Descriptor;
use image::{ImageConfig, Platform};
use store::Store;

use crate::inputs::LAYOUT;
use crate::plan::{Bases, Request};
use crate::record::LayerRef;
use crate::solve::{Image, Snapshot};
use crate::{Error, Event, Progress, StepId};

/// The step that shows how images are pulled.
const PULL: StepId = StepId(usize::MAX);

/// Looks images up for the plan, and keeps them for the steps.
pub(crate) struct Images<'a> {
    pub(crate) store: &'a Store,
    pub(crate) puller: &'a Path,
    pub(crate) always_pull: bool,
    pub(crate) progress: &'a dyn Progress,
    /// In the order in which they were asked for: that of the plan.
    pub(crate) found: Vec<Image>,
    /// The manifests, to be kept while the build runs.
    pub(crate) manifests: Vec<image::Digest>,
}

impl Bases for Images<'_> {
    fn config(&mut self, request: &Request) -> Result<ImageConfig, Error> {
        let descriptor = match request.name.strip_prefix(LAYOUT) {
            Some(layout) => self.copied(layout, request)?,
            None => self.found(request)?,
        };
        let (named, image) = self.fitting(descriptor, request)?;
        let named = image::manifest::digest(&named).map_err(store::Error::from)?;
        self.manifests.push(image.digest()?);
        let layers = image.layers().into_iter();
        let layers = layers.map(|(descriptor, diff_id)| LayerRef { descriptor, diff_id }).collect();
        self.found.push(Image {
            digest: image.digest()?,
            named,
            snapshot: Mutex::new(Snapshot::image(layers)),
            history: image.config.history.clone(),
            created: image.config.created.clone(),
        });
        Ok(image.config)
    }
}

/// The images that are in the store, for a check: none is pulled.
pub(crate) struct AtHand<'a>(pub(crate) &'a Store);

impl Bases for AtHand<'_> {
    fn config(&mut self, request: &Request) -> Result<ImageConfig, Error> {
        let missing = || Error::NoImage { name: request.name.clone(), pull: None };
        self.at_hand(request)?.ok_or_else(missing)
    }

    fn at_hand(&mut self, request: &Request) -> Result<Option<ImageConfig>, Error> {
        let Some((_, descriptor)) = self.0.resolve(&request.name)? else { return Ok(None) };
        Ok(self.0.image(&descriptor, &request.platform).ok().map(|image| image.config))
    }
}

impl Images<'_> {
    /// Looks an image up in the store; pulls it where it is missing, or where that is asked for.
    fn found(&self, request: &Request) -> Result<Descriptor, Error> {
        let pulled = if self.always_pull { Some(self.pull(request)) } else { None };
        let mut descriptor = self.store.resolve(&request.name)?;
        let mut said = pulled.and_then(Result::err);
        if descriptor.is_none() && !self.always_pull {
            said = self.pull(request).err();
            descriptor = self.store.resolve(&request.name)?;
        }
        // Asked to pull, an old image will not do.
        let missing = || Error::NoImage { name: request.name.clone(), pull: said.clone() };
        if self.always_pull && said.is_some() {
            return Err(missing());
        }
        descriptor.map(|(_, descriptor)| descriptor).ok_or_else(missing)
    }

    /// Copies an image out of another layout: `PATH[:TAG][@DIGEST]`.
    fn copied(&self, layout: &str, request: &Request) -> Result<Descriptor, Error> {
        let (rest, digest) = match layout.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (layout, None),
        };
        let (path, name) = match rest.rsplit_once(':') {
            Some((path, name)) if !name.contains('/') => (path, Some(name)),
            _ => (rest, None),
        };
        let path = Path::new(path);
        let found = self.store.copy_from_layout(path, name, digest, Some(&request.platform))?;
        found.ok_or_else(|| Error::NoImage { name: request.name.clone(), pull: None })
    }

    /// The image for the platform, and what its name stands for. The store may have it for another one only: then it is pulled.
    fn fitting(
        &self,
        descriptor: Descriptor,
        request: &Request,
    ) -> Result<(Descriptor, store::Image), Error> {
        let image = self.store.image(&descriptor, &request.platform);
        // Whoever asks for nothing special gets what is there, as with docker.
        let special = request.platform != Platform::host();
        let fits = |image: &store::Image| request.platform.accepts(&image.config.platform());
        match image {
            Ok(image) if !special || fits(&image) => return Ok((descriptor, image)),
            Err(error) if !special => return Err(error.into()),
            image if request.name.starts_with(LAYOUT) => {
                return image.map(|image| (descriptor, image)).map_err(Error::from);
            }
            _ => {}
        }
        let pull = self.pull(request);
        let (_, descriptor) = self
            .store
            .resolve(&request.name)?
            .ok_or_else(|| Error::NoImage { name: request.name.clone(), pull: pull.err() })?;
        let image = self.store.image(&descriptor, &request.platform)?;
        match fits(&image) {
            true => Ok((descriptor, image)),
            false => Err(Error::WrongPlatform {
                name: request.name.clone(),
                found: image.config.platform().to_string(),
                wanted: request.platform.to_string(),
            }),
        }
    }

    /// Has the image pulled. The error is what the program said last.
    fn pull(&self, request: &Request) -> Result<(), String> {
        let name = format!("pull {}", request.name);
        self.progress.event(PULL, Event::Started { name: &name });
        let started = std::time::Instant::now();
        let result = self.call(request);
        let elapsed = started.elapsed();
        let event =
            if result.is_ok() { Event::Done { elapsed } } else { Event::Failed { elapsed } };
        self.progress.event(PULL, event);
        result
    }

    fn call(&self, request: &Request) -> Result<(), String> {
        let output = Command::new(self.puller)
            .arg("--store")
            .arg(self.store.root())
            .args(["pull", "--platform", &request.platform.to_string()])
            // In a Dockerfile a name without a registry is docker.io's, whatever a machine's aliases say.
            .arg(format!("docker://{}", request.name))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot start {}: {error}", self.puller.display()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(said.trim().to_owned())
    }
}
