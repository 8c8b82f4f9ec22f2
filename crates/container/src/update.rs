//! `update`: new limits for a container that exists.

use std::path::Path;

use oci_spec::runtime::LinuxIntelRdt;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::id::ContainerId;
use crate::intel_rdt;
use crate::state::{StateDir, Status};

/// New shares of caches and memory bandwidth (Intel RDT), in resctrl's notation.
#[derive(Clone, Debug, Default)]
pub struct Schemata {
    /// Of the L3 cache.
    pub l3_cache: Option<String>,
    /// Of the memory's bandwidth.
    pub memory_bandwidth: Option<String>,
}

/// Changes the limits that `resources` names, in the form of `linux.resources` of `config.json`; the
/// others stay.
///
/// # Errors
/// When the container is stopped, the document is wrong, or the kernel refuses a value.
pub fn update(root: &Path, id: &ContainerId, resources: Value, schemata: &Schemata) -> Result<()> {
    let dir = StateDir::new(root, id);
    let mut record = dir.load()?;
    let status = dir.status(&record);
    if status == Status::Stopped {
        return Err(Error::WrongState { verb: "update", status: status.as_str() });
    }
    let resources = serde_json::from_value(resources)
        .map_err(|error| Error::spec("--resources", error.to_string()))?;
    record.cgroup.update(&resources)?;
    if schemata.l3_cache.is_none() && schemata.memory_bandwidth.is_none() {
        return Ok(());
    }
    let mut rdt = LinuxIntelRdt::default();
    rdt.set_l3_cache_schema(schemata.l3_cache.clone());
    rdt.set_mem_bw_schema(schemata.memory_bandwidth.clone());
    intel_rdt::check(&rdt)?;
    let groups = intel_rdt::apply(Some(&rdt), &record.id, record.pid)?;
    if record.rdt.is_empty() && !groups.is_empty() {
        record.rdt = groups;
        dir.save(&record)?;
    }
    Ok(())
}
