//! A mount in the making: fsopen(2), fsconfig(2), fsmount(2).

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use crate::Error;

/// Where overlayfs cannot write.
const NO_UPPER: &str = "overlayfs cannot have its read-write layer on the file system there, such as \
                        another overlay; on ext4, xfs, btrfs and tmpfs it can";

/// A file system that is being configured. Dropped before [`Context::mount`], nothing is left.
pub(super) struct Context<'a> {
    fd: OwnedFd,
    filesystem: &'static str,
    target: &'a Path,
}

impl<'a> Context<'a> {
    /// Opens a context for `filesystem`; `target` is only for messages.
    pub(super) fn open(filesystem: &'static str, target: &'a Path) -> Result<Self, Error> {
        match fsopen(filesystem, FsOpenFlags::FSOPEN_CLOEXEC) {
            Ok(fd) => Ok(Self { fd, filesystem, target }),
            Err(source) => Err(Error::Mount {
                filesystem,
                target: target.to_owned(),
                detail: open_hint(source).to_owned(),
                source: source.into(),
            }),
        }
    }

    /// Sets an option with a value of less than 256 bytes, fsconfig(2)'s limit.
    pub(super) fn string(&self, key: &str, value: &str) -> Result<(), Error> {
        self.check(fsconfig_set_string(&self.fd, key, value))
    }

    /// Sets an option without a value.
    pub(super) fn flag(&self, key: &str) -> Result<(), Error> {
        self.check(fsconfig_set_flag(&self.fd, key))
    }

    /// Sets an option to an open file by its name in procfs, so that neither the length nor the
    /// letters of its path matter.
    pub(super) fn file(&self, key: &str, file: impl AsFd) -> Result<(), Error> {
        self.string(key, &proc_path(file))
    }

    /// Sets an option to an open file, by the file itself.
    pub(super) fn descriptor(&self, key: &str, file: impl AsFd) -> Result<(), Error> {
        self.check(fsconfig_set_fd(&self.fd, key, file))
    }

    /// Makes the file system and a mount of it that is attached nowhere: it goes with the
    /// descriptor, unless it is moved to a place.
    pub(super) fn mount(self, attributes: MountAttrFlags) -> Result<OwnedFd, Error> {
        self.check(fsconfig_create(&self.fd))?;
        self.check(fsmount(&self.fd, FsMountFlags::FSMOUNT_CLOEXEC, attributes))
    }

    fn check<T>(&self, result: Result<T, Errno>) -> Result<T, Error> {
        result.map_err(|source| Error::Mount {
            filesystem: self.filesystem,
            target: self.target.to_owned(),
            detail: self.kernel_messages(),
            source: source.into(),
        })
    }

    /// What the kernel left in the context's log (fsopen(2)): a message per read.
    fn kernel_messages(&self) -> String {
        let mut messages = Vec::new();
        let mut buffer = [0u8; 1024];
        while let Ok(length) = rustix::io::read(&self.fd, &mut buffer) {
            // A message has a letter for its level and a space before the text.
            let text = String::from_utf8_lossy(&buffer[..length]);
            let text = text.get(2..).unwrap_or_default().trim();
            // The kernel names it by our descriptor, which nobody else can look at.
            let upper = text.contains("not supported as upperdir");
            messages.push(if upper { NO_UPPER } else { text }.to_owned());
        }
        match messages.is_empty() {
            true => "the kernel refuses it".to_owned(),
            false => messages.join("; "),
        }
    }
}

/// The name of an open file in procfs.
pub(crate) fn proc_path(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

fn open_hint(error: Errno) -> &'static str {
    match error {
        Errno::PERM => "mounting needs root (CAP_SYS_ADMIN)",
        Errno::NODEV => "the kernel does not have this file system",
        _ => "the kernel refuses it",
    }
}
