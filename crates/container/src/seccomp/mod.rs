//! System call filters: compiled once by libseccomp and kept, loaded by the container's process.
//!
//! ```text
//! <root>/@seccomp/<sha-256 of profile and library>.bpf      no container's id: '@' is not allowed
//! ```
//!
//! Compiling docker's default profile takes longer than all the rest of a start. A kept filter is used
//! only by its whole name, appears under it only when complete, and is no more trusted than the
//! containers' states beside it.

mod compile;
#[cfg(target_env = "musl")]
mod glibc;
mod unknown;

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag};
use rustix::process::PidfdGetfdFlags;
use sha2::{Digest, Sha256};

use crate::birth::Child;
use crate::error::{Doing, Error, Result};
use crate::state::State;
use crate::sync::{Channel, Message};
use crate::{console, syscalls};

/// How many filters are kept; engines use one or two profiles.
const MAX_KEPT: usize = 64;
/// Counts up when [`compile`] changes what it makes of a profile.
const FORMAT: u8 = 3;

/// A filter that only needs to be loaded.
pub(crate) struct Filter {
    instructions: Vec<u8>,
    flags: u64,
    notifies: bool,
}

impl Filter {
    /// Compiles the profile, or takes what an earlier container of the same state root compiled.
    pub(crate) fn prepare(seccomp: Option<&LinuxSeccomp>, root: &Path) -> Result<Option<Self>> {
        let Some(seccomp) = seccomp else { return Ok(None) };
        check(seccomp)?;
        let kept = kept_name(seccomp, root);
        let instructions = match kept.as_ref().and_then(|kept| fs::read(kept).ok()) {
            Some(instructions) if !instructions.is_empty() => instructions,
            _ => {
                let instructions = compile::compile(seccomp)?;
                // Not being able to keep it costs time only.
                let _ = kept.map(|kept| keep(&kept, &instructions));
                instructions
            }
        };
        let flags = compile::flags(seccomp);
        crate::notice::debug(|| format!("seccomp filter flags: {flags}"));
        Ok(Some(Self { instructions, flags, notifies: notifies(seccomp) }))
    }

    /// Whether it asks a supervisor.
    pub(crate) fn notifies(&self) -> bool {
        self.notifies
    }

