//! docker's options for a container, the same in `tare run` and `tare-store bundle`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use image::{
    ContainerConfig, Mount, MountKind, Network, Resources, RunOptions, Seccomp, Ulimit, parse,
};

use crate::{ErrorExt as _, devices, env};

/// The smallest memory limit, in bytes: below it, not even the runtime's own first process fits.
const LEAST_MEMORY: u64 = 6 << 20;

/// Options that end up in a container's `config.json`. Flatten it into a command, and give that
/// command `disable_help_flag`: `-h` is the host name, as docker has it.
#[derive(Clone, Debug, clap::Args)]
pub struct RunFlags {
    /// Set a variable: NAME=VALUE, or NAME alone to take it from here
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Read variables from a file, one per line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Show a host's directory or file in the container, where a missing directory is made; a container's
    /// directory alone is writable and goes with it
    #[arg(short, long, value_name = "[HOST:]CONTAINER[:ro]")]
    volume: Vec<String>,
    /// Mount a file system in memory, such as /run:size=64m
    #[arg(long, value_name = "DIR[:OPTIONS]", value_parser = parse::tmpfs)]
    tmpfs: Vec<Mount>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// User and group, by name or number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// A further group, by name or number
    #[arg(long, value_name = "GROUP")]
    group_add: Vec<String>,
    /// Run this in place of the image's entry point; an empty one clears it
    #[arg(long, value_name = "COMMAND")]
    entrypoint: Option<String>,
    /// Host name of the container
    #[arg(short = 'h', long, value_name = "NAME")]
    hostname: Option<String>,
    /// Give the command a terminal
    #[arg(short, long)]
    tty: bool,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten, next_help_heading = "Limits")]
    limits: Limits,
    #[command(flatten, next_help_heading = "Privileges")]
    privileges: Privileges,
}

/// What the container may use.
#[derive(Clone, Debug, clap::Args)]
struct Limits {
    /// Memory limit, at least 6m
    #[arg(short, long, value_name = "SIZE", value_parser = parse::size)]
    memory: Option<u64>,
    /// Limit of memory and swap together; -1 is unlimited
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, value_parser = parse::size_or_unlimited)]
    memory_swap: Option<i64>,
    /// Memory to shrink to when the machine runs short
    #[arg(long, value_name = "SIZE", value_parser = parse::size)]
    memory_reservation: Option<u64>,
    /// Number of CPUs, such as 1.5
    #[arg(long, value_name = "NUMBER", value_parser = parse::cpus)]
    cpus: Option<u64>,
    /// Weight against other containers; 1024 is usual
    #[arg(long, short = 'c', value_name = "WEIGHT")]
    cpu_shares: Option<u64>,
    /// CPUs to run on, such as 0-2,7
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Number of processes and threads; -1 is unlimited
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// Size of /dev/shm
    #[arg(long, value_name = "SIZE", value_parser = parse::size)]
    shm_size: Option<u64>,
    /// Limit of a process, such as nofile=1024:2048
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = parse::ulimit)]
    ulimit: Vec<Ulimit>,
    /// How readily the kernel kills it when memory runs out: -1000 to 1000
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    oom_score_adj: Option<i32>,
}

/// What the container may do.
#[derive(Clone, Debug, clap::Args)]
struct Privileges {
    /// The network it sees: host or none; there is no bridge
    #[arg(long, visible_alias = "net", value_name = "NETWORK", default_value = "host", value_parser = network)]
    network: Network,
    /// Make the root file system read-only
    #[arg(long)]
    read_only: bool,
    /// Add a capability, such as NET_ADMIN, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Drop a capability, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// All capabilities and devices, no seccomp
    #[arg(long)]
    privileged: bool,
    /// Make a device of the host available: HOST[:CONTAINER[:rwm]]
    #[arg(long, value_name = "DEVICE")]
    device: Vec<String>,
    /// no-new-privileges, or seccomp=unconfined
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Set a kernel parameter of the container's namespaces
    #[arg(long, value_name = "NAME=VALUE")]
    sysctl: Vec<String>,
    /// Signal that stops the container
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
}

impl RunFlags {
    /// Whether the command gets a terminal.
    pub fn tty(&self) -> bool {
        self.tty
    }

    /// The signal that stops the container, where the user names one.
    pub fn stop_signal(&self) -> Option<&str> {
        self.privileges.stop_signal.as_deref()
    }

    /// The options, for a container that runs `args`, or the image's command where they are empty.
    ///
    /// Reads the files and variables that the options name, and makes the host's directories of `-v`
    /// that are missing, as docker does.
    ///
    /// # Errors
    /// For options that mean nothing, do not fit each other, or name files that cannot be read.
    pub fn options(&self, args: &[String]) -> anyhow::Result<RunOptions> {
        let (anonymous, named): (Vec<_>, Vec<_>) =
            self.volume.iter().partition(|word| word.starts_with('/') && !word.contains(':'));
        let mut mounts = self.tmpfs.clone();
        for volume in named {
            mounts.push(bind(volume)?);
        }
        let (no_new_privileges, seccomp) = self.privileges.security()?;
        Ok(RunOptions {
            args: args.to_vec(),
            entrypoint: self
                .entrypoint
                .as_ref()
                .map(|word| if word.is_empty() { Vec::new() } else { vec![word.clone()] }),
            env: env::variables(&self.env, &self.env_file)?,
            workdir: given(self.workdir.as_ref()),
            user: self.user.clone(),
            group_add: self.group_add.clone(),
            hostname: self.hostname.clone(),
            tty: self.tty,
            read_only: self.privileges.read_only,
            privileged: self.privileges.privileged,
            cap_add: self.privileges.cap_add.clone(),
            cap_drop: self.privileges.cap_drop.clone(),
            network: self.privileges.network.clone(),
            mounts,
            volumes: anonymous.into_iter().map(PathBuf::from).collect(),
            devices: self.privileges.devices()?,
            resources: self.limits.resources()?,
            shm_size: self.limits.shm_size.unwrap_or(RunOptions::default().shm_size),
            ulimits: self.limits.ulimit.clone(),
            oom_score_adj: self.limits.oom_score_adj,
            no_new_privileges,
            seccomp,
            sysctls: self.privileges.sysctls()?,
            stop_signal: self.privileges.stop_signal.clone(),
            ..RunOptions::default()
        })
    }

