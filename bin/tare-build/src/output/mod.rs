//! Where a built image goes: the store, registries, archives, directories.
//!
//! ```text
//! flag      --output in buildx's words ─▶ what is asked for
//! archive   type=oci, docker ─▶ a tar, or a layout
//! files     type=tar, local  ─▶ the files alone
//! push      type=registry    ─▶ tare-store push
//! metadata  what --metadata-file says of it
//! ```

mod archive;
mod files;
mod flag;
mod metadata;
mod push;

use std::path::PathBuf;

use build::BuiltImage;
use cli::{Interrupt, ProgressMode};
use image::Reference;
use store::Store;

use crate::arguments::Arguments;
use crate::progress::{Explanations, ProgressFlag};
pub(crate) use flag::OutputFlag;
use flag::{ImageFile, Kind, Pushing};
use metadata::Metadata;

/// All outputs of a build, at least one.
pub(crate) struct Outputs {
    all: Vec<OutputFlag>,
}

/// What is delivered, and how.
pub(crate) struct Delivery<'a> {
    pub(crate) arguments: &'a Arguments,
    pub(crate) store: &'a Store,
    pub(crate) image: &'a BuiltImage,
    /// `SOURCE_DATE_EPOCH`: the time of exported files, in seconds since 1970.
    pub(crate) epoch: Option<i64>,
    /// Why steps were done, where that is asked for.
    pub(crate) explained: Option<Explanations>,
    pub(crate) interrupt: &'a Interrupt,
}

impl Delivery<'_> {
    /// Whether other programs have to keep silent: standard error may be for machines.
    fn is_quiet(&self) -> anyhow::Result<bool> {
        Ok(
            !matches!(self.arguments.progress()?, ProgressFlag::Shown(mode) if mode != ProgressMode::Quiet),
        )
    }
}

impl Outputs {
    /// What the flags ask for together.
    pub(crate) fn resolve(arguments: &Arguments) -> anyhow::Result<Self> {
        let mut all = arguments.outputs.clone();
        if arguments.load || all.is_empty() {
            all.push(OutputFlag::image(false));
        }
        if arguments.push {
            match all.iter_mut().find(|output| matches!(output.kind, Kind::Image(_))) {
                Some(OutputFlag { kind: Kind::Image(pushing), .. }) => pushing.wanted = true,
                _ => all.push(OutputFlag::image(true)),
            }
        }
        let outputs = Self { all };
        if outputs.all.iter().filter(|output| output.is_stdout()).count() > 1 {
            return Err(cli::usage("only one output can go to standard output"));
        }
        let nameless = |it: &&OutputFlag| it.pushes() && it.names(arguments).is_empty();
        if outputs.all.iter().any(|it| nameless(&it)) {
            return Err(cli::usage("a name is needed to push an image; give one with --tag"));
        }
        Ok(outputs)
    }

    /// Whether the image gets a place in the store's index.
    pub(crate) fn to_store(&self) -> bool {
        self.all.iter().any(|output| matches!(output.kind, Kind::Image(_)))
    }

    /// Whether a result of the build, and so nothing else, goes to standard output.
    pub(crate) fn to_stdout(&self) -> bool {
        self.all.iter().any(OutputFlag::is_stdout)
    }

    /// Whether one of them asks for times that are not younger than `SOURCE_DATE_EPOCH`.
    pub(crate) fn rewrite_times(&self) -> bool {
        self.all.iter().any(|output| output.rewrite_times)
    }

    /// What can be said before the build, which may take long.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.to_stdout() && std::io::IsTerminal::is_terminal(&std::io::stdout()) {
            return Err(cli::hinted(
                anyhow::anyhow!("standard output is a terminal"),
                "pipe the output into a program, or name a file: dest=FILE",
            ));
        }
        Ok(())
    }

    /// Delivers to each; what the last one says of the image stands in the metadata.
    pub(crate) fn deliver(&self, delivery: &Delivery<'_>) -> anyhow::Result<Metadata> {
        let mut metadata = Metadata::of(delivery)?;
        for output in &self.all {
            delivery.interrupt.check()?;
            let names = output.names(delivery.arguments);
            match &output.kind {
                Kind::Image(pushing) => {
                    for name in output.own_names() {
                        delivery.store.tag(name, &delivery.image.manifest)?;
                    }
                    if pushing.wanted {
                        let pushed = push::push(delivery, output, &names, *pushing)?;
                        metadata.image(&pushed, &names);
                    } else {
                        metadata.image(&delivery.image.manifest, &names);
                    }
                }
                Kind::Archive(file) => {
                    let written = archive::write(delivery, output, file, names.clone())?;
                    metadata.image(&written, &names);
                }
                Kind::Files { dest, tar, split } => {
                    files::write(delivery, dest, *tar, *split)?;
                }
                Kind::CacheOnly => {}
            }
        }
        Ok(metadata)
    }
}

impl OutputFlag {
    /// The names that the image has there: the output's own, or else those of the build.
    fn names(&self, arguments: &Arguments) -> Vec<Reference> {
        match self.own_names() {
            [] => arguments.tags.clone(),
            own => own.to_vec(),
        }
    }

    fn pushes(&self) -> bool {
        matches!(self.kind, Kind::Image(Pushing { wanted: true, .. }))
    }

    fn is_stdout(&self) -> bool {
        let dest: Option<&PathBuf> = match &self.kind {
            Kind::Archive(ImageFile { dest, .. }) => Some(dest),
            Kind::Files { dest, tar: true, .. } => Some(dest),
            _ => None,
        };
        dest.is_some_and(|dest| dest.as_os_str() == "-")
    }
}
