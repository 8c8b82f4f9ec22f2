//! From an image's configuration and a user's wishes to a runtime configuration.
//!
//! Runtime-spec, config.md and config-linux.md; what the user leaves open is as docker has it. One
//! file per part of the result:
//!
//! ```text
//! options ─┬─ process.rs       args, env, cwd, user, rlimits
//!          ├─ capabilities.rs  the default list, add and drop
//!          ├─ mounts.rs        /proc, /dev, /sys and the user's own
//!          ├─ linux.rs         namespaces, devices, masked paths
//!          ├─ resources.rs     cgroup limits
//!          └─ seccomp.rs       the default profile, from the table in syscalls.rs
//! parse.rs: the words of a command line to the types of options.rs
//! ```

mod capabilities;
mod linux;
mod mounts;
mod options;
pub mod parse;
mod process;
mod resources;
mod seccomp;
mod syscalls;

use oci_spec::runtime::{RootBuilder, Spec};

use crate::{ImageConfig, UserError, Users};

pub use options::{
    Device, Mount, MountKind, Network, Propagation, Resources, RunOptions, Seccomp, Ulimit,
    UserNamespace,
};
pub use parse::ParseError;

/// The version of the runtime specification that the result follows: what the oldest runtime in
/// Debian 12 takes.
const VERSION: &str = "1.0.2";

/// Why there is no runtime configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither image nor user names a program.
    #[error("no command specified: the image has neither entrypoint nor command")]
    NoCommand,
    /// The user does not resolve.
    #[error(transparent)]
    User(#[from] UserError),
    /// The working directory is relative.
    #[error("the working directory {0:?} is invalid, it needs to be an absolute path")]
    WorkingDir(String),
    /// A mount's destination is relative, is the root, or climbs.
    #[error("invalid mount destination {0:?}: want an absolute path below /")]
    MountDestination(String),
    /// A bind mount's source is relative.
    #[error("invalid mount source {0:?}: want an absolute path")]
    MountSource(String),
    /// Two mounts have the same destination.
    #[error("duplicate mount point: {0}")]
    DuplicateMount(String),
    /// No such capability.
    #[error("invalid capability {0:?}")]
    Capability(String),
    /// An environment variable has no name, or a text of the process holds a NUL byte.
    #[error("invalid environment variable or argument {0:?}")]
    Text(String),
    /// The memory limit is below docker's.
    #[error("memory limit of {0} bytes is too low: minimum memory limit allowed is 6MB")]
    MemoryTooLow(u64),
    /// A reservation or swap limit does not fit the memory limit.
    #[error("{what} of {value} bytes does not fit the memory limit of {limit} bytes: {rule}")]
    Memory {
        /// Which option.
        what: &'static str,
        /// Its value in bytes.
        value: i64,
        /// The memory limit in bytes.
        limit: u64,
        /// What must hold.
        rule: &'static str,
    },
    /// Swap is limited and memory is not.
    #[error("memory-swap needs a memory limit beside it")]
    SwapWithoutMemory,
    /// CPUs outside 0.01 up.
    #[error("{0} CPUs are too few: the minimum is 0.01")]
    Cpus(String),
    /// A list of CPUs or memory nodes that is none.
    #[error("invalid {what} {value:?}: want a list such as 0-2,7")]
    CpuSet {
        /// Which option.
        what: &'static str,
        /// Its value.
        value: String,
    },
    /// A limit whose soft value is above the hard one.
    #[error("ulimit {name}: soft limit {soft} is above hard limit {hard}")]
    Ulimit {
        /// Name of the limit.
        name: String,
        /// Its soft value.
        soft: u64,
        /// Its hard value.
        hard: u64,
    },
    /// There is no such limit.
    #[error("invalid ulimit type: {0}")]
    UlimitName(String),
    /// A host name outside the grammar.
    #[error("invalid hostname {0:?}: want at most 63 letters, digits, dots and hyphens")]
    Hostname(String),
}

/// The runtime configuration of a container of an image with `config`, run with `options`, whose
/// users are in `users`. The root file system is expected at [`RunOptions::rootfs`].
///
/// # Errors
/// Options that contradict each other or the image, each by the rule that docker has for it.
pub fn runtime_spec(
    config: &ImageConfig,
    options: &RunOptions,
    users: &Users,
) -> Result<Spec, Error> {
    check_hostname(options)?;
    let mut spec = Spec::default();
    let root = RootBuilder::default().path(&options.rootfs).readonly(options.read_only);
    spec.set_version(VERSION.to_owned())
        .set_root(Some(root.build().expect("path and flag are all it needs")))
        .set_hostname(options.hostname.clone())
        .set_process(Some(process::process(&config.config, options, users)?))
        .set_mounts(Some(mounts::mounts(options)?))
        .set_linux(Some(linux::linux(options)?))
        .set_annotations(annotations(config, options));
    Ok(spec)
}

/// The user's annotations, and where the image says so the signal that stops it (image-spec,
/// conversion.md, "Annotation Fields"). Labels stay out: runtimes obey some annotations, and an
/// image must not command them.
fn annotations(
    config: &ImageConfig,
    options: &RunOptions,
) -> Option<std::collections::HashMap<String, String>> {
    let mut annotations = options.annotations.clone();
    let image = Some(&config.config.stop_signal).filter(|signal| !signal.is_empty());
    if let Some(signal) = options.stop_signal.as_ref().or(image) {
        annotations.insert("org.opencontainers.image.stopSignal".to_owned(), signal.clone());
    }
    (!annotations.is_empty()).then(|| annotations.into_iter().collect())
}

fn check_hostname(options: &RunOptions) -> Result<(), Error> {
    let valid = |name: &str| {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        (1..=63).contains(&name.len()) && name.chars().all(word) && !name.starts_with(['-', '.'])
    };
    match &options.hostname {
        Some(name) if !valid(name) => Err(Error::Hostname(name.clone())),
        _ => Ok(()),
    }
}
