//! A file system in memory, for what must not reach a disk.

use std::path::Path;

use rustix::mount::MountAttrFlags;

use super::context::Context;
use super::{Mount, SOURCE, attach, open_target};
use crate::Error;

/// Mounts an empty file system in memory at the directory `target`; only its owner may look into it.
/// Nothing in it can be executed, or is a device. Where the kernel can (since Linux 6.4) it is kept
/// out of the swap space as well.
///
/// # Errors
/// As [`mount`](crate::mount()).
pub fn mount_memory(target: &Path) -> Result<Mount, Error> {
    let place = open_target(target)?;
    let absolute = std::path::absolute(target).map_err(Error::io("name", target))?;
    let context = Context::open("tmpfs", target)?;
    context.string("source", SOURCE)?;
    context.string("mode", "0700")?;
    // Unknown to older kernels, which swap.
    let _ = context.flag("noswap");
    let harmless = [
        MountAttrFlags::MOUNT_ATTR_NOSUID,
        MountAttrFlags::MOUNT_ATTR_NODEV,
        MountAttrFlags::MOUNT_ATTR_NOEXEC,
    ];
    let mounted = context.mount(harmless.into_iter().collect())?;
    attach(&mounted, &place, target)?;
    Ok(Mount { target: absolute, armed: true })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn what_is_written_is_not_on_the_disk() {
        let temp = tempfile::tempdir().unwrap();
        let target = temp.path().join("memory");
        fs::create_dir(&target).unwrap();
        let mount = mount_memory(&target).unwrap();
        assert_eq!(fs::metadata(&target).unwrap().mode() & 0o777, 0o700);
        fs::write(target.join("secret"), "x").unwrap();
        assert_ne!(fs::metadata(&target).unwrap().dev(), fs::metadata(temp.path()).unwrap().dev());
        assert!(crate::is_mounted(&target).unwrap());
        mount.unmount().unwrap();
        assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
    }
}
