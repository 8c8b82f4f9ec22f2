//! What no mount of the configuration may cover.
//!
//! Over `/proc` only a procfs may lie, and inside it only over files known to be harmless: whoever can
//! replace `/proc` can redirect what the runtime and other programs write there (CVE-2019-16884,
//! CVE-2025-52881). The place is asked for its file system, whatever link led to it.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Component, Path};

use rustix::fs::AtFlags;

use super::root::{Place, Root, mount_error};
use crate::error::{Doing, Result};

/// The magic number of procfs (statfs(2)).
const PROC_MAGIC: i64 = 0x9fa0;

/// Files of procfs that lxcfs and the like replace.
const HARMLESS: [&str; 11] = [
    "cpuinfo",
    "diskstats",
    "meminfo",
    "stat",
    "swaps",
    "uptime",
    "loadavg",
    "slabinfo",
    "net/dev",
    "sys/kernel/ns_last_pid",
    "sys/crypto/fips_enabled",
];

/// Refuses a mount of `kind` at `place` when it would replace procfs or a part of it; a bind mount
/// comes with its source.
pub(super) fn refuse_over_proc(
    place: BorrowedFd<'_>,
    destination: &Path,
    source: Option<BorrowedFd<'_>>,
    kind: &str,
) -> Result<()> {
    let names = plain(destination);
    let below = names.strip_prefix("proc").ok();
    let is_proc = below.is_some_and(|below| below.as_os_str().is_empty());
    if is_proc {
        let is_procfs = source.map_or(kind == "proc", on_procfs);
        return if is_procfs {
            Ok(())
        } else {
            let reason = format!("{:?} cannot be mounted because it is not of type proc", "/proc");
            Err(mount_error(destination, reason))
        };
    }
    if below.is_some_and(|below| HARMLESS.iter().any(|name| below == Path::new(name))) {
        return Ok(());
    }
    if below.is_some() || on_procfs(place) {
        return Err(mount_error(destination, "cannot be mounted because it is inside /proc"));
    }
    Ok(())
}

/// Refuses a place that is the root itself: the container would not see the mount, but what is below.
/// Without a link on the way [`refuse_root`] has refused it.
pub(super) fn refuse_over_root(root: &Root, place: &Place, destination: &Path) -> Result<()> {
    if !place.by_link {
        return Ok(());
    }
    let look = |file: BorrowedFd<'_>| rustix::fs::statat(file, "", AtFlags::EMPTY_PATH);
    let same = look(place.as_fd())
        .and_then(|place| look(root.as_fd()).map(|root| (place, root)))
        .map(|(place, root)| (place.st_dev, place.st_ino) == (root.st_dev, root.st_ino))
        .doing(|| format!("look at {} in the container", destination.display()))?;
    if same { Err(over_root(destination)) } else { Ok(()) }
}

/// The same by the destination's text alone.
pub(super) fn refuse_root(destination: &Path) -> Result<()> {
    if plain(destination).as_os_str().is_empty() { Err(over_root(destination)) } else { Ok(()) }
}

fn over_root(destination: &Path) -> crate::error::Error {
    mount_error(destination, "the mount point is on the top of the root filesystem")
}

fn on_procfs(file: BorrowedFd<'_>) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|stat| stat.f_type == PROC_MAGIC)
}

/// A destination's names, `..` undoing the one before.
pub(super) fn plain(path: &Path) -> std::path::PathBuf {
    let mut plain = std::path::PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => drop(plain.pop()),
            _ => {}
        }
    }
    plain
}
