//! What containers have to know of the user namespace that they are made in.

use image::UserNamespace;
use rootfs::user_namespace::can_mount_anew;

/// What this process's user namespace is like; `None` in the machine's own.
pub fn user_namespace() -> Option<UserNamespace> {
    rootfs::ids().map(|ids| UserNamespace {
        has_tty_group: ids.has_group(5),
        sets_groups: ids.sets_groups(),
        mounts_proc: can_mount_anew("proc"),
        mounts_sysfs: can_mount_anew("sysfs"),
    })
}
