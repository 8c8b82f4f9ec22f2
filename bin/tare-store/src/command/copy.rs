//! `tare-store copy`: an image from anywhere to anywhere.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use archive::{Format, Loaded, RefName, Saved, Saving};
use cli::{Destination, ErrorExt as _, Interrupt};
use image::{Descriptor, Platform, Reference};
use registry::{Options, Parcel};
use store::{LayerForm, Store, Watch};

use super::save::explain;
use crate::bars::{self, Bars};
use crate::compression::CompressionFlags;
use crate::source::Source;
use crate::transport::Place;
use crate::{find, registries};

/// SOURCE and DESTINATION are docker://NAME, oci:DIR[:NAME], oci-archive:FILE[:NAME],
/// docker-archive:FILE[:NAME], dir:DIR, or a name in the store. On its way between others an image
/// passes through the store, without a name, and its blobs are left to gc; between repositories of one
/// registry no blob passes at all. For registries, uncompressed layers are compressed by gzip; else
/// layers are kept as they are. The digest that the image has at its destination is printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Copy the images for all platforms
    #[arg(short, long)]
    all: bool,
    /// Copy the image for this platform [default: this machine's]
    #[arg(long, value_name = "PLATFORM", conflicts_with = "all")]
    platform: Option<Platform>,
    /// Fail rather than change a digest: --compression=keep
    #[arg(long, conflicts_with = "compression")]
    preserve_digests: bool,
    #[command(flatten)]
    compression: CompressionFlags,
    /// Write the digest that the image has at its destination to this file
    #[arg(long, value_name = "FILE")]
    digestfile: Option<PathBuf>,
    #[command(flatten)]
    shown: bars::ProgressFlags,
    #[command(flatten)]
    registry: registries::RegistryFlags,
    /// How many layers are sent or fetched at a time
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
    /// Where the image is
    source: Place,
    /// Where it is to go
    destination: Place,
}

pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let options = Options {
        parallel: arguments.jobs.into(),
        platform: arguments.platform.clone(),
        ..arguments.registry.options()?
    };
    let interrupt = Interrupt::install().context("cannot handle signals")?;
    let bars = Bars::new(arguments.shown.mode());
    let copy = Copy { arguments, store, options, interrupt, bars };
    let copied = copy.run()?;
    if let Some(path) = &arguments.digestfile {
        std::fs::write(path, copied.digest().to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    cli::print(copied.digest())?;
    Ok(ExitCode::SUCCESS)
}

struct Copy<'a> {
    arguments: &'a Arguments,
    store: &'a Store,
    options: Options,
    interrupt: Interrupt,
    bars: Bars,
}

