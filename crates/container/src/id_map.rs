//! User and group ids of a new user namespace (user_namespaces(7)).

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespaceType, Spec};
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions};

use crate::error::{Doing, Error, Result};
use crate::kernel_file;
use crate::namespaces::{self, Joined};
use crate::syscalls::{self, Cloned};

/// Writes both maps for `pid`. Without privileges, more than one's own id is mapped by the set-user-ID
/// programs newuidmap(1) and newgidmap(1), as `/etc/subuid` allows.
pub(crate) fn write(pid: Pid, linux: &Linux) -> Result<()> {
    let users = linux.uid_mappings().as_deref().unwrap_or_default();
    let groups = linux.gid_mappings().as_deref().unwrap_or_default();
    let number = pid.as_raw_nonzero().get();
    if rustix::process::geteuid().is_root() {
        put(number, "uid_map", users)?;
        return put(number, "gid_map", groups);
    }
    let own_user = rustix::process::geteuid().as_raw();
    let own_group = rustix::process::getegid().as_raw();
    if is_own(users, own_user) {
        put(number, "uid_map", users)?;
    } else {
        run("newuidmap", number, users)?;
    }
    if is_own(groups, own_group) {
        // Else a process could drop a group and gain what that group is denied.
        let file = format!("/proc/{number}/setgroups");
        fs::write(&file, "deny").doing(|| format!("write {file}"))?;
        return put(number, "gid_map", groups);
    }
    run("newgidmap", number, groups)
}

/// Whether the caller is in a user namespace other than the machine's first: user 0 there, as under an
/// ordinary user's podman, has no rights on the machine.
///
/// It is looked up once: asked before, it speaks of the caller's namespace also inside a container, where an
/// image has the say over `/proc`.
#[must_use]
pub fn in_user_namespace() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let map = kernel_file::read("/proc/self/uid_map").unwrap_or_default();
        // The first namespace maps all ids to themselves (user_namespaces(7)).
        !map.is_empty() && !map.split_whitespace().eq(["0", "0", "4294967295"])
    })
}

/// Whether the mappings are the one that everybody may write.
fn is_own(mappings: &[LinuxIdMapping], own: u32) -> bool {
    matches!(mappings, [only] if only.size() == 1 && only.host_id() == own)
}

/// A user namespace with these mappings that nobody is in.
pub(crate) fn namespace(users: &[LinuxIdMapping], groups: &[LinuxIdMapping]) -> Result<OwnedFd> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).doing(|| "make a pipe".into())?;
    // SAFETY: the runtime has one thread; the child only waits and ends in _exit.
    let child = unsafe { syscalls::clone3(libc::CLONE_NEWUSER as u64, None) };
    let pid = match child.doing(|| "make a user namespace".into())? {
        Cloned::Parent { pid, .. } => pid,
        Cloned::Child => {
            drop(writer);
            let _ = rustix::io::read(&reader, &mut [0; 1]);
            syscalls::exit_now(0)
        }
    };
    let number = pid.as_raw_nonzero().get();
    let file = format!("/proc/{number}/ns/user");
    let opened = put(number, "uid_map", users)
        .and_then(|()| put(number, "gid_map", groups))
        .and_then(|()| {
            rustix::fs::open(&file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .doing(|| format!("open {file}"))
        });
    drop(writer);
    rustix::process::waitpid(Some(pid), WaitOptions::empty())
        .doing(|| "wait for a helper".into())?;
    opened
}

