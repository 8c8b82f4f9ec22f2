//! The security modules' labels for the container's program: AppArmor's profile and SELinux's context,
//! both taken at its execve.
//!
//! The files are opened while the host's procfs is in view, and written later: what the container has
//! mounted at `/proc` by then cannot swallow the write (CVE-2019-16884).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::Process;
use rustix::fs::{Mode, OFlags};

use crate::error::{Doing, Result};

/// Labels to take, each with the file that takes it.
#[derive(Default)]
pub(crate) struct Labels(Vec<(OwnedFd, String)>);

impl Labels {
    /// Whether the process has any.
    pub(crate) fn wanted(process: &Process) -> bool {
        [process.apparmor_profile(), process.selinux_label()]
            .iter()
            .any(|label| label.as_ref().is_some_and(|label| !label.is_empty()))
    }

    /// Opens what the process's labels need, by the host's `proc` where that is no longer in view;
    /// nothing without labels.
    pub(crate) fn open(process: &Process, proc: Option<&OwnedFd>) -> Result<Self> {
        let proc = proc.map(AsFd::as_fd);
        let mut labels = Vec::new();
        let given = |label: &Option<String>| label.clone().filter(|label| !label.is_empty());
        if let Some(profile) = given(process.apparmor_profile()) {
            let file = open(proc, "self/attr/apparmor/exec")
                .or_else(|_| open(proc, "self/attr/exec"))
                .doing(|| format!("take the AppArmor profile {profile}"))?;
            labels.push((file, format!("exec {profile}")));
        }
        if let Some(label) = given(process.selinux_label()) {
            let file =
                open(proc, "self/attr/exec").doing(|| format!("take the SELinux label {label}"))?;
            labels.push((file, label));
        }
        Ok(Self(labels))
    }

    /// From the next execve on.
    pub(crate) fn take(self) -> Result<()> {
        self.0.iter().try_for_each(|(file, label)| {
            rustix::io::write(file, label.as_bytes())
                .map(drop)
                .doing(|| format!("take the label {label:?}"))
        })
    }
}

fn open(proc: Option<BorrowedFd<'_>>, path: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    match proc {
        Some(proc) => rustix::fs::openat(proc, path, flags, Mode::empty()),
        None => rustix::fs::open(format!("/proc/{path}"), flags, Mode::empty()),
    }
}
