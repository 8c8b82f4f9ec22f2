//! User and group ids of a new user namespace (user_namespaces(7)).

use std::fs;
use std::process::Command;

use oci_spec::runtime::{Linux, LinuxIdMapping};
use rustix::process::Pid;

use crate::error::{Doing, Error, Result};

/// Writes both maps for `pid`. Without privileges, more than one's own id is mapped by the set-user-ID
/// programs newuidmap(1) and newgidmap(1), as `/etc/subuid` allows.
pub(crate) fn write(pid: Pid, linux: &Linux) -> Result<()> {
    let pid = pid.as_raw_nonzero().get();
    let users = linux.uid_mappings().as_deref().unwrap_or_default();
    let groups = linux.gid_mappings().as_deref().unwrap_or_default();
    let privileged = rustix::process::geteuid().is_root();
    if users.is_empty() || groups.is_empty() {
        return Err(Error::spec("linux.uidMappings", "a new user namespace needs mappings"));
    }
    if privileged {
        put(pid, "uid_map", users)?;
        return put(pid, "gid_map", groups);
    }
    if groups.len() == 1 && groups[0].size() == 1 {
        // Else a process could drop a group and gain what that group is denied.
        let file = format!("/proc/{pid}/setgroups");
        fs::write(&file, "deny").doing(|| format!("write {file}"))?;
    }
    for (map, program, mappings) in
        [("uid_map", "newuidmap", users), ("gid_map", "newgidmap", groups)]
    {
        if mappings.len() == 1 && mappings[0].size() == 1 {
            put(pid, map, mappings)?;
        } else {
            run(program, pid, mappings)?;
        }
    }
    Ok(())
}

fn put(pid: i32, map: &str, mappings: &[LinuxIdMapping]) -> Result<()> {
    let text: String = mappings
        .iter()
        .map(|map| format!("{} {} {}\n", map.container_id(), map.host_id(), map.size()))
        .collect();
    let file = format!("/proc/{pid}/{map}");
    fs::write(&file, text).doing(|| format!("write {file}"))
}

fn run(program: &str, pid: i32, mappings: &[LinuxIdMapping]) -> Result<()> {
    let numbers = mappings.iter().flat_map(|map| [map.container_id(), map.host_id(), map.size()]);
    let status = Command::new(program)
        .arg(pid.to_string())
        .args(numbers.map(|number| number.to_string()))
        .status()
        .doing(|| format!("start {program}"))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Init(format!("{program} refused the id mappings: {status}")))
}
