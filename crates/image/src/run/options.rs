//! What a user may ask of a container. Defaults are docker's.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Everything that `run` and `create` take, already parsed; nothing here was looked up on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct RunOptions {
    /// Where the root file system is, absolute or relative to the bundle: `rootfs`.
    pub rootfs: PathBuf,
    /// The command; empty takes the image's.
    pub args: Vec<String>,
    /// Replaces the image's entrypoint, and with it the image's command; empty clears it.
    pub entrypoint: Option<Vec<String>>,
    /// `NAME=value` sets, `NAME` alone unsets a variable.
    pub env: Vec<String>,
    /// Replaces the image's working directory; absolute.
    pub workdir: Option<String>,
    /// Replaces the image's user: `user[:group]`.
    pub user: Option<String>,
    /// Further supplementary groups, by name or number.
    pub group_add: Vec<String>,
    /// The container's own host name. With none the host's shows.
    pub hostname: Option<String>,
    /// Whether the program gets a terminal.
    pub tty: bool,
    /// The terminal's size: rows, columns.
    pub console_size: Option<(u16, u16)>,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// All capabilities and devices, nothing masked, no seccomp.
    pub privileged: bool,
    /// Capabilities to add: `NET_ADMIN`, `CAP_NET_ADMIN`, `ALL`.
    pub cap_add: Vec<String>,
    /// Capabilities to drop.
    pub cap_drop: Vec<String>,
    /// What the host itself may use, as the bit mask that proc(5) has as `CapBnd` in
    /// `/proc/self/status`: all and default capabilities are limited to it. With none, all of Linux's.
    pub host_capabilities: Option<u64>,
    /// The network that the container sees.
    pub network: Network,
    /// The user namespace in which all of this is to be made; without one it is the machine's own.
    pub user_namespace: Option<UserNamespace>,
    /// Further mounts; one at a default destination takes its place.
    pub mounts: Vec<Mount>,
    /// Directories that are to be there and writable, besides the image's volumes; absolute in the
    /// container. Whoever makes the root file system makes them.
    pub volumes: Vec<PathBuf>,
    /// Device nodes to make and allow. The caller lists the host's for `privileged`.
    pub devices: Vec<Device>,
    /// cgroup limits.
    pub resources: Resources,
    /// Size of /dev/shm in bytes.
    pub shm_size: u64,
    /// Resource limits of the process. What is not named is inherited.
    pub ulimits: Vec<Ulimit>,
    /// OOM score adjustment, -1000 to 1000; inherited when absent.
    pub oom_score_adj: Option<i32>,
    /// A static program on the host that becomes process 1 and starts the command: it is mounted
    /// read-only at `/sbin/tare-init` and called as `/sbin/tare-init -- COMMAND`.
    pub init: Option<PathBuf>,
    /// Where the container is in the cgroup hierarchy; the runtime decides when absent.
    pub cgroups_path: Option<PathBuf>,
    /// Whether the container gets a cgroup namespace of its own.
    pub cgroup_namespace: bool,
    /// Whether /sys/fs/cgroup is mounted.
    pub cgroup_mount: bool,
    /// Whether /dev/mqueue is mounted.
    pub mqueue_mount: bool,
    /// Whether the sensitive parts of /proc and /sys are hidden or read-only.
    pub masked_paths: bool,
    /// Which system calls are allowed.
    pub seccomp: Seccomp,
    /// Whether the program and its children may never gain privileges.
    pub no_new_privileges: bool,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Annotations of the runtime configuration.
    pub annotations: BTreeMap<String, String>,
    /// Replaces the image's stop signal.
    pub stop_signal: Option<String>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            rootfs: PathBuf::from("rootfs"),
            args: Vec::new(),
            entrypoint: None,
            env: Vec::new(),
            workdir: None,
            user: None,
            group_add: Vec::new(),
            hostname: None,
            tty: false,
            console_size: None,
            read_only: false,
            privileged: false,
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            host_capabilities: None,
            network: Network::default(),
            user_namespace: None,
            mounts: Vec::new(),
            volumes: Vec::new(),
            devices: Vec::new(),
            resources: Resources::default(),
            shm_size: 64 << 20,
            ulimits: Vec::new(),
            oom_score_adj: None,
            init: None,
            cgroups_path: None,
            cgroup_namespace: true,
            cgroup_mount: true,
            mqueue_mount: true,
            masked_paths: true,
            seccomp: Seccomp::default(),
            no_new_privileges: false,
            sysctls: BTreeMap::new(),
            annotations: BTreeMap::new(),
            stop_signal: None,
        }
    }
}

