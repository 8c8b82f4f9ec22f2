//! From options to a container on disk, ready to be started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use bundle::BundleOptions;
use cli::ErrorExt as _;
use image::{Network, Platform, Reference, RunOptions};
use store::{Image, Store};

use super::{Arguments, Unfinished};
use crate::Context;
use crate::container::{self, Container, ContainerId, MonitorLock, Record};

pub(super) fn create(
    arguments: &Arguments,
    context: &Context,
    interrupt: &cli::Interrupt,
) -> anyhow::Result<(Container, MonitorLock)> {
    let path = context.store.path()?;
    let store = Store::open(&path)?;
    container::sweep(&context.root, store.root());
    let image = find(&store, arguments)?;
    let record = record(arguments, &store, &image)?;
    let mut options = options(arguments, &record)?;
    let (container, lock) = context.root.create(record)?;
    let unfinished = Unfinished(Some(container));
    let container = unfinished.container()?;
    container.make_data_dir()?;
    super::network::add_files(&mut options, &container.dir())?;
    let options = BundleOptions {
        run: options,
        driver: arguments.driver,
        reference: Some(arguments.image().to_owned()),
        // Its state is gone after a crash of the machine, and so is what it wrote.
        volatile: true,
        interrupt: Some(interrupt.flag()),
        ..BundleOptions::default()
    };
    bundle::create(&store, &image, &container.bundle(), &options)?;
    if let Some(path) = &arguments.cidfile {
        write_id(path, &container.record.id)?;
    }
    let container = container.clone();
    unfinished.finished();
    Ok((container, lock))
}

fn find(store: &Store, arguments: &Arguments) -> anyhow::Result<Image> {
    let name = arguments.image();
    let Some((_, descriptor)) = store.resolve(name)? else {
        return Err(anyhow!("no such image: {name}")).hint(suggestion(store, name));
    };
    Ok(match &arguments.platform {
        Some(platform) => store.image_for(&descriptor, platform)?,
        None => store.image(&descriptor, &Platform::host())?,
    })
}

fn suggestion(store: &Store, name: &str) -> String {
    if let Err(error) = name.parse::<Reference>() {
        return error.to_string();
    }
    let references = store.references().unwrap_or_default();
    let names = references.into_iter().filter_map(|(name, _)| name);
    let near = cli::nearest_images(name, names).join(", ");
    if near.is_empty() {
        format!(
            "get it with: tare store pull {name}, build it with: tare build -t {name} DIR, or import a root file system with: tare store import FILE {name}"
        )
    } else {
        format!("did you mean {near}?")
    }
}

fn record(arguments: &Arguments, store: &Store, image: &Image) -> anyhow::Result<Record> {
    let id = ContainerId::random()?;
    let name = arguments.name.clone().filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| id.words());
    container::check_name(&name)?;
    let config = &image.config.config;
    Ok(Record {
        name,
        image: arguments.image().to_owned(),
        image_id: image.config_digest.to_string(),
        command: arguments.flags.command_line(config, arguments.command()),
        created: SystemTime::now(),
        store: store.root().to_owned(),
        runtime: runtime(&arguments.runtime)?,
        tty: arguments.flags.tty(),
        interactive: arguments.interactive,
        detached: arguments.detach,
        auto_remove: arguments.rm,
        stop_signal: arguments
            .flags
            .stop_signal()
            .map(str::to_owned)
            .or_else(|| Some(config.stop_signal.clone()).filter(|signal| !signal.is_empty())),
        stop_timeout: arguments.stop_timeout,
        labels: labels(&arguments.label),
        id,
    })
}

/// A program by its path, or by a name that is looked up.
fn runtime(program: &Path) -> anyhow::Result<PathBuf> {
    match program.to_str() {
        Some(name) if !name.contains('/') => cli::sibling(name),
        _ => std::path::absolute(program).context("cannot tell the working directory"),
    }
}

fn labels(words: &[String]) -> BTreeMap<String, String> {
    let pair = |word: &String| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        (name.to_owned(), value.to_owned())
    };
    words.iter().map(pair).collect()
}

fn options(arguments: &Arguments, record: &Record) -> anyhow::Result<RunOptions> {
    let mut options = arguments.flags.options(arguments.command())?;
    // Without a parent of ours, which nobody would remove. An ordinary user has none to make one in.
    options.cgroups_path = rootfs::ids().is_none().then(|| format!("/tare-{}", record.id).into());
    if options.hostname.is_none() && options.network != Network::Host {
        options.hostname = Some(record.id.short().to_owned());
    }
    // From the start: a size set later could undo what the command does to it.
    options.console_size = crate::attach::size();
    if arguments.init {
        let own = std::env::current_exe().context("cannot tell where this program is")?;
        options.init = Some(own);
    }
    Ok(options)
}

/// As docker: a file that exists belongs to another container.
fn write_id(path: &Path, id: &ContainerId) -> anyhow::Result<()> {
    std::fs::File::create_new(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, id.as_str().as_bytes()))
        .with_context(|| format!("cannot write the container's id to {}", path.display()))
}
