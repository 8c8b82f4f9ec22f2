//! What a configuration asks of cgroups, for a container that has to do without: nothing is dropped
//! silently. Pure.

use oci_spec::runtime::{Linux, LinuxResources};

use crate::error::{Error, Result};

/// Refuses limits, which nobody would hold; `reason` says why the container has no cgroup. Rules for
/// devices are no limits: who may not make a cgroup may not make devices either.
pub(crate) fn refuse_limits(resources: &LinuxResources, reason: &str) -> Result<()> {
    match first_limit(resources) {
        Some(field) => Err(Error::spec(format!("linux.resources.{field}"), reason)),
        None => Ok(()),
    }
}

/// The same for a container of an ordinary user, who was denied a cgroup: the place that the
/// configuration names cannot be had either.
pub(crate) fn refuse_denied(
    linux: &Linux,
    resources: &LinuxResources,
    denied: &Error,
) -> Result<()> {
    let path = linux.cgroups_path().as_ref().filter(|path| !path.as_os_str().is_empty());
    if path.is_some() {
        let reason = format!("unable to apply cgroup configuration: {denied}");
        return Err(Error::spec("linux.cgroupsPath", reason));
    }
    // In runc's words.
    let reason = format!(
        "rootless needs no limits + no cgrouppath when no permission is granted for cgroups: {denied}"
    );
    refuse_limits(resources, &reason)
}

/// The first member of `linux.resources` that limits anything.
fn first_limit(resources: &LinuxResources) -> Option<&'static str> {
    let pids = resources.pids().as_ref().is_some_and(|pids| pids.limit() > 0);
    let pages = resources.hugepage_limits().as_ref().is_some_and(|limits| !limits.is_empty());
    let rdma = resources.rdma().as_ref().is_some_and(|limits| !limits.is_empty());
    let unified = resources.unified().as_ref().is_some_and(|files| !files.is_empty());
    [
        ("memory", is_given(resources.memory())),
        ("cpu", is_given(resources.cpu())),
        ("pids", pids),
        ("blockIO", is_given(resources.block_io())),
        ("hugepageLimits", pages),
        ("network", is_given(resources.network())),
        ("rdma", rdma),
        ("unified", unified),
    ]
    .into_iter()
    .find_map(|(field, given)| given.then_some(field))
}

/// Whether there is anything in it.
fn is_given<T: Default + PartialEq>(member: &Option<T>) -> bool {
    member.as_ref().is_some_and(|member| *member != T::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(resources: &str) -> Option<String> {
        let resources: LinuxResources = serde_json::from_str(resources).unwrap();
        refuse_limits(&resources, "why").err().map(|error| error.to_string())
    }

    #[test]
    fn nothing_is_dropped() {
        for (resources, field) in [
            (r#"{"memory":{"limit":1000}}"#, "memory"),
            (r#"{"memory":{},"cpu":{"shares":2}}"#, "cpu"),
            (r#"{"pids":{"limit":10}}"#, "pids"),
            (r#"{"blockIO":{"weight":10}}"#, "blockIO"),
            (r#"{"hugepageLimits":[{"pageSize":"2MB","limit":0}]}"#, "hugepageLimits"),
            (r#"{"network":{"classID":1}}"#, "network"),
            (r#"{"rdma":{"mlx5_1":{"hcaHandles":3}}}"#, "rdma"),
            (r#"{"unified":{"memory.high":"1"}}"#, "unified"),
        ] {
            assert_eq!(refused(resources), Some(format!("linux.resources.{field}: why")));
        }
    }

    #[test]
    fn what_limits_nothing_needs_no_cgroup() {
        for resources in [
            r#"{}"#,
            r#"{"devices":[{"allow":false,"access":"rwm"}]}"#,
            r#"{"pids":{"limit":-1},"memory":{},"cpu":{},"hugepageLimits":[],"unified":{}}"#,
        ] {
            assert_eq!(refused(resources), None, "{resources}");
        }
    }
}