impl Copy<'_> {
    fn run(&self) -> anyhow::Result<Descriptor> {
        let Arguments { source, destination, .. } = self.arguments;
        let form = self.form()?;
        if let (Place::Registry(from), Place::Registry(to), false) =
            (source, destination, matches!(form, LayerForm::All(_)))
        {
            let flag = self.interrupt.flag();
            let all = self.arguments.all;
            let copied = registry::copy_within(from, to, all, &self.options, &self.bars, &flag);
            if let Some(copied) = copied.map_err(registries::explain)? {
                return Ok(copied);
            }
        }
        let image = self.get(source)?;
        self.put(&image, destination, form)
    }

    fn form(&self) -> anyhow::Result<LayerForm> {
        match (&self.arguments.destination, self.arguments.preserve_digests) {
            (_, true) => Ok(LayerForm::AsStored),
            (Place::Registry(_), _) => self.arguments.compression.for_registries(),
            _ => self.arguments.compression.form(LayerForm::AsStored),
        }
    }

    /// The image in the store. One that comes from elsewhere has no name there.
    fn get(&self, source: &Place) -> anyhow::Result<Descriptor> {
        let flag = self.interrupt.flag();
        match source {
            Place::Store(name) => Ok(find::descriptor(self.store, name)?.1),
            Place::Registry(name) => {
                let all = self.arguments.all;
                registry::fetch_image(self.store, name, all, &self.options, &self.bars, &flag)
                    .map_err(registries::explain)
                    .with_context(|| format!("cannot copy from {}", name.familiar()))
            }
            Place::Layout(path, name) => self.layout_image(path, name.as_deref()),
            Place::OciArchive(path, name) | Place::DockerArchive(path, name) => {
                let source = Source::open(path, self.interrupt.clone())?;
                let loaded = archive::load(self.store, source, &flag)
                    .map_err(explain)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                chosen(loaded, path, name.as_deref())
            }
            Place::Directory(path) => archive::read_directory(self.store, path, &flag)
                .map_err(explain)
                .with_context(|| format!("cannot read {}", path.display())),
        }
    }

    fn layout_image(&self, path: &Path, name: Option<&str>) -> anyhow::Result<Descriptor> {
        if !path.join("index.json").exists() {
            bail!("there is no image layout in {}", path.display());
        }
        let host = Platform::host();
        let platform = self.arguments.platform.as_ref().unwrap_or(&host);
        let platform = (!self.arguments.all).then_some(platform);
        let found = self.store.copy_from_layout(path, name, None, platform)?;
        found
            .ok_or_else(|| {
                anyhow!("there is no image {} in {}", name.unwrap_or("alone"), path.display())
            })
            .hint(format!("list what is there with: tare-store --store {} ls", path.display()))
    }

    fn put(
        &self,
        image: &Descriptor,
        destination: &Place,
        form: LayerForm,
    ) -> anyhow::Result<Descriptor> {
        let image = &self.narrowed(image)?;
        let flag = self.interrupt.flag();
        let hear = |event: store::OutgoingEvent<'_>| self.bars.outgoing(event);
        let watch = Watch { hear: &hear, stop: &flag };
        match destination {
            Place::Store(name) => {
                let name = find::new_name(name).map_err(cli::usage)?;
                self.store.tag(&name, image)?;
                Ok(image.clone())
            }
            Place::Registry(name) => {
                let parcel = Parcel { image, platform: None, form, by_digest: false };
                registry::push(self.store, parcel, name, &self.options, &self.bars, &flag)
                    .map_err(registries::explain)
                    .map(|pushed| pushed.manifest)
                    .with_context(|| format!("cannot copy to {}", name.familiar()))
            }
            Place::Layout(path, name) => {
                let (saved, saving) = (saved(image, name.as_deref()), saving(Format::Oci, form));
                let written = archive::lay_out(self.store, &[saved], saving, path, watch);
                first(written, path)
            }
            Place::OciArchive(path, name) => {
                self.archive(image, path, name.as_deref(), Format::Oci, form, watch)
            }
            Place::DockerArchive(path, name) => {
                self.archive(image, path, name.as_deref(), Format::Docker, form, watch)
            }
            Place::Directory(path) => {
                let outgoing = self.store.outgoing(image, None, form, watch)?;
                archive::write_directory(&outgoing, path, &flag)
                    .map_err(explain)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                Ok(outgoing.image().descriptor.clone())
            }
        }
    }

    /// Of an index the image for the platform, unless all are wanted.
    fn narrowed(&self, image: &Descriptor) -> anyhow::Result<Descriptor> {
        if self.arguments.all {
            return Ok(image.clone());
        }
        let found = match &self.arguments.platform {
            Some(platform) => self.store.image_for(image, platform)?,
            None => self.store.image(image, &Platform::host())?,
        };
        Ok(found.manifest_descriptor)
    }

    fn archive(
        &self,
        image: &Descriptor,
        path: &Path,
        name: Option<&str>,
        format: Format,
        form: LayerForm,
        watch: Watch<'_>,
    ) -> anyhow::Result<Descriptor> {
        if format == Format::Docker && image::media_type::is_index(image.media_type().as_ref()) {
            bail!(
                "docker-archive has no room for images for several platforms; write an oci-archive"
            );
        }
        let mut destination = Destination::open(path, "docker-archive:")?;
        let saved = saved(image, name);
        let written =
            archive::save(self.store, &[saved], saving(format, form), &mut destination, watch);
        let written = first(written, path)?;
        destination.finish()?;
        Ok(written)
    }
}

fn saving(format: Format, form: LayerForm) -> Saving<'static> {
    Saving { format, platform: None, form, ref_name: RefName::Full }
}

/// The image under the name as it was given, which need not be a reference in a layout.
fn saved(image: &Descriptor, name: Option<&str>) -> Saved {
    let names: Vec<Reference> = name.and_then(|name| name.parse().ok()).into_iter().collect();
    Saved { image: image.clone(), names, ref_name: name.map(str::to_owned) }
}

fn first(
    written: Result<Vec<Descriptor>, archive::Error>,
    path: &Path,
) -> anyhow::Result<Descriptor> {
    let failed = || format!("cannot write {}", path.display());
    let written = written.map_err(explain).with_context(failed)?;
    written.into_iter().next().context("nothing was written")
}

/// The image of an archive that is meant.
fn chosen(loaded: Vec<Loaded>, path: &Path, name: Option<&str>) -> anyhow::Result<Descriptor> {
    let wanted: Option<Reference> = name.and_then(|name| name.parse().ok());
    let count = loaded.len();
    let mut named =
        loaded.iter().filter(|it| wanted.as_ref().is_some_and(|name| it.names.contains(name)));
    match (named.next(), name, count) {
        (Some(found), _, _) => Ok(found.image.clone()),
        (None, None, 1) => Ok(loaded[0].image.clone()),
        (None, None, count) => {
            bail!("{} has {count} images; name one behind a colon", path.display())
        }
        // A bare word as a name says nothing where there is only one to be meant.
        (None, Some(_), 1) if loaded[0].names.is_empty() => Ok(loaded[0].image.clone()),
        (None, Some(name), _) => bail!("there is no image {name} in {}", path.display()),
    }
}
