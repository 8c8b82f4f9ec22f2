//! The change of the root, so that nothing of the host's tree is left in view.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use super::open_path;
use super::root::Root;
use crate::error::{Doing, Result};
use crate::syscalls::{MountAttr, mount_setattr};

/// pivot_root(2), "pivot_root(".", ".")": no directory of the root is needed for the old one.
pub(super) fn pivot(root: &Root) -> Result<()> {
    let old = open_path(Path::new("/"))?;
    rustix::process::fchdir(root).doing(|| "enter the root".into())?;
    rustix::process::pivot_root(".", ".").doing(|| "pivot_root".into())?;
    // The old root now lies over the new one. Its unmounting must not reach the host.
    rustix::process::fchdir(&old).doing(|| "enter the old root".into())?;
    let attr = MountAttr { propagation: libc::MS_SLAVE, ..MountAttr::default() };
    mount_setattr(old.as_fd(), true, &attr)
        .doing(|| "cut the old root off from the host".into())?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).doing(|| "detach the old root".into())
}

/// `--no-pivot`, for a root on the initial ramdisk: the tree is moved over the old root instead. The
/// host's tree stays below it, so its whole procfs and sysfs go first: as long as the kernel finds one
/// in the namespace, it lets a container mount another without the masks.
pub(super) fn move_root(root: &Root, rootfs: &Path) -> Result<()> {
    let whole = mounts()?.into_iter().filter(|mount| {
        mount.root == "/"
            && matches!(mount.kind.as_str(), "proc" | "sysfs")
            && !mount.point.starts_with(rootfs)
    });
    for mount in whole.collect::<Vec<_>>() {
        uncover(&mount.point)?;
    }
    rustix::process::fchdir(root).doing(|| "enter the root".into())?;
    rustix::mount::mount_move(".", "/").doing(|| "move the root over the host's".into())?;
    rustix::process::chroot(".").doing(|| "change the root".into())
}

fn uncover(point: &Path) -> Result<()> {
    let doing = || format!("take {} away", point.display());
    let attr = MountAttr { propagation: libc::MS_SLAVE, ..MountAttr::default() };
    match rustix::fs::open(point, super::PLACE, rustix::fs::Mode::empty()) {
        // It went with a mount above it.
        Err(Errno::NOENT) => return Ok(()),
        opened => mount_setattr(opened.doing(doing)?.as_fd(), true, &attr).doing(doing)?,
    }
    match rustix::mount::unmount(point, UnmountFlags::DETACH) {
        // Without the right to unmount it, it is covered.
        Err(Errno::INVAL | Errno::PERM) => {
            rustix::mount::mount("tmpfs", point, "tmpfs", MountFlags::empty(), None).doing(doing)
        }
        unmounted => unmounted.doing(doing),
    }
}

/// chroot(2), in the host's mount namespace.
pub(crate) fn change_root(root: &Root) -> Result<()> {
    rustix::process::fchdir(root).doing(|| "enter the root".into())?;
    rustix::process::chroot(".").doing(|| "change the root".into())
}

/// pivot_root(2) wants the mount above the new root not to be shared, and a mount in it must not
/// appear on the host.
pub(super) fn make_parent_private(rootfs: &Path) -> Result<()> {
    let points = mounts()?.into_iter().map(|mount| mount.point);
    let above = points
        .filter(|point| rootfs.starts_with(point))
        .max_by_key(|point| point.as_os_str().len());
    let parent = open_path(above.as_deref().unwrap_or(Path::new("/")))?;
    let attr = MountAttr { propagation: libc::MS_PRIVATE, ..MountAttr::default() };
    mount_setattr(parent.as_fd(), false, &attr)
        .doing(|| format!("make the mount above {} private", rootfs.display()))
}

struct HostMount {
    root: String,
    point: PathBuf,
    kind: String,
}

/// The mounts in view (proc_pid_mountinfo(5)).
fn mounts() -> Result<Vec<HostMount>> {
    let table =
        std::fs::read("/proc/self/mountinfo").doing(|| "read /proc/self/mountinfo".into())?;
    Ok(table.split(|&byte| byte == b'\n').filter_map(parse).collect())
}

fn parse(line: &[u8]) -> Option<HostMount> {
    let mut fields = line.split(|&byte| byte == b' ');
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let root = text(fields.nth(3)?);
    let point = OsString::from_vec(unescape(fields.next()?)).into();
    let kind = text(fields.skip_while(|field| *field != b"-").nth(1)?);
    Some(HostMount { root, point, kind })
}

/// Blanks and backslashes are written as a backslash and three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| first == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &after[3..];
            }
            None => {
                plain.push(first);
                rest = after;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_mountinfo() {
        let line = b"36 35 98:0 /a /mnt\\040x rw,noatime shared:1 - ext3 /dev/root rw";
        let mount = parse(line).unwrap();
        assert_eq!((mount.root.as_str(), mount.kind.as_str()), ("/a", "ext3"));
        assert_eq!(mount.point, Path::new("/mnt x"));
        assert!(parse(b"").is_none());
    }
}
