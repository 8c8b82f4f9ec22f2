//! Checks of the fields of `linux` that stand for themselves (runtime-spec, config-linux.md).

use oci_spec::runtime::{Linux, LinuxNamespace, LinuxNamespaceType};

use super::check_text;
use crate::error::{Error, Result};
use crate::{intel_rdt, memory_policy, net_devices};

/// Checks what concerns one field each.
pub(crate) fn check(linux: &Linux) -> Result<()> {
    check_time_offsets(linux)?;
    if let Some(personality) = linux.personality()
        && personality.flags().as_ref().is_some_and(|flags| !flags.is_empty())
    {
        return Err(Error::spec("linux.personality.flags", "no flag is supported"));
    }
    if let Some(policy) = linux.memory_policy() {
        memory_policy::MemoryPolicy::of(policy)?;
    }
    if let Some(rdt) = linux.intel_rdt() {
        intel_rdt::check(rdt)?;
    }
    net_devices::check(linux)?;
    if let Some(seccomp) = linux.seccomp()
        && let Some(path) = seccomp.listener_path()
    {
        check_text("linux.seccomp.listenerPath", path)?;
    }
    Ok(())
}

/// The container's namespace of a kind.
pub(crate) fn namespace(linux: &Linux, kind: LinuxNamespaceType) -> Option<&LinuxNamespace> {
    linux.namespaces().iter().flatten().find(|namespace| namespace.typ() == kind)
}

fn check_time_offsets(linux: &Linux) -> Result<()> {
    let Some(offsets) = linux.time_offsets() else { return Ok(()) };
    let field = "linux.timeOffsets";
    let Some(namespace) = namespace(linux, LinuxNamespaceType::Time) else {
        return Err(Error::spec(field, "given without a time namespace"));
    };
    if namespace.path().as_ref().is_some_and(|path| !path.as_os_str().is_empty()) {
        return Err(Error::spec(field, "the time namespace is another's, which has its own"));
    }
    for (clock, offset) in offsets {
        if !["monotonic", "boottime"].contains(&clock.as_str()) {
            let reason = "there are only monotonic and boottime";
            return Err(Error::spec(format!("{field}[{clock:?}]"), reason));
        }
        if offset.nanosecs().is_some_and(|nanoseconds| nanoseconds > 999_999_999) {
            let field = format!("{field}[{clock:?}].nanosecs");
            return Err(Error::spec(field, "more than a second"));
        }
    }
    Ok(())
}
