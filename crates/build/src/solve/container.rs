//! What the container of a `RUN` is like, beside its files: what the step, and what the build says.

use std::fs;
use std::path::{Path, PathBuf};

use image::{Device, Network, RunOptions};

use crate::options::BuildOptions;
use crate::plan::{self, Run};

/// Where the cgroups of containers are, unless the build says.
const CGROUP_PARENT: &str = "/tare";

/// The container with this name, yet without mounts.
pub(super) fn options(
    run: &Run,
    build: &BuildOptions,
    own_network: Option<PathBuf>,
    id: &str,
) -> RunOptions {
    // An ordinary user's containers have cgroups only where the user says which.
    let usual = rootfs::ids().is_none().then_some(Path::new(CGROUP_PARENT));
    let parent = build.cgroup_parent.as_deref().or(usual);
    let default = RunOptions::default();
    RunOptions {
        args: run.args.clone(),
        env: environment(run),
        workdir: Some(run.working_dir.clone()),
        user: Some(run.user.clone()).filter(|user| !user.is_empty()),
        hostname: Some(run.hostname.clone()),
        network: match run.network {
            plan::Network::Default => own_network.map_or(Network::Host, Network::Path),
            plan::Network::Host => Network::Host,
            plan::Network::None => Network::None,
        },
        privileged: run.insecure,
        host_capabilities: if run.insecure { capabilities() } else { None },
        devices: if run.insecure { loop_devices() } else { Vec::new() },
        shm_size: build.shm_size.unwrap_or(default.shm_size),
        ulimits: build.ulimits.clone(),
        cgroups_path: parent.map(|parent| cgroup(parent, id)),
        user_namespace: bundle::user_namespace(),
        ..default
    }
}

/// The container's cgroup: below a parent, or in a slice as systemd names it.
fn cgroup(parent: &Path, id: &str) -> PathBuf {
    Path::new("/").join(parent.strip_prefix("/").unwrap_or(parent)).join(id)
}

/// What the command sees of the environment; the name of the host, which differs from builder to
/// builder, only where the Dockerfile sets one.
fn environment(run: &Run) -> Vec<String> {
    let mut env: Vec<String> = run.env.iter().chain(&run.proxies).cloned().collect();
    if !env.iter().any(|entry| entry.starts_with("HOSTNAME=")) {
        env.push("HOSTNAME".to_owned());
    }
    env
}

/// What the builder itself may do (proc_pid_status(5), `CapBnd`): it can give no more.
fn capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let bound = status.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
    u64::from_str_radix(bound.trim(), 16).ok()
}

/// Loop devices, by which an insecure command can mount images that it makes. It may use any other
/// device as well: it has the capability to make the node.
fn loop_devices() -> Vec<Device> {
    let node = |path: String, block, major, minor| Device {
        path: PathBuf::from(path),
        block,
        major,
        minor,
        mode: 0o600,
        uid: 0,
        gid: 0,
        access: "rwm".to_owned(),
    };
    let control = node("/dev/loop-control".to_owned(), false, 10, 237);
    let loops = (0..8).map(|number| node(format!("/dev/loop{number}"), true, 7, number));
    // In a user namespace none can be made: those that the host has are shown.
    let can_be = |device: &Device| rootfs::ids().is_none() || device.path.exists();
    std::iter::once(control).chain(loops).filter(can_be).collect()
}
