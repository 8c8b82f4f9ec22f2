//! What a further process of a container gets: as its first process, but for what the options say.

use std::path::PathBuf;

use anyhow::Context as _;
use image::{ContainerConfig, ImageConfig, RunOptions};
use oci_spec::runtime::{Process, Spec};

use super::Arguments;
use crate::container::Container;

pub(super) fn process(container: &Container, arguments: &Arguments) -> anyhow::Result<Process> {
    let path = container.bundle().join("config.json");
    let spec = Spec::load(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let first = spec.process().clone().unwrap_or_default();
    let config = ImageConfig { config: defaults(&first, arguments), ..ImageConfig::default() };
    // As they are now: the container may have added some.
    let users = bundle::read_users(&rootfs(container))?;
    let spec = image::runtime_spec(&config, &options(&first, arguments)?, &users)?;
    let mut process = spec.process().clone().context("no process was described")?;
    process.set_rlimits(first.rlimits().clone());
    process.set_oom_score_adj(first.oom_score_adj());
    process.set_no_new_privileges(first.no_new_privileges());
    Ok(process)
}

/// The container's root: as it is mounted, or where only a user namespace sees that, as its first process has it.
fn rootfs(container: &Container) -> PathBuf {
    match container.process().filter(|_| rootfs::ids().is_some()) {
        Some(process) => PathBuf::from(format!("/proc/{}/root", process.pid)),
        None => container.bundle().join("rootfs"),
    }
}

/// The first process' own settings, in the place of an image's.
fn defaults(first: &Process, arguments: &Arguments) -> ContainerConfig {
    let user = first.user();
    let mut env = first.env().clone().unwrap_or_default();
    // Another user has another home.
    env.retain(|entry| arguments.user.is_none() || !entry.starts_with("HOME="));
    ContainerConfig {
        user: format!("{}:{}", user.uid(), user.gid()),
        env,
        working_dir: first.cwd().to_string_lossy().into_owned(),
        ..ContainerConfig::default()
    }
}

fn options(first: &Process, arguments: &Arguments) -> anyhow::Result<RunOptions> {
    let groups = first.user().additional_gids().clone().unwrap_or_default();
    Ok(RunOptions {
        args: arguments.command().to_vec(),
        env: cli::variables(&arguments.env, &arguments.env_file)?,
        workdir: arguments.workdir.clone(),
        user: arguments.user.clone(),
        group_add: match arguments.user {
            Some(_) => Vec::new(),
            None => groups.iter().map(u32::to_string).collect(),
        },
        tty: arguments.tty,
        console_size: crate::attach::size(),
        privileged: arguments.privileged,
        cap_drop: vec!["ALL".to_owned()],
        cap_add: bounding(first),
        ..RunOptions::default()
    })
}

/// What the container may have at most is what a root process in it has.
fn bounding(first: &Process) -> Vec<String> {
    let capabilities = first.capabilities().as_ref();
    let bounding = capabilities.and_then(|all| all.bounding().clone()).unwrap_or_default();
    bounding.iter().map(ToString::to_string).collect()
}
