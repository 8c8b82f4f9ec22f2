//! Limits on cgroup v2. The values are libcgroups' work; the directories, the controllers that must be
//! switched on from the root downwards, the device filter and the freezer are ours.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use libcgroups::common::{CgroupManager, ControllerOpt};
use libcgroups::v2::manager::Manager;
use oci_spec::runtime::LinuxResources;

use super::{Cgroup, ROOT, device, device_filter, write};
use crate::error::{Doing, Error, Result};

/// Sets what `resources` names. `fresh`: the directory is new, so its controllers and its device
/// filter are set up too.
pub(super) fn apply(cgroup: &Cgroup, resources: &LinuxResources, fresh: bool) -> Result<()> {
    let Some(group) = cgroup.groups().first() else {
        return Err(Error::spec("linux.cgroupsPath", "this host has no cgroups"));
    };
    if fresh {
        enable_controllers(&group.path)?;
        device_filter::attach(&group.path, &device::rules(resources)?)?;
    }
    let below = group.path.strip_prefix(ROOT).unwrap_or(&group.path);
    let failed = |error: String| Error::spec("linux.resources", error);
    let manager =
        Manager::new(ROOT.into(), below.to_owned()).map_err(|error| failed(error.to_string()))?;
    let options = ControllerOpt {
        resources,
        disable_oom_killer: false,
        oom_score_adj: None,
        freezer_state: None,
    };
    manager.apply(&options).map_err(|error| failed(error.to_string()))
}

/// Hands every controller that the root has down to the container's parent.
fn enable_controllers(path: &Path) -> Result<()> {
    let root = Path::new(ROOT);
    let available = fs::read_to_string(root.join("cgroup.controllers"))
        .doing(|| format!("read {ROOT}/cgroup.controllers"))?;
    let above: Vec<_> =
        path.ancestors().skip(1).take_while(|above| above.starts_with(root)).collect();
    for directory in above.into_iter().rev() {
        for controller in available.split_whitespace() {
            // Not every controller can be had everywhere; a limit that needs it fails by its name.
            let _ = fs::write(directory.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }
    Ok(())
}

/// Freezes or thaws, and waits for the kernel's word.
pub(super) fn freeze(path: &Path, frozen: bool) -> Result<()> {
    let value = if frozen { "1" } else { "0" };
    write(&path.join("cgroup.freeze"), value)?;
    let events = path.join("cgroup.events");
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let text = fs::read_to_string(&events).doing(|| format!("read {}", events.display()))?;
        if text.lines().any(|line| line == format!("frozen {value}")) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::spec("pause", "the processes did not freeze within 10 seconds"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
