//! `linux.intelRdt`: a share of the processor's cache and memory bandwidth, by the kernel's resctrl
//! filesystem (runtime-spec, config-linux.md "IntelRdt").
//!
//! ```text
//! <resctrl>/<closID, or the container's id>/      a class of service; made if it is not there
//!   schemata  tasks
//!   mon_groups/<container's id>/tasks             with enableMonitoring
//! ```
//!
//! A class that somebody else made stays; what was made for a container goes with it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxIntelRdt;
use serde::{Deserialize, Serialize};

use crate::error::{Doing, Error, Result};

/// Directories that were made for a container, to be removed with it in this order.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub(crate) struct RdtGroups(Vec<PathBuf>);

/// Checks that the kernel has what is asked for.
pub(crate) fn check(rdt: &LinuxIntelRdt) -> Result<()> {
    let id = rdt.clos_id().as_deref().unwrap_or_default();
    if matches!(id, "." | ".." | "info" | "mon_data" | "mon_groups")
        || id.contains(['/', '\0', '\n'])
    {
        return Err(Error::spec("linux.intelRdt.closID", format!("invalid class {id:?}")));
    }
    check_features(rdt, &find_resctrl()?)
}

fn check_features(rdt: &LinuxIntelRdt, resctrl: &Path) -> Result<()> {
    let given = |schema: &Option<String>| schema.as_ref().is_some_and(|text| !text.is_empty());
    for (field, asked, feature) in [
        ("linux.intelRdt.l3CacheSchema", given(rdt.l3_cache_schema()), "L3"),
        ("linux.intelRdt.memBwSchema", given(rdt.mem_bw_schema()), "MB"),
        ("linux.intelRdt.enableMonitoring", *rdt.enable_monitoring() == Some(true), "L3_MON"),
    ] {
        if asked && !resctrl.join("info").join(feature).exists() {
            let reason = format!("this machine's resctrl has no {feature}");
            return Err(Error::spec(field, reason));
        }
    }
    Ok(())
}

/// Where resctrl is mounted.
fn find_resctrl() -> Result<PathBuf> {
    let usual = Path::new("/sys/fs/resctrl");
    let missing = || {
        let reason = "this kernel or machine has no Intel RDT, or resctrl is not mounted";
        Error::spec("linux.intelRdt", reason)
    };
    if !usual.exists() {
        return Err(missing());
    }
    if usual.join("schemata").exists() {
        return Ok(usual.into());
    }
    let mounts = fs::read_to_string("/proc/self/mounts").doing(|| "read the mounts".into())?;
    let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let found = mounts.find(|fields| fields.get(2) == Some(&"resctrl"));
    found.and_then(|fields| fields.get(1).map(PathBuf::from)).ok_or_else(missing)
}

/// Puts process `pid` into its class; everything that it starts is in it too.
pub(crate) fn apply(rdt: Option<&LinuxIntelRdt>, id: &str, pid: i32) -> Result<RdtGroups> {
    match rdt {
        Some(rdt) => apply_in(&find_resctrl()?, rdt, id, pid),
        None => Ok(RdtGroups::default()),
    }
}

fn apply_in(resctrl: &Path, rdt: &LinuxIntelRdt, id: &str, pid: i32) -> Result<RdtGroups> {
    let mut made = RdtGroups::default();
    let result = fill(resctrl, rdt, id, pid, &mut made);
    if result.is_err() {
        made.remove();
    }
    result.map(|()| made)
}

fn fill(
    resctrl: &Path,
    rdt: &LinuxIntelRdt,
    id: &str,
    pid: i32,
    made: &mut RdtGroups,
) -> Result<()> {
    let named = rdt.clos_id().as_deref().filter(|id| !id.is_empty());
    let class = resctrl.join(named.unwrap_or(id));
    let schemata = schemata(rdt);
    if named.is_some() && schemata.is_empty() && !class.exists() {
        let reason = format!("{} must exist when no schema is given", class.display());
        return Err(Error::spec("linux.intelRdt.closID", reason));
    }
    made.make(&class)?;
    if !schemata.is_empty() {
        put(&class.join("schemata"), &schemata, resctrl)?;
    }
    put(&class.join("tasks"), &pid.to_string(), resctrl)?;
    if *rdt.enable_monitoring() == Some(true) {
        let group = class.join("mon_groups").join(id);
        made.make(&group)?;
        put(&group.join("tasks"), &pid.to_string(), resctrl)?;
    }
    Ok(())
}