/// What an ordinary user's user namespace is like, in which containers are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserNamespace {
    /// Whether it has the group 5, to which terminals belong.
    pub has_tty_group: bool,
    /// Whether processes in it may have supplementary groups (user_namespaces(7), `setgroups`).
    pub sets_groups: bool,
    /// Whether procfs can be mounted; else the one that is there is shown.
    pub mounts_proc: bool,
    /// Whether sysfs can be mounted; else the one that is there is shown.
    pub mounts_sysfs: bool,
}

/// The network that a container sees.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Network {
    /// The host's.
    #[default]
    Host,
    /// A namespace with nothing but a loopback device.
    None,
    /// A namespace that exists already, by its path.
    Path(PathBuf),
}

/// Which system calls a container may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Seccomp {
    /// Docker's default profile; the rest fails with `EPERM`.
    #[default]
    Default,
    /// All.
    Unconfined,
}

/// A mount of the user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it appears, absolute in the container.
    pub destination: PathBuf,
    /// What is mounted.
    pub kind: MountKind,
    /// Whether it is read-only.
    pub read_only: bool,
    /// Further options, as mount(8) has them, such as `noexec` and `size=64m`.
    pub options: Vec<String>,
}

/// What a mount shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// A file or directory of the host.
    Bind {
        /// Its absolute path.
        source: PathBuf,
        /// Whether mounts below it come along.
        recursive: bool,
        /// Whether later mounts travel between host and container.
        propagation: Propagation,
    },
    /// An empty file system in memory.
    Tmpfs,
    /// Another file system type of the kernel.
    Other {
        /// Its type: `mqueue`.
        kind: String,
        /// Its source; the type's name often does.
        source: String,
    },
}

/// Whether later mounts below a bind mount travel between host and container (mount_namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Propagation {
    /// They do not; submounts alike.
    #[default]
    RPrivate,
    /// They do not.
    Private,
    /// The host's reach the container; submounts alike.
    RSlave,
    /// The host's reach the container.
    Slave,
    /// Both ways; submounts alike.
    RShared,
    /// Both ways.
    Shared,
}

/// A device node in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its path in the container.
    pub path: PathBuf,
    /// `true` for a block device, `false` for a character device.
    pub block: bool,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// What the cgroup allows: some of `r`, `w`, `m`.
    pub access: String,
}

/// cgroup limits. Absent is unlimited.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Resources {
    /// Memory in bytes, at least 6 MiB.
    pub memory: Option<u64>,
    /// Memory and swap together in bytes; -1 is unlimited; absent is twice the memory limit.
    pub memory_swap: Option<i64>,
    /// Memory in bytes to shrink to under pressure; below the limit.
    pub memory_reservation: Option<u64>,
    /// 0 to 100: how readily memory is swapped out; cgroup v1 only.
    pub memory_swappiness: Option<u64>,
    /// Whether the OOM killer spares the container; cgroup v1 only.
    pub oom_kill_disable: bool,
    /// Set where the kernel does not account for swap: no swap limit is written then.
    pub no_swap_accounting: bool,
    /// CPUs in billionths: 1.5 CPUs are 1,500,000,000.
    pub nano_cpus: Option<u64>,
    /// Weight against others, 1024 being the usual.
    pub cpu_shares: Option<u64>,
    /// CPUs to run on: `0-2,7`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes to use: `0,1`.
    pub cpuset_mems: Option<String>,
    /// Processes and threads; 0 and below are unlimited.
    pub pids_limit: Option<i64>,
}

/// A resource limit (getrlimit(2)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ulimit {
    /// Its name in lower case without prefix: `nofile`.
    pub name: String,
    /// What is enforced; `u64::MAX` is unlimited.
    pub soft: u64,
    /// What the soft limit may be raised to; `u64::MAX` is unlimited.
    pub hard: u64,
}
