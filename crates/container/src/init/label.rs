//! The security modules' labels for the container's program: AppArmor's profile and SELinux's context,
//! both taken at its execve.
//!
//! The files are opened while the host's procfs is in view, and written later: what the container has
//! mounted at `/proc` by then cannot swallow the write (CVE-2019-16884).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::Process;
use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::error::{Doing, Result};
use crate::rootfs;

/// Labels to take, each with the file that takes it.
#[derive(Default)]
pub(crate) struct Labels(Vec<(OwnedFd, String)>);

impl Labels {
    /// Opens what the process's labels need, by the host's procfs; nothing without labels.
    pub(crate) fn open(process: &Process) -> Result<Self> {
        Self::open_in(process, None)
    }

    /// The same where the host's procfs is no longer in view.
    pub(crate) fn open_inside(process: &Process) -> Result<Self> {
        if given(process.apparmor_profile()).or(given(process.selinux_label())).is_none() {
            return Ok(Self::default());
        }
        let proc = rootfs::own_procfs()?;
        Self::open_in(process, Some(proc.as_fd()))
    }

    fn open_in(process: &Process, proc: Option<BorrowedFd<'_>>) -> Result<Self> {
        let mut labels = Vec::new();
        if let Some(profile) = given(process.apparmor_profile()) {
            let file = open(proc, "self/attr/apparmor/exec")
                .or_else(|_| open(proc, "self/attr/exec"))
                .doing(|| format!("take the AppArmor profile {profile}"))?;
            labels.push((file, format!("exec {profile}")));
        }
        if let Some(label) = given(process.selinux_label()) {
            let file =
                open(proc, "self/attr/exec").doing(|| format!("take the SELinux label {label}"))?;
            labels.push((file, label.to_owned()));
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

fn given(label: &Option<String>) -> Option<&str> {
    label.as_deref().filter(|label| !label.is_empty())
}

/// In the container's procfs nothing may be mounted over the file (CVE-2025-52881).
fn open(proc: Option<BorrowedFd<'_>>, path: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let strict = ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    match proc {
        Some(proc) => rustix::fs::openat2(proc, path, flags, Mode::empty(), strict),
        None => rustix::fs::open(format!("/proc/{path}"), flags, Mode::empty()),
    }
}
