//! System call filters: compiled and loaded by libcontainer, after what it would pass over in silence
//! has been refused.

use std::os::fd::BorrowedFd;

use oci_spec::runtime::LinuxSeccomp;
use rustix::process::PidfdGetfdFlags;

use crate::console;
use crate::error::{Doing, Error, Result};
use crate::state::State;

/// Loads the filter into the calling process. Returns the notification descriptor of a filter that
/// asks a supervisor.
pub(crate) fn load(seccomp: &LinuxSeccomp) -> Result<Option<i32>> {
    libcontainer::seccomp::initialize_seccomp(seccomp).map_err(|error| failure(&error))
}

/// Takes the notification descriptor `number` out of the container's process and sends it to the
/// profile's listener, with the container's process state (runtime-spec, config-linux.md "The
/// Container Process State").
pub(crate) fn hand_over(
    seccomp: Option<&LinuxSeccomp>,
    process: BorrowedFd<'_>,
    number: i32,
    state: &State,
) -> Result<()> {
    let path = seccomp.and_then(|seccomp| seccomp.listener_path().as_deref());
    let path = path
        .ok_or_else(|| Error::spec("linux.seccomp.listenerPath", "missing for SCMP_ACT_NOTIFY"))?;
    let listener = rustix::process::pidfd_getfd(process, number, PidfdGetfdFlags::empty())
        .doing(|| "take the seccomp listener".into())?;
    let metadata = seccomp.and_then(|seccomp| seccomp.listener_metadata().clone());
    let message = serde_json::json!({
        "ociVersion": state.oci_version,
        "fds": ["seccompFd"],
        "pid": state.pid,
        "metadata": metadata.unwrap_or_default(),
        "state": crate::hooks::told(state),
    });
    console::send_descriptor(path, listener, message.to_string().as_bytes())
        .doing(|| format!("send the seccomp listener to {}", path.display()))
}

fn failure(error: &dyn std::error::Error) -> Error {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    Error::spec("linux.seccomp", reason)
}