/// All schemata, a line each.
fn schemata(rdt: &LinuxIntelRdt) -> String {
    let single = [rdt.l3_cache_schema(), rdt.mem_bw_schema()].into_iter().flatten();
    let all = single.chain(rdt.schemata().iter().flatten());
    all.filter(|schema| !schema.is_empty())
        .map(|schema| format!("{}\n", schema.trim_end()))
        .collect()
}

/// Writes at once, as resctrl wants it, and asks it for its reason when it refuses.
fn put(file: &Path, text: &str, resctrl: &Path) -> Result<()> {
    let written = fs::OpenOptions::new()
        .write(true)
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        let status = fs::read_to_string(resctrl.join("info/last_cmd_status")).unwrap_or_default();
        let reason = format!("write {:?} to {}: {error}: {}", text, file.display(), status.trim());
        Error::spec("linux.intelRdt", reason.trim_end_matches([':', ' ']))
    })
}

impl RdtGroups {
    /// Makes a directory if it is not there, and remembers that.
    fn make(&mut self, directory: &Path) -> Result<()> {
        match fs::create_dir(directory) {
            Ok(()) => {
                self.0.insert(0, directory.into());
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error).doing(|| format!("make {}", directory.display())),
        }
    }

    /// Removes what was made; what is gone already, or in use by others meanwhile, stays as it is.
    pub(crate) fn remove(&self) {
        for directory in &self.0 {
            let _ = fs::remove_dir(directory);
        }
    }

    /// Whether nothing was made.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rdt(text: &str) -> LinuxIntelRdt {
        crate::document::parse("rdt", text.as_bytes()).unwrap().value
    }

    /// A directory that looks like resctrl, but for the files that the kernel makes in new groups.
    fn resctrl(classes: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for class in classes {
            fs::create_dir_all(root.path().join(class).join("mon_groups/c1")).unwrap();
            for file in ["schemata", "tasks", "mon_groups/c1/tasks"] {
                fs::write(root.path().join(class).join(file), "").unwrap();
            }
        }
        root
    }

    #[test]
    fn joins_a_class() {
        let root = resctrl(&["gold"]);
        let read = |file: &str| fs::read_to_string(root.path().join(file)).unwrap();
        let given = rdt(r#"{"closID":"gold","l3CacheSchema":"L3:0=f\n","memBwSchema":"MB:0=20",
                "schemata":["L2:0=3"],"enableMonitoring":true}"#);
        let made = apply_in(root.path(), &given, "c1", 77).unwrap();
        assert!(made.is_empty(), "nothing of it was made for this container");
        assert_eq!(read("gold/schemata"), "L3:0=f\nMB:0=20\nL2:0=3\n");
        assert_eq!(
            (read("gold/tasks").as_str(), read("gold/mon_groups/c1/tasks").as_str()),
            ("77", "77")
        );
    }

    #[test]
    fn a_class_without_a_schema_must_exist() {
        let root = resctrl(&[]);
        let error = apply_in(root.path(), &rdt(r#"{"closID":"gold"}"#), "c1", 7).unwrap_err();
        assert!(error.to_string().starts_with("linux.intelRdt.closID: "), "{error}");
        assert!(!root.path().join("gold").exists());
    }

    #[test]
    fn a_failure_leaves_no_class() {
        let root = resctrl(&[]);
        // What looks like resctrl has no files in a new class: the first write fails.
        apply_in(root.path(), &rdt(r#"{"l3CacheSchema":"L3:0=f"}"#), "c1", 7).unwrap_err();
        assert!(!root.path().join("c1").exists());
    }

    #[test]
    fn what_the_machine_lacks_is_named() {
        let root = resctrl(&[]);
        for (text, field) in [
            (r#"{"l3CacheSchema":"L3:0=f"}"#, "linux.intelRdt.l3CacheSchema"),
            (r#"{"memBwSchema":"MB:0=20"}"#, "linux.intelRdt.memBwSchema"),
            (r#"{"enableMonitoring":true}"#, "linux.intelRdt.enableMonitoring"),
        ] {
            let error = check_features(&rdt(text), root.path()).unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
        for id in [".", "..", "a/b", "info"] {
            check(&rdt(&format!(r#"{{"closID":{id:?}}}"#))).unwrap_err();
        }
    }
}