/// What a container with a user namespace must say about ids: mappings for a new one; for an existing
/// one none, or the very mappings that it has, which engines repeat.
pub(crate) fn check(spec: &Spec, users: Option<&Joined>) -> Result<()> {
    let linux = crate::spec::linux(spec)?;
    let (uids, gids) = (linux.uid_mappings(), linux.gid_mappings());
    let given = |maps: &Option<Vec<_>>| maps.as_ref().is_some_and(|maps| !maps.is_empty());
    if !namespaces::has(spec, LinuxNamespaceType::User) {
        return match given(uids) || given(gids) {
            true => Err(Error::spec("linux.uidMappings", "given without a user namespace")),
            false => Ok(()),
        };
    }
    let Some(joined) = users else {
        return match given(uids) && given(gids) {
            true => Ok(()),
            false => Err(Error::spec(
                "linux.uidMappings",
                "a new user namespace needs mappings of users and of groups",
            )),
        };
    };
    for (field, map, wanted) in
        [("linux.uidMappings", "uid_map", uids), ("linux.gidMappings", "gid_map", gids)]
    {
        let Some(wanted) = wanted.as_ref().filter(|wanted| !wanted.is_empty()) else { continue };
        if !same(&actual(joined, map)?, wanted) {
            let reason = format!("are not those of the user namespace {}", joined.path.display());
            return Err(Error::spec(field, reason));
        }
    }
    Ok(())
}

fn same(actual: &str, wanted: &[LinuxIdMapping]) -> bool {
    let mut actual: Vec<Vec<u32>> = actual
        .lines()
        .map(|line| line.split_whitespace().filter_map(|number| number.parse().ok()).collect())
        .collect();
    let mut wanted: Vec<Vec<u32>> =
        wanted.iter().map(|map| vec![map.container_id(), map.host_id(), map.size()]).collect();
    actual.sort();
    wanted.sort();
    actual == wanted
}

/// A map of an existing namespace: that of the process in whose `/proc/<pid>/ns` its path lies, or of a
/// helper that joins it.
fn actual(joined: &Joined, map: &str) -> Result<String> {
    let process = joined.path.parent().filter(|ns| ns.ends_with("ns")).and_then(Path::parent);
    if let Some(process) = process.filter(|process| process.starts_with("/proc")) {
        let file = process.join(map);
        return fs::read_to_string(&file).doing(|| format!("read {}", file.display()));
    }
    let (told, tell) = pipe_with(PipeFlags::CLOEXEC).doing(|| "make a pipe".into())?;
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).doing(|| "make a pipe".into())?;
    // SAFETY: the runtime has one thread; the helper ends in _exit.
    let pid = match unsafe { syscalls::clone3(0, None) }.doing(|| "make a helper process".into())? {
        Cloned::Parent { pid, .. } => pid,
        Cloned::Child => {
            drop(writer);
            if joined.enter().is_ok() {
                let _ = rustix::io::write(&tell, b"in");
            }
            drop(tell);
            let _ = rustix::io::read(&reader, &mut [0; 1]);
            syscalls::exit_now(0)
        }
    };
    drop(tell);
    // The helper must be in before its map is that of the namespace; we read it by our own ids.
    let inside = rustix::io::read(&told, &mut [0; 2]).is_ok_and(|length| length == 2);
    let file = format!("/proc/{}/{map}", pid.as_raw_nonzero());
    let text = match inside {
        true => fs::read_to_string(&file).doing(|| format!("read {file}")),
        false => Err(Error::Init(format!(
            "join the user namespace {}: it is none, or not ours to join",
            joined.path.display()
        ))),
    };
    drop(writer);
    rustix::process::waitpid(Some(pid), WaitOptions::empty())
        .doing(|| "wait for a helper".into())?;
    text
}

fn put(pid: i32, map: &str, mappings: &[LinuxIdMapping]) -> Result<()> {
    let text: String = mappings
        .iter()
        .map(|map| format!("{} {} {}\n", map.container_id(), map.host_id(), map.size()))
        .collect();
    let file = format!("/proc/{pid}/{map}");
    fs::write(&file, &text).doing(|| format!("write {:?} to {file}", text.trim_end()))
}

fn run(program: &str, pid: i32, mappings: &[LinuxIdMapping]) -> Result<()> {
    let numbers = mappings.iter().flat_map(|map| [map.container_id(), map.host_id(), map.size()]);
    let output = Command::new(program)
        .arg(pid.to_string())
        .args(numbers.map(|number| number.to_string()))
        .output()
        .doing(|| format!("start {program}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(Error::Init(format!("{program} refused the id mappings: {said} ({})", output.status)))
}
