//! `tare-store commit`: what a container changed, or somebody in an unpacked directory, as a new image.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use bundle::{Committed, Record, Unpacked};
use cli::ErrorExt as _;
use image::Reference;
use store::{Image, Store};

use crate::amend::{self, AmendFlags};
use crate::{find, rootless};

/// A container should have ended, or be paused. What was mounted in it, and its volumes, are left out. In a
/// directory that tare-store unpack made, only those files are read that have changed since.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    amend: AmendFlags,
    /// The image that the directory is a changed copy of, where tare-store unpack has not made it: every file is
    /// read and compared
    #[arg(long, value_name = "IMAGE")]
    base: Option<String>,
    /// A bundle that tare-store bundle made, or a directory that tare-store unpack made
    dir: PathBuf,
    /// Name of the new image
    #[arg(value_parser = find::new_name)]
    name: Reference,
}

/// Prints the digest of the image's manifest.
pub(crate) fn run(arguments: &Arguments, store: &cli::StoreFlag) -> anyhow::Result<ExitCode> {
    let digest = commit(arguments, store).with_context(|| {
        format!("cannot commit {} as {}", arguments.dir.display(), arguments.name.familiar())
    })?;
    cli::print(digest)?;
    Ok(ExitCode::SUCCESS)
}

fn commit(arguments: &Arguments, store: &cli::StoreFlag) -> anyhow::Result<String> {
    let (dir, newest) = (&arguments.dir, arguments.amend.newest());
    let source = Source::of(arguments, store)?;
    if source.is_of_namespace() {
        rootless::enter()?;
    }
    // The image can only go where its layers are.
    let (store, of) = (Store::open(source.store())?, source.image().to_owned());
    let committed = match source {
        Source::Bundle(_) => bundle::commit(&store, dir, newest)?,
        Source::Unpacked(unpacked) => bundle::commit_unpacked(&store, dir, &unpacked, newest)?,
        Source::Directory { base, .. } => bundle::commit_directory(&store, dir, *base, newest)?,
    };
    let Committed { base, layer, .. } = committed;
    let mut config = base.config.clone();
    let (layer, diff_id) = layer.unzip();
    arguments.amend.apply(&mut config, format!("commit of {of}"), diff_id)?;
    let manifest = amend::put(&store, &base, &config, layer, &arguments.name)?;
    Ok(manifest.digest().to_string())
}

/// Where the changes are.
enum Source {
    Bundle(Record),
    Unpacked(Unpacked),
    Directory { base: Box<Image>, name: String, store: PathBuf },
}

impl Source {
    fn of(arguments: &Arguments, store: &cli::StoreFlag) -> anyhow::Result<Self> {
        let dir = &arguments.dir;
        if let Some(name) = &arguments.base {
            let store = Store::open(&store.path()?)?;
            let (_, base) = find::image(&store, name, None)?;
            let (base, name, store) = (Box::new(base), name.clone(), store.root().to_owned());
            return Ok(Self::Directory { base, name, store });
        }
        match Record::read(dir) {
            Err(bundle::Error::NotABundle(_)) => {}
            record => return Ok(Self::Bundle(record?)),
        }
        match Unpacked::read(dir)? {
            Some(unpacked) => Ok(Self::Unpacked(unpacked)),
            None => unknown(dir),
        }
    }

    fn is_of_namespace(&self) -> bool {
        match self {
            Self::Bundle(_) => true,
            Self::Unpacked(unpacked) => unpacked.is_of_namespace(),
            Self::Directory { .. } => false,
        }
    }

    fn store(&self) -> &Path {
        match self {
            Self::Bundle(record) => &record.store,
            Self::Unpacked(unpacked) => &unpacked.store,
            Self::Directory { store, .. } => store,
        }
    }

    /// The image's name, for the history.
    fn image(&self) -> &str {
        let (reference, else_called) = match self {
            Self::Bundle(record) => (&record.reference, "a container"),
            Self::Unpacked(unpacked) => (&unpacked.reference, "an image"),
            Self::Directory { name, .. } => return name,
        };
        reference.as_deref().unwrap_or(else_called)
    }
}

/// A directory that does not say of which image it is.
fn unknown(dir: &Path) -> anyhow::Result<Source> {
    let shown = dir.display();
    if dir.join("umoci.json").exists() {
        return Err(anyhow!("{dir:?} is a bundle of umoci's")).hint(format!(
            "umoci repack makes a layer of it, or, reading every file, tare-store commit --base IMAGE {shown}/rootfs NAME"
        ));
    }
    Err(anyhow!(
        "{dir:?} is neither a bundle of tare's nor a directory that tare-store unpack made"
    ))
    .hint(format!(
        "name the image that it is a changed copy of: tare-store commit --base IMAGE {shown} NAME"
    ))
}
