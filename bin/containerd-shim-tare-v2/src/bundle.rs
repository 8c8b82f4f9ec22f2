//! What the shim reads and leaves in containerd's bundle.
//!
//! ```text
//! <bundle>/
//!   config.json     containerd's
//!   rootfs/         the root file system, mounted here
//!   log             FIFO for the shim's messages, containerd's
//!   address         where the shim listens: for containerd, after its restart
//!   shim.json       which runtime has the container: for `delete`, after the shim's own end
//!   init.pid, …     the runtime's pid files
//!   criu-dump.log   why the last checkpoint failed, if it did
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Annotations that name the group whose containers share a shim: the shim's own, and CRI's pod.
const GROUPS: [&str; 2] = ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"];

/// `shim.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The runtime program.
    pub(crate) program: PathBuf,
    /// Its state root.
    pub(crate) root: PathBuf,
    /// Whether systemd manages the cgroups.
    pub(crate) systemd_cgroup: bool,
    /// The criu program that it is to use, if not its own choice.
    #[serde(default)]
    pub(crate) criu: Option<String>,
}

impl Record {
    /// Writes it, whole or not at all.
    pub(crate) fn save(&self, bundle: &Path) -> anyhow::Result<()> {
        let (name, new) = (bundle.join("shim.json"), bundle.join("shim.json.new"));
        let text = serde_json::to_vec(self).context("encode shim.json")?;
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &name))
            .with_context(|| format!("write {}", name.display()))
    }

    /// Reads it; nothing where no container was created.
    pub(crate) fn load(bundle: &Path) -> anyhow::Result<Option<Self>> {
        let name = bundle.join("shim.json");
        match fs::read(&name) {
            Ok(text) => {
                serde_json::from_slice(&text).with_context(|| format!("read {}", name.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", name.display())),
        }
    }
}

/// The group that the container belongs to, if it has one.
pub(crate) fn group(bundle: &Path) -> anyhow::Result<Option<String>> {
    let config = config(bundle)?;
    let annotation = |name| Some(config.get("annotations")?.get(name)?.as_str()?.to_owned());
    Ok(GROUPS.into_iter().find_map(annotation))
}

/// Whether the container's processes end with its first one: it has a pid namespace of its own.
pub(crate) fn has_own_pids(bundle: &Path) -> anyhow::Result<bool> {
    Ok(own_pids(&config(bundle)?))
}

fn own_pids(config: &Value) -> bool {
    let namespaces = config["linux"]["namespaces"].as_array();
    namespaces
        .into_iter()
        .flatten()
        .any(|it| it["type"] == "pid" && it["path"].as_str().unwrap_or_default().is_empty())
}

fn config(bundle: &Path) -> anyhow::Result<Value> {
    let name = bundle.join("config.json");
    let text = fs::read(&name).with_context(|| format!("read {}", name.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("read {}", name.display()))
}

/// A process id that a runtime wrote.
pub(crate) fn read_pid(file: &Path) -> anyhow::Result<u32> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    text.trim().parse().with_context(|| format!("{}: {text:?} is no pid", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_is_a_group() {
        let bundle = tempfile::tempdir().unwrap();
        let write =
            |config: Value| fs::write(bundle.path().join("config.json"), config.to_string());
        write(json!({ "annotations": { "io.kubernetes.cri.sandbox-id": "pod" } })).unwrap();
        assert_eq!(group(bundle.path()).unwrap().as_deref(), Some("pod"));
        write(json!({ "ociVersion": "1.0.2" })).unwrap();
        assert_eq!(group(bundle.path()).unwrap(), None);
    }

    #[test]
    fn a_joined_pid_namespace_is_not_ones_own() {
        let with = |namespace: Value| own_pids(&json!({ "linux": { "namespaces": [namespace] } }));
        assert!(with(json!({ "type": "pid" })));
        assert!(!with(json!({ "type": "pid", "path": "/proc/1/ns/pid" })));
        assert!(!with(json!({ "type": "mount" })));
    }

    #[test]
    fn the_record_comes_back() {
        let bundle = tempfile::tempdir().unwrap();
        assert_eq!(Record::load(bundle.path()).unwrap(), None);
        let record = Record {
            program: "/bin/r".into(),
            root: "/run/x".into(),
            systemd_cgroup: true,
            criu: None,
        };
        record.save(bundle.path()).unwrap();
        assert_eq!(Record::load(bundle.path()).unwrap(), Some(record));
    }
}