    /// The command line that will run: entry point, then arguments; of the user where given, else of
    /// the image.
    pub fn command_line(&self, config: &ContainerConfig, args: &[String]) -> Vec<String> {
        let of = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        let mut line = match &self.entrypoint {
            Some(word) if word.is_empty() => Vec::new(),
            Some(word) => vec![word.clone()],
            None => of(&config.entrypoint),
        };
        match (args.is_empty(), &self.entrypoint) {
            (true, None) => line.extend(of(&config.cmd)),
            _ => line.extend_from_slice(args),
        }
        line
    }
}

impl Limits {
    fn resources(&self) -> anyhow::Result<Resources> {
        if let Some(memory) = self.memory.filter(|memory| (1..LEAST_MEMORY).contains(memory)) {
            bail!(
                "a memory limit of {memory} bytes is too small: at least 6MiB are needed, as the runtime itself starts within the limit"
            );
        }
        Ok(Resources {
            memory: self.memory.filter(|&memory| memory > 0),
            memory_swap: self.memory_swap,
            memory_reservation: self.memory_reservation,
            nano_cpus: self.cpus.filter(|&cpus| cpus > 0),
            cpu_shares: self.cpu_shares,
            cpuset_cpus: given(self.cpuset_cpus.as_ref()),
            cpuset_mems: given(self.cpuset_mems.as_ref()),
            pids_limit: self.pids_limit,
            no_swap_accounting: no_swap_accounting(),
            ..Resources::default()
        })
    }
}

impl Privileges {
    fn devices(&self) -> anyhow::Result<Vec<image::Device>> {
        let mut all = if self.privileged { devices::of_host() } else { Vec::new() };
        for word in &self.device {
            all.push(devices::parse(word)?);
        }
        Ok(all)
    }

    fn security(&self) -> anyhow::Result<(bool, Seccomp)> {
        let (mut no_new_privileges, mut seccomp) = (false, Seccomp::Default);
        for option in &self.security_opt {
            match option.replacen('=', ":", 1).as_str() {
                "no-new-privileges" | "no-new-privileges:true" => no_new_privileges = true,
                "no-new-privileges:false" => no_new_privileges = false,
                "seccomp:unconfined" => seccomp = Seccomp::Unconfined,
                // There is no profile to leave: nothing of them is applied here.
                "apparmor:unconfined" | "label:disable" => {}
                _ => {
                    return Err(anyhow::anyhow!("unknown security option {option}"))
                        .hint("known are no-new-privileges and seccomp=unconfined");
                }
            }
        }
        Ok((no_new_privileges, seccomp))
    }

    fn sysctls(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let pair = |word: &String| {
            let (name, value) = word
                .split_once('=')
                .with_context(|| format!("invalid kernel parameter {word}: want NAME=VALUE"))?;
            Ok((name.to_owned(), value.to_owned()))
        };
        self.sysctl.iter().map(pair).collect()
    }
}

/// A word that says something; an empty one is none, as for docker.
fn given(word: Option<&String>) -> Option<String> {
    word.filter(|word| !word.is_empty()).cloned()
}

fn network(word: &str) -> Result<Network, String> {
    match word {
        "host" => Ok(Network::Host),
        "none" => Ok(Network::None),
        _ => match word.strip_prefix("ns:") {
            Some(path) if path.starts_with('/') => Ok(Network::Path(path.into())),
            _ => Err("known are host, none and ns:PATH; there is no bridge".to_owned()),
        },
    }
}

/// The mount that `-v` means; `.` and `..` at its beginning are relative to the working directory.
fn bind(word: &str) -> anyhow::Result<Mount> {
    let absolute = match word.split_once(':') {
        Some((source, rest))
            if source == "."
                || source == ".."
                || source.starts_with("./")
                || source.starts_with("../") =>
        {
            let source =
                std::path::absolute(source).context("cannot tell the working directory")?;
            format!("{}:{rest}", source.display())
        }
        _ => word.to_owned(),
    };
    let mount = parse::volume(&absolute)?;
    if let MountKind::Bind { source, .. } = &mount.kind {
        make_source(source)?;
    }
    Ok(mount)
}

fn make_source(source: &Path) -> anyhow::Result<()> {
    if source.symlink_metadata().is_ok() {
        return Ok(());
    }
    std::fs::create_dir_all(source)
        .with_context(|| format!("cannot make the directory {} for --volume", source.display()))
}

/// Whether the kernel limits memory but not swap: cgroup v1 without `swapaccount=1`.
fn no_swap_accounting() -> bool {
    let v1 = Path::new("/sys/fs/cgroup/memory");
    v1.join("memory.limit_in_bytes").exists() && !v1.join("memory.memsw.limit_in_bytes").exists()
}
