//! Mounts: what every container has, and the user's own.

use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::{Mount as RuntimeMount, MountBuilder};

use super::process::INIT;
use super::{Error, Mount, MountKind, Network, Propagation, RunOptions};

/// The default mounts, less those whose place a mount of the user's takes, then the user's by depth.
pub(super) fn mounts(options: &RunOptions) -> Result<Vec<RuntimeMount>, Error> {
    let own = own_mounts(options)?;
    let hidden = |mount: &RuntimeMount| {
        own.iter().any(|own| takes_place(&own.destination, mount.destination()))
    };
    let mut mounts = default_mounts(options);
    mounts.retain(|mount| !hidden(mount));
    mounts.extend(own.iter().map(to_runtime));
    Ok(mounts)
}

/// A mount at the same place takes a default's place; one over /dev brings its own /dev/shm and
/// others, one over /sys its own cgroup.
fn takes_place(own: &Path, default: &Path) -> bool {
    own == default
        || default.starts_with(own) && (own == Path::new("/dev") || own == Path::new("/sys"))
}

fn own_mounts(options: &RunOptions) -> Result<Vec<Mount>, Error> {
    let mut own = options.mounts.clone();
    own.extend(options.init.iter().map(|program| Mount {
        destination: INIT.into(),
        kind: MountKind::Bind {
            source: program.clone(),
            recursive: false,
            propagation: Propagation::default(),
        },
        read_only: true,
        options: Vec::new(),
    }));
    for mount in &mut own {
        mount.destination = clean(&mount.destination)?;
        check_source(mount)?;
    }
    // A mount on a directory must come before one inside it. The sort keeps the user's order.
    own.sort_by_key(|mount| mount.destination.components().count());
    let mut seen = std::collections::BTreeSet::new();
    match own.iter().find(|mount| !seen.insert(&mount.destination)) {
        Some(twice) => Err(Error::DuplicateMount(twice.destination.display().to_string())),
        None => Ok(own),
    }
}

/// The destination without `.`, `..` and doubled slashes.
fn clean(destination: &Path) -> Result<PathBuf, Error> {
    let clean = lexical(destination);
    let valid = destination.is_absolute() && clean != Path::new("/");
    valid.then_some(clean).ok_or_else(|| Error::MountDestination(destination.display().to_string()))
}

/// The path from the root on without `.`, `..` and doubled slashes.
pub(super) fn lexical(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

fn check_source(mount: &Mount) -> Result<(), Error> {
    match &mount.kind {
        MountKind::Bind { source, .. } if !source.is_absolute() => {
            Err(Error::MountSource(source.display().to_string()))
        }
        _ => Ok(()),
    }
}

fn default_mounts(options: &RunOptions) -> Vec<RuntimeMount> {
    let shm = format!("size={}", options.shm_size);
    let read_write = if options.privileged { "rw" } else { "ro" };
    let mut pts = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    if options.user_namespace.is_none_or(|namespace| namespace.has_tty_group) {
        pts.push("gid=5");
    }
    let mut mounts = vec![
        procfs(options),
        mount("tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("devpts", "/dev/pts", &pts),
        sysfs(options, read_write),
    ];
    if options.cgroup_mount {
        let options = ["nosuid", "noexec", "nodev", "relatime", read_write];
        mounts.push(mount("cgroup", "/sys/fs/cgroup", &options));
    }
    if options.mqueue_mount {
        mounts.push(mount("mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]));
    }
    let mut shm_mount =
        mount("tmpfs", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", &shm]);
    shm_mount.set_source(Some("shm".into()));
    mounts.push(shm_mount);
    mounts
}

/// In a sandbox that hides parts of it, procfs cannot be mounted anew. What is there knows the container's
/// processes, too, by numbers of its own.
fn procfs(options: &RunOptions) -> RuntimeMount {
    let words = ["nosuid", "noexec", "nodev"];
    match options.user_namespace.is_some_and(|namespace| !namespace.mounts_proc) {
        true => shown("/proc", &words),
        false => mount("proc", "/proc", &words),
    }
}

/// Only who owns a network namespace may mount its sysfs; in a user namespace the host's is the host's, so
/// that is shown.
fn sysfs(options: &RunOptions, read_write: &str) -> RuntimeMount {
    let words = ["nosuid", "noexec", "nodev", read_write];
    let hosts = options.network == Network::Host;
    match options.user_namespace.is_some_and(|namespace| hosts || !namespace.mounts_sysfs) {
        true => shown("/sys", &words),
        false => mount("sysfs", "/sys", &words),
    }
}

/// What is mounted at the same place outside.
fn shown(place: &str, words: &[&str]) -> RuntimeMount {
    let words = ["rbind", "rprivate"].iter().chain(words).map(ToString::to_string);
    build("bind", place.as_ref(), place.as_ref(), words)
}

fn mount(kind: &str, destination: &str, options: &[&str]) -> RuntimeMount {
    build(kind, kind.as_ref(), destination.as_ref(), options.iter().map(ToString::to_string))
}

fn build(
    kind: &str,
    source: &Path,
    destination: &Path,
    options: impl Iterator<Item = String>,
) -> RuntimeMount {
    let builder = MountBuilder::default().typ(kind).source(source).destination(destination);
    builder.options(options.collect::<Vec<_>>()).build().expect("the destination is given")
}

fn to_runtime(mount: &Mount) -> RuntimeMount {
    let write = if mount.read_only { "ro" } else { "rw" };
    let options = |first: &[&str]| {
        let words: Vec<String> = first.iter().map(ToString::to_string).collect();
        words.into_iter().chain(mount.options.iter().cloned())
    };
    match &mount.kind {
        MountKind::Bind { source, recursive, propagation } => {
            let bind = if *recursive { "rbind" } else { "bind" };
            build("bind", source, &mount.destination, options(&[bind, write, propagation.name()]))
        }
        MountKind::Tmpfs => {
            // A user's word comes after the default, and the last one counts.
            let words = options(&["nosuid", "nodev", "noexec", write]);
            build("tmpfs", "tmpfs".as_ref(), &mount.destination, words)
        }
        MountKind::Other { kind, source } => {
            build(kind, source.as_ref(), &mount.destination, options(&[write]))
        }
    }
}

impl Propagation {
    /// The mount option that asks for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RPrivate => "rprivate",
            Self::Private => "private",
            Self::RSlave => "rslave",
            Self::Slave => "slave",
            Self::RShared => "rshared",
            Self::Shared => "shared",
        }
    }
}
