//! A network namespace by a name on the disk, for programs that connect it and for containers that join it.

#![allow(unsafe_code, reason = "unshare; the block says why it holds")]

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::mount::{UnmountFlags, mount_bind};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::Error;

/// A network namespace that nobody is in, mounted on a file. Dropped, the file goes, and the namespace with its
/// last user.
#[derive(Debug)]
pub struct NetworkNamespace {
    path: PathBuf,
}

impl NetworkNamespace {
    /// Makes one, and the file.
    ///
    /// # Errors
    /// The file is there, or this process is root of nothing.
    pub fn new(path: &Path) -> Result<Self, Error> {
        File::create_new(path).map_err(Error::io("create", path))?;
        let made = Self { path: path.to_owned() };
        let at = path.to_owned();
        // Only the thread leaves the network that this process is in.
        let mounted = thread::spawn(move || unshare_and_mount(&at)).join();
        let ended = |_| Err(io::Error::other("its thread ended"));
        mounted.unwrap_or_else(ended).map_err(Error::io("mount a network namespace on", path))?;
        Ok(made)
    }

    /// Takes away one whose maker was killed. It is no error if there is none.
    pub fn remove(path: &Path) {
        let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
        let _ = rustix::mount::unmount(path, flags);
        let _ = fs::remove_file(path);
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn unshare_and_mount(path: &Path) -> io::Result<()> {
    // SAFETY: the flag does not unshare the table of open files, which is what descriptors rely on.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
    Ok(mount_bind("/proc/thread-self/ns/net", path)?)
}

impl Drop for NetworkNamespace {
    fn drop(&mut self) {
        Self::remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_another_network_and_goes() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("network");
        let own = fs::metadata("/proc/self/ns/net").unwrap();
        let namespace = NetworkNamespace::new(&path).unwrap();
        use std::os::unix::fs::MetadataExt as _;
        assert_ne!(fs::metadata(namespace.path()).unwrap().ino(), own.ino());
        assert_eq!(fs::metadata("/proc/self/ns/net").unwrap().ino(), own.ino());
        assert!(NetworkNamespace::new(&path).is_err());
        drop(namespace);
        assert!(!path.exists());
    }
}
