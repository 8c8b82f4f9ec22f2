//! `update`: new limits for a container that exists.

use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::id::ContainerId;
use crate::state::{StateDir, Status};

/// Changes the limits that `resources` names, in the form of `linux.resources` of `config.json`; the
/// others stay.
///
/// # Errors
/// When the container is stopped, the document is wrong, or the kernel refuses a value.
pub fn update(root: &Path, id: &ContainerId, resources: Value) -> Result<()> {
    let dir = StateDir::new(root, id);
    let record = dir.load()?;
    let status = dir.status(&record);
    if status == Status::Stopped {
        return Err(Error::WrongState { verb: "update", status: status.as_str() });
    }
    let resources = serde_json::from_value(resources)
        .map_err(|error| Error::spec("--resources", error.to_string()))?;
    record.cgroup.update(&resources)
}
