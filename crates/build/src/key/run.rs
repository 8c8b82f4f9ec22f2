//! The definition of a `RUN`: the command, what surrounds it, and its mounts.

use image::Platform;

use super::{Definition, Key, steps};
use crate::options::BuildOptions;
use crate::plan::{Access, Agent, Mount, MountKind, Network, Run, Secret};

/// What a command meets.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// The files that it runs on.
    pub(crate) parent: Key,
    /// The machine that it is for.
    pub(crate) platform: &'a Platform,
    /// For each mount: the files that it shows, or that its cache starts with.
    pub(crate) mounted: &'a [Option<Key>],
    /// What the build says for all its commands.
    pub(crate) build: &'a BuildOptions,
}

/// A `RUN`.
pub(crate) fn run(run: &Run, around: &Surroundings<'_>) -> Definition {
    let mut definition = Definition::new("run/3")
        .field("parent", around.parent.as_bytes())
        .field("platform", around.platform.to_string())
        .list("args", &run.args)
        .list("env", &run.env)
        .field("user", &run.user)
        .field("directory", &run.working_dir)
        .field("network", [u8::from(run.network == Network::None)]);
    add_container(run, around.build, &mut definition);
    if let Some((name, content)) = &run.script {
        definition = definition.field("script", name).field("content", content);
    }
    for (mount, files) in run.mounts.iter().zip(around.mounted) {
        add_mount(mount, *files, &mut definition);
    }
    run.secrets.iter().for_each(|secret| add_secret(secret, &mut definition));
    run.agents.iter().for_each(|agent| add_agent(agent, &mut definition));
    steps::add_epoch(around.build.source_date_epoch, &mut definition);
    definition
}

/// What of the container changes what a command makes. Addresses of hosts do not count, as with
/// BuildKit: only which names there are.
fn add_container(run: &Run, build: &BuildOptions, definition: &mut Definition) {
    definition.add("hostname", run.hostname.as_bytes());
    definition.add("insecure", &[u8::from(run.insecure)]);
    build.hosts.iter().for_each(|host| definition.add("host", host.name.as_bytes()));
    for limit in &build.ulimits {
        definition.add("ulimit", limit.name.as_bytes());
        [limit.soft, limit.hard].iter().for_each(|n| definition.add("limit", &n.to_le_bytes()));
    }
    if let Some(size) = build.shm_size {
        definition.add("shm", &size.to_le_bytes());
    }
    if let Some(parent) = &build.cgroup_parent {
        definition.add("cgroup", parent.as_os_str().as_encoded_bytes());
    }
}

/// The content of a cache does not count: it may be lost at any time.
fn add_mount(mount: &Mount, files: Option<Key>, definition: &mut Definition) {
    definition.add("mount", mount.target.as_bytes());
    definition.add("read-only", &[u8::from(mount.read_only)]);
    match &mount.kind {
        MountKind::Bind { source, .. } => {
            definition.add("bind", source.as_bytes());
            let key = files.map(|files| *files.as_bytes()).unwrap_or_default();
            definition.add("files", &key);
        }
        MountKind::Cache { id, source, access, .. } => {
            definition.add("part", source.as_bytes());
            definition.add("cache", cache_mount(id, files, *access).as_bytes());
        }
        MountKind::Tmpfs { size } => definition.add("tmpfs", &size.unwrap_or(0).to_le_bytes()),
    }
}

/// What tells caches apart: those of one name that start differently are different.
pub(crate) fn cache_mount(id: &str, from: Option<Key>, access: Option<Access>) -> Key {
    let mut definition = Definition::new("cache-mount/2").field("id", id);
    if let Some(from) = from {
        definition.add("from", from.as_bytes());
    }
    if let Some(access) = access {
        add_access(access, &mut definition);
    }
    definition.key()
}

/// Never what it holds.
fn add_secret(secret: &Secret, definition: &mut Definition) {
    definition.add("secret", secret.id.as_bytes());
    add_access(secret.access, definition);
    for (name, value) in [("secret-target", &secret.target), ("secret-env", &secret.env)] {
        if let Some(value) = value {
            definition.add(name, value.as_bytes());
        }
    }
}

fn add_agent(agent: &Agent, definition: &mut Definition) {
    definition.add("agent", agent.id.as_bytes());
    definition.add("agent-target", agent.target.as_bytes());
    add_access(agent.access, definition);
}

fn add_access(access: Access, definition: &mut Definition) {
    for part in [access.mode, access.uid, access.gid] {
        definition.add("access", &part.to_le_bytes());
    }
}
