//! System call filters: compiled and loaded by libcontainer, after what it would pass over in silence
//! has been refused.

use std::os::fd::BorrowedFd;

use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompArg, LinuxSeccompArgBuilder, LinuxSeccompOperator,
};
use rustix::process::PidfdGetfdFlags;

use crate::console;
use crate::error::{Doing, Error, Result};
use crate::state::State;

/// Loads the filter into the calling process. Returns the notification descriptor of a filter that
/// asks a supervisor.
pub(crate) fn load(seccomp: &LinuxSeccomp) -> Result<Option<i32>> {
    let seccomp = masks_first(seccomp.clone());
    libcontainer::seccomp::initialize_seccomp(&seccomp).map_err(|error| failure(&error))
}

/// The same filter for libcontainer 0.7, which takes `valueTwo` for the mask of `SCMP_CMP_MASKED_EQ`
/// and `value` for what must remain; runc, crun and libseccomp (seccomp_rule_add(3)) have it the
/// other way round. Left so, docker's rule against clone(2) with namespaces allows every clone(2).
fn masks_first(mut seccomp: LinuxSeccomp) -> LinuxSeccomp {
    let mut syscalls = seccomp.syscalls().clone().unwrap_or_default();
    for syscall in &mut syscalls {
        let swapped = syscall.args().clone().map(|args| args.into_iter().map(mask_first).collect());
        syscall.set_args(swapped);
    }
    seccomp.set_syscalls(Some(syscalls));
    seccomp
}

fn mask_first(arg: LinuxSeccompArg) -> LinuxSeccompArg {
    if arg.op() != LinuxSeccompOperator::ScmpCmpMaskedEq {
        return arg;
    }
    let turned = LinuxSeccompArgBuilder::default().index(arg.index()).op(arg.op());
    let turned = turned.value(arg.value_two().unwrap_or(0)).value_two(arg.value());
    turned.build().expect("every field has a default")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_masked_comparisons_are_turned_round() {
        let text = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["clone"],
            "action":"SCMP_ACT_ALLOW","args":[
            {"index":0,"value":2114060288,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"},
            {"index":1,"value":7,"op":"SCMP_CMP_NE"}]}]}"#;
        let turned = masks_first(serde_json::from_str(text).unwrap());
        let args = turned.syscalls().as_ref().unwrap()[0].args().clone().unwrap();
        assert_eq!((args[0].value(), args[0].value_two()), (0, Some(2_114_060_288)));
        assert_eq!((args[1].value(), args[1].value_two()), (7, None));
    }
}
