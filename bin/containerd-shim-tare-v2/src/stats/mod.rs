//! What a container uses, in containerd's types, read from the cgroups of its first process
//! (cgroups(7); the kernel's Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst).
//!
//! A file that is not there, because its controller is not, counts as nothing used.

mod files;
mod groups;
mod v1;
mod v2;

use std::path::Path;

use anyhow::bail;
use containerd_shim_protos::protobuf::well_known_types::any::Any;

use crate::wire::encode;
pub(crate) use groups::Groups;

/// What these cgroups have counted: those of version 1 where its controllers are there.
///
/// # Errors
/// There are none.
pub(crate) fn of_groups(groups: &Groups) -> anyhow::Result<Any> {
    let mut any = Any::new();
    if groups.has_controllers() {
        any.type_url = "io.containerd.cgroups.v1.Metrics".to_owned();
        any.value = encode(&v1::metrics(groups));
    } else if let Some(group) = groups.unified() {
        any.type_url = "io.containerd.cgroups.v2.Metrics".to_owned();
        any.value = encode(&v2::metrics(group));
    } else {
        bail!("it is in no cgroup that is mounted");
    }
    Ok(any)
}

/// One of the named numbers of a cgroup's file; 0 without it.
pub(crate) fn counter(group: &Path, file: &str, name: &str) -> u64 {
    let mut found = 0;
    files::each(group, file, |it, value| {
        if it == name {
            found = value;
        }
    });
    found
}
