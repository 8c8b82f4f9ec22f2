//! The Linux part: namespaces, devices, masked paths.

use oci_spec::runtime::{
    Linux, LinuxBuilder, LinuxDevice, LinuxDeviceBuilder, LinuxDeviceCgroup,
    LinuxDeviceCgroupBuilder, LinuxDeviceType, LinuxNamespace, LinuxNamespaceBuilder,
    LinuxNamespaceType,
};

use super::{
    Device, Error, MountKind, Network, Propagation, RunOptions, Seccomp, resources, seccomp,
};

/// Parts of /proc and /sys that tell of the host or reach it: docker's list.
const MASKED: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Parts of /proc that may be read, never written: docker's list.
const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub(super) fn linux(options: &RunOptions) -> Result<Linux, Error> {
    let masked = options.masked_paths && !options.privileged;
    let paths = |list: &[&str]| -> Vec<String> {
        list.iter().filter(|_| masked).map(ToString::to_string).collect()
    };
    let mut builder = LinuxBuilder::default()
        .namespaces(namespaces(options))
        .resources(resources::resources(&options.resources, device_rules(options))?)
        .devices(options.devices.iter().map(device).collect::<Vec<_>>())
        .masked_paths(paths(&MASKED))
        .readonly_paths(paths(&READ_ONLY));
    if options.seccomp == Seccomp::Default && !options.privileged {
        builder = builder.seccomp(seccomp::profile(options)?);
    }
    if let Some(path) = &options.cgroups_path {
        builder = builder.cgroups_path(path.clone());
    }
    if !options.sysctls.is_empty() {
        builder = builder.sysctl(
            options.sysctls.clone().into_iter().collect::<std::collections::HashMap<_, _>>(),
        );
    }
    if let Some(propagation) = rootfs_propagation(options) {
        builder = builder.rootfs_propagation(propagation);
    }
    Ok(builder.build().expect("every field has a default"))
}

fn namespaces(options: &RunOptions) -> Vec<LinuxNamespace> {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network as Net, Pid, Uts};
    let own = |kind| LinuxNamespaceBuilder::default().typ(kind);
    let mut builders: Vec<_> = [Mount, Uts, Pid, Ipc].map(own).into();
    match &options.network {
        Network::Host => {}
        Network::None => builders.push(own(Net)),
        Network::Path(path) => builders.push(own(Net).path(path.clone())),
    }
    if options.cgroup_namespace {
        builders.push(own(Cgroup));
    }
    builders.into_iter().map(|builder| builder.build().expect("the type is given")).collect()
}

/// Mounts can travel only when they may travel through the container's root.
fn rootfs_propagation(options: &RunOptions) -> Option<&'static str> {
    let rank = |mount: &super::Mount| match mount.kind {
        MountKind::Bind { propagation: Propagation::Shared | Propagation::RShared, .. } => 2,
        MountKind::Bind { propagation: Propagation::Slave | Propagation::RSlave, .. } => 1,
        _ => 0,
    };
    match options.mounts.iter().map(rank).max() {
        Some(2) => Some("shared"),
        Some(1) => Some("rslave"),
        _ => None,
    }
}

/// The cgroup's device rules: nodes may be made, and the harmless ones and the user's be used.
fn device_rules(options: &RunOptions) -> Vec<LinuxDeviceCgroup> {
    use LinuxDeviceType::{A, B, C};
    if options.privileged {
        return vec![rule(true, A, None, None, "rwm")];
    }
    // null, full, zero, random, urandom, tty, console and ptmx; then pseudo-terminals.
    const USABLE: [(i64, i64); 8] =
        [(1, 3), (1, 7), (1, 5), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)];
    let mut rules = vec![
        rule(false, A, None, None, "rwm"),
        rule(true, C, None, None, "m"),
        rule(true, B, None, None, "m"),
    ];
    rules.extend(USABLE.map(|(major, minor)| rule(true, C, Some(major), Some(minor), "rwm")));
    rules.push(rule(true, C, Some(136), None, "rwm"));
    rules.extend(options.devices.iter().map(|device| {
        let (major, minor) = (i64::from(device.major), i64::from(device.minor));
        rule(true, kind(device), Some(major), Some(minor), &device.access)
    }));
    rules
}

fn rule(
    allow: bool,
    kind: LinuxDeviceType,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> LinuxDeviceCgroup {
    let mut builder = LinuxDeviceCgroupBuilder::default().allow(allow).typ(kind).access(access);
    if let Some(major) = major {
        builder = builder.major(major);
    }
    if let Some(minor) = minor {
        builder = builder.minor(minor);
    }
    builder.build().expect("every field has a default")
}

fn kind(device: &Device) -> LinuxDeviceType {
    if device.block { LinuxDeviceType::B } else { LinuxDeviceType::C }
}

fn device(device: &Device) -> LinuxDevice {
    LinuxDeviceBuilder::default()
        .path(&device.path)
        .typ(kind(device))
        .major(i64::from(device.major))
        .minor(i64::from(device.minor))
        .file_mode(device.mode)
        .uid(device.uid)
        .gid(device.gid)
        .build()
        .expect("every field is given")
}
