//! Where protected paths below procfs and sysfs are looked up: in the mount that was made, not from the
//! root. Whoever shares the root can move the directory below such a mount away, and the mount with it:
//! by its path something harmless would be masked, or nothing, and the container would find the rest.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;

use super::proc_guard::plain;
use super::root::{Place, Root};
use crate::error::Result;

/// The magic numbers of procfs and sysfs (statfs(2)).
const KERNEL: [i64; 2] = [0x9fa0, 0x6265_6572];

/// procfs and sysfs as they were mounted, by their places.
#[derive(Default)]
pub(super) struct Anchors(Vec<(PathBuf, Root)>);

impl Anchors {
    /// Something was mounted at `place`; `kernel` is it if it is a procfs or sysfs.
    pub(super) fn add(&mut self, place: &Path, kernel: Option<OwnedFd>) {
        let place = plain(place);
        self.0.retain(|(covered, _)| !covered.starts_with(&place));
        self.0.extend(kernel.map(|mount| (place, Root::new(mount))));
    }

    /// What is at `path`, looked up in the mount that it lies in; None when there is nothing.
    pub(super) fn find(&self, root: &Root, path: &Path) -> Result<Option<Place>> {
        let path = plain(path);
        let inside = self.0.iter().rev().find_map(|(place, mount)| {
            let rest = path.strip_prefix(place).ok()?;
            (!rest.as_os_str().is_empty()).then_some((mount, rest))
        });
        let (root, path) = inside.unwrap_or((root, &path));
        root.find(path)
    }
}

/// Whether paths below `place` are to be protected.
pub(super) fn is_wanted(spec: &Spec, place: &Path) -> bool {
    let Some(linux) = spec.linux() else { return false };
    let place = plain(place);
    let paths = linux.masked_paths().iter().chain(linux.readonly_paths()).flatten();
    paths.into_iter().any(|path| plain(Path::new(path)).starts_with(&place))
}

/// Whether it is a procfs or sysfs.
pub(super) fn is_kernel(mount: BorrowedFd<'_>) -> bool {
    rustix::fs::fstatfs(mount).is_ok_and(|stat| KERNEL.contains(&stat.f_type))
}