    /// Loads it into the calling process. Returns the notification descriptor of a filter that asks a
    /// supervisor.
    pub(crate) fn load(&self) -> Result<Option<i32>> {
        let listener = if self.notifies { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
        let loaded = syscalls::load_filter(&self.instructions, self.flags | listener)
            .doing(|| "load the seccomp filter".into())?;
        Ok(self.notifies.then_some(loaded))
    }
}

/// The descriptor must reach the supervisor by write(2), which therefore cannot wait for it.
fn check(seccomp: &LinuxSeccomp) -> Result<()> {
    let notify = LinuxSeccompAction::ScmpActNotify;
    if seccomp.default_action() == notify {
        return Err(Error::spec(
            "linux.seccomp.defaultAction",
            "SCMP_ACT_NOTIFY cannot be used as default action",
        ));
    }
    let blocks = |name: &str| {
        seccomp.syscalls().iter().flatten().any(|syscall| {
            syscall.action() == notify && syscall.names().iter().any(|have| have == name)
        })
    };
    if blocks("write") {
        let reason = "SCMP_ACT_NOTIFY cannot be used for the write syscall";
        return Err(Error::spec("linux.seccomp.syscalls", reason));
    }
    for (index, syscall) in seccomp.syscalls().iter().flatten().enumerate() {
        if let Some(arg) = syscall.args().iter().flatten().find(|arg| arg.index() > 5) {
            let field = format!("linux.seccomp.syscalls[{index}].args");
            let reason = format!("index {}: a system call has six arguments", arg.index());
            return Err(Error::spec(field, reason));
        }
    }
    let waits = LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv;
    if !notifies(seccomp) && seccomp.flags().iter().flatten().any(|flag| *flag == waits) {
        let reason = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs an SCMP_ACT_NOTIFY";
        return Err(Error::spec("linux.seccomp.flags", reason));
    }
    let path = seccomp.listener_path().as_ref().filter(|path| !path.as_os_str().is_empty());
    if notifies(seccomp) && path.is_none() {
        return Err(Error::spec("linux.seccomp.listenerPath", "missing for SCMP_ACT_NOTIFY"));
    }
    Ok(())
}

fn notifies(seccomp: &LinuxSeccomp) -> bool {
    let mut syscalls = seccomp.syscalls().iter().flatten();
    syscalls.any(|syscall| syscall.action() == LinuxSeccompAction::ScmpActNotify)
}

fn kept_name(seccomp: &LinuxSeccomp, root: &Path) -> Option<PathBuf> {
    let version = libseccomp::ScmpVersion::current().ok()?;
    let mut hash = Sha256::new();
    hash.update([FORMAT]);
    hash.update(format!("{version} {}\0", std::env::consts::ARCH));
    hash.update(serde_json::to_vec(seccomp).ok()?);
    let name: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(root.join("@seccomp").join(name + ".bpf"))
}

fn keep(kept: &Path, instructions: &[u8]) -> std::io::Result<()> {
    let directory = kept.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    if fs::read_dir(directory)?.count() >= MAX_KEPT {
        return Ok(());
    }
    let temporary = kept.with_extension(format!("{}.new", std::process::id()));
    fs::write(&temporary, instructions)?;
    fs::rename(&temporary, kept)
}

/// Takes the notification descriptor `number` out of the container's process, lets that go on, and
/// sends the descriptor to the profile's listener, with the container's process state (runtime-spec, config-linux.md "The
/// Container Process State").
pub(crate) fn hand_over(
    seccomp: Option<&LinuxSeccomp>,
    process: &Child,
    channel: &Channel,
    number: i32,
    state: &State,
) -> Result<()> {
    let path = seccomp.and_then(|seccomp| seccomp.listener_path().as_deref());
    let path = path
        .ok_or_else(|| Error::spec("linux.seccomp.listenerPath", "missing for SCMP_ACT_NOTIFY"))?;
    let listener = rustix::process::pidfd_getfd(&process.pidfd, number, PidfdGetfdFlags::empty())
        .doing(|| "take the seccomp listener".into())?;
    // Before the listener has it, for what the process does now may be what the listener answers.
    channel.send(&Message::Proceed)?;
    let metadata = seccomp.and_then(|seccomp| seccomp.listener_metadata().clone());
    let message = serde_json::json!({
        "ociVersion": state.oci_version,
        "fds": ["seccompFd"],
        "pid": process.pid.as_raw_nonzero().get(),
        "metadata": metadata.unwrap_or_default(),
        "state": crate::hooks::told(state),
    });
    console::send_descriptor(path, listener, message.to_string().as_bytes())
        .doing(|| format!("failed to connect with seccomp agent {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(value: u64) -> LinuxSeccomp {
        let text = format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"names":["clone"],
            "action":"SCMP_ACT_ERRNO","args":[{{"index":0,"value":2114060288,"valueTwo":{value},
            "op":"SCMP_CMP_MASKED_EQ"}}]}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn filters_are_kept_by_their_content() {
        let root = tempfile::tempdir().unwrap();
        let prepare = |value| {
            Filter::prepare(Some(&profile(value)), root.path()).unwrap().unwrap().instructions
        };
        let (one, other) = (prepare(0), prepare(131_072));
        assert_ne!(one, other);
        assert_eq!(fs::read_dir(root.path().join("@seccomp")).unwrap().count(), 2);
        assert_eq!(prepare(0), one);
    }

    /// The mask stands in `value`: libcontainer 0.7 takes it from `valueTwo`, and then docker's rule
    /// against clone(2) with namespaces allows every clone(2).
    #[test]
    fn masked_comparisons_have_the_mask_first() {
        let root = tempfile::tempdir().unwrap();
        let filter = Filter::prepare(Some(&profile(0)), root.path()).unwrap().unwrap();
        let mask = 2_114_060_288_u32.to_ne_bytes();
        let mut ands = filter.instructions.chunks(8).filter(|instruction| instruction[0] == 0x54);
        assert!(ands.any(|and| and[4..] == mask), "an AND instruction with the mask");
    }

    #[test]
    fn arguments_beyond_the_sixth_are_refused() {
        let mut text = serde_json::to_value(profile(0)).unwrap();
        text["syscalls"][0]["args"][0]["index"] = 6.into();
        let seccomp = serde_json::from_value(text).unwrap();
        let error = check(&seccomp).unwrap_err().to_string();
        assert!(error.starts_with("linux.seccomp.syscalls[0].args: index 6"), "{error}");
    }
}
