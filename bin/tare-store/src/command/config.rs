//! `tare-store config`: a new image with another configuration.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use image::{ImageConfig, Platform, Reference};
use store::Store;

use crate::amend::{self, AmendFlags};
use crate::find;

/// The layers stay the same, and so does the image that it is made of.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    amend: AmendFlags,
    /// Take a variable out of the environment
    #[arg(long, value_name = "NAME")]
    unset_env: Vec<String>,
    /// Take a label away
    #[arg(long, value_name = "KEY")]
    unset_label: Vec<String>,
    /// Empty a field before anything is changed: cmd, entrypoint, env, expose, healthcheck, history, labels,
    /// onbuild, shell, stopsignal, user, volumes or workdir
    #[arg(long, value_name = "FIELD", value_parser = ["cmd", "entrypoint", "env", "expose", "healthcheck", "history",
        "labels", "onbuild", "shell", "stopsignal", "user", "volumes", "workdir"])]
    clear: Vec<String>,
    /// Add no step to the history
    #[arg(long)]
    no_history: bool,
    /// Which image of several
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Image, by name or id
    image: String,
    /// Name of the new image
    #[arg(value_parser = find::new_name)]
    name: Reference,
}

/// Prints the digest of the image's manifest.
pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    let digest = make(arguments, store)
        .with_context(|| format!("cannot change the configuration of {}", arguments.image))?;
    cli::print(digest)?;
    Ok(ExitCode::SUCCESS)
}

fn make(arguments: &Arguments, store: &Store) -> anyhow::Result<String> {
    let (_, image) = find::image(store, &arguments.image, arguments.platform.as_ref())?;
    let mut config = image.config.clone();
    arguments.clear.iter().for_each(|field| clear(&mut config, field));
    for name in &arguments.unset_env {
        let before = config.config.env.len();
        config.config.env.retain(|entry| entry.split('=').next() != Some(name));
        if config.config.env.len() == before {
            bail!("there is no variable {name} in the environment");
        }
    }
    for key in &arguments.unset_label {
        if config.config.labels.remove(key).is_none() {
            bail!("there is no label {key}");
        }
    }
    let steps = config.history.len();
    arguments.amend.apply(&mut config, by(&arguments.amend.change), None)?;
    if arguments.no_history {
        config.history.truncate(steps);
    }
    let manifest = amend::put(store, &image, &config, None, &arguments.name)?;
    Ok(manifest.digest().to_string())
}

/// What the history says: the instructions.
fn by(changes: &[String]) -> String {
    if changes.is_empty() { "config".to_owned() } else { changes.join("; ") }
}

fn clear(config: &mut ImageConfig, field: &str) {
    let set = &mut config.config;
    match field {
        "cmd" => set.cmd = None,
        "entrypoint" => set.entrypoint = None,
        "env" => set.env.clear(),
        "expose" => set.exposed_ports.clear(),
        "healthcheck" => set.healthcheck = None,
        "labels" => set.labels.clear(),
        "onbuild" => set.on_build.clear(),
        "shell" => set.shell.clear(),
        "stopsignal" => set.stop_signal.clear(),
        "user" => set.user.clear(),
        "volumes" => set.volumes.clear(),
        "workdir" => set.working_dir.clear(),
        // One step for each layer stays, without a word: readers pair them.
        _ => {
            config.history.retain(|step| !step.empty_layer);
            config.history.iter_mut().for_each(|step| *step = image::History::default());
        }
    }
}
