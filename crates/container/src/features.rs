//! What this runtime can do, told so that an engine need not try (runtime-spec, features.md and
//! features-linux.md). Only what works is named: a field that is refused is told as not enabled.

use serde_json::{Value, json};

/// Options of a mount point; each but the first line has a recursive form with `r` before it.
const MOUNT_OPTIONS: [&str; 9] =
    ["bind", "defaults", "idmap", "rbind", "remount", "ridmap", "tmpcopyup", "ro", "rw"];
const MOUNT_FLAGS: [&str; 16] = [
    "atime",
    "dev",
    "diratime",
    "exec",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "relatime",
    "strictatime",
    "suid",
    "symfollow",
];
const PROPAGATION: [&str; 4] = ["private", "shared", "slave", "unbindable"];
/// Options that the kernel takes for every file system.
const FILE_SYSTEM_OPTIONS: [&str; 11] = [
    "async",
    "dirsync",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noiversion",
    "nolazytime",
    "nomand",
    "silent",
    "sync",
];

/// In the order of the kernel's numbers (linux/capability.h).
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The document that `features` prints.
pub fn features() -> Value {
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": crate::spec::VERSION,
        "hooks": [
            "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
        ],
        "mountOptions": mount_options(),
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            "capabilities": &CAPABILITIES[..],
            "cgroup": {
                "v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true,
            },
            "seccomp": seccomp(),
            "apparmor": { "enabled": true },
            "selinux": { "enabled": true },
            "intelRdt": { "enabled": true, "schemata": true, "monitoring": true },
            "mountExtensions": { "idmap": { "enabled": true } },
            "netDevices": { "enabled": true },
            "memoryPolicy": memory_policy(),
        },
        "annotations": annotations(),
        "potentiallyUnsafeConfigAnnotations": ["org.systemd.property.", "org.criu.config"],
    })
}

fn mount_options() -> Vec<String> {
    let repeated = MOUNT_FLAGS.iter().chain(&PROPAGATION).chain(&["ro", "rw"]);
    let mut options: Vec<_> = repeated.map(|option| format!("r{option}")).collect();
    let plain = [&MOUNT_OPTIONS[..], &MOUNT_FLAGS, &PROPAGATION, &FILE_SYSTEM_OPTIONS].concat();
    options.extend(plain.into_iter().map(str::to_owned));
    options.sort();
    options
}

fn seccomp() -> Value {
    let flags = [
        "SECCOMP_FILTER_FLAG_TSYNC",
        "SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    ];
    json!({
        "enabled": true,
        "actions": [
            "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
            "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE",
            "SCMP_ACT_TRAP",
        ],
        "operators": [
            "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
            "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE",
        ],
        "archs": [
            "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64",
            "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64",
            "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE",
            "SCMP_ARCH_RISCV64", "SCMP_ARCH_S390", "SCMP_ARCH_S390X", "SCMP_ARCH_X32",
            "SCMP_ARCH_X86", "SCMP_ARCH_X86_64",
        ],
        "knownFlags": flags,
        "supportedFlags": flags,
    })
}

fn memory_policy() -> Value {
    json!({
        "modes": [
            "MPOL_DEFAULT", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE",
            "MPOL_PREFERRED", "MPOL_PREFERRED_MANY", "MPOL_LOCAL",
        ],
        "flags": ["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"],
    })
}

fn annotations() -> Value {
    let library = libseccomp::ScmpVersion::current()
        .map(|version| format!("{}.{}.{}", version.major, version.minor, version.micro));
    json!({
        "io.github.seccomp.libseccomp.version": library.unwrap_or_default(),
        // Docker and podman ask for this name.
        "org.opencontainers.runc.checkpoint.enabled": "true",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_capability_can_be_given() {
        use libcontainer::capabilities::CapabilityExt;
        for (number, name) in CAPABILITIES.iter().enumerate() {
            let capability: oci_spec::runtime::Capability =
                serde_json::from_value(json!(name)).unwrap();
            assert_eq!(capability.to_cap().bitmask(), 1 << number, "{name}");
        }
    }

    #[test]
    fn what_is_named_is_known() {
        for option in mount_options() {
            let parsed = crate::rootfs::is_mount_option(&option);
            let of_file_system = FILE_SYSTEM_OPTIONS.contains(&option.as_str());
            assert!(parsed || of_file_system, "{option}");
        }
    }
}
