//! `linux.mountLabel`: the SELinux label of what a container mounts.

use oci_spec::runtime::Spec;

use super::options::Options;
use crate::error::{Error, Result};

/// Gives a new file system the container's mount label. procfs, sysfs and mqueue have labels of their
/// own.
pub(super) fn add(spec: &Spec, kind: &str, options: &mut Options) -> Result<()> {
    if matches!(kind, "proc" | "sysfs" | "mqueue") {
        return Ok(());
    }
    if let Some(label) = of(spec) {
        options.data.push(format!("context={label}"));
    }
    Ok(())
}

/// The label that the configuration gives.
pub(super) fn of(spec: &Spec) -> Option<&str> {
    let linux = spec.linux().as_ref()?;
    linux.mount_label().as_deref().filter(|label| !label.is_empty())
}

/// Refuses a label where the kernel does not run SELinux.
pub(crate) fn check(spec: &Spec) -> Result<()> {
    if of(spec).is_some() && !std::path::Path::new("/sys/fs/selinux/enforce").exists() {
        return Err(Error::spec("linux.mountLabel", "this kernel does not run SELinux"));
    }
    Ok(())
}
