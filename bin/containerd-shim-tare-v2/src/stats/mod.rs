//! What a container uses, in containerd's types, read from the cgroups of its first process
//! (cgroups(7); the kernel's Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst).
//!
//! A file that is not there, because its controller is not, counts as nothing used.

mod files;
mod groups;
mod v1;
mod v2;

use anyhow::bail;
use containerd_shim_protos::protobuf::well_known_types::any::Any;

use crate::wire::encode;
use groups::Groups;

/// The metrics of the cgroups that a process is in: those of version 1 where its controllers are there.
///
/// # Errors
/// The process has ended, or is in no cgroup.
pub(crate) fn of_process(pid: u32) -> anyhow::Result<Any> {
    let groups = Groups::of_process(pid)?;
    let mut any = Any::new();
    if groups.has_controllers() {
        any.type_url = "io.containerd.cgroups.v1.Metrics".to_owned();
        any.value = encode(&v1::metrics(&groups));
    } else if let Some(group) = groups.unified() {
        any.type_url = "io.containerd.cgroups.v2.Metrics".to_owned();
        any.value = encode(&v2::metrics(group));
    } else {
        bail!("process {pid} is in no cgroup that is mounted");
    }
    Ok(any)
}
