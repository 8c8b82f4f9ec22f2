//! A configuration to start from, for `spec`.

use serde_json::{Value, json};

use crate::error::{Error, Result};

const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// A `config.json` that runs a shell in `rootfs` with few rights. For a user without privileges:
/// `rootless` gives that user's and group's ids, which become the container's root.
///
/// # Errors
/// None in practice: the template is part of the program.
pub fn default_spec(rootless: Option<(u32, u32)>) -> Result<Value> {
    let mut spec: Value = serde_json::from_str(include_str!("default_config.json"))
        .map_err(|error| Error::spec("config.json", error.to_string()))?;
    let unified =
        rustix::fs::statfs("/sys/fs/cgroup").is_ok_and(|stat| stat.f_type == CGROUP2_MAGIC);
    if !unified && let Some(namespaces) = spec["linux"]["namespaces"].as_array_mut() {
        // As runc has it: on v1 a cgroup namespace hides little and is not what people are used to.
        namespaces.retain(|namespace| namespace["type"] != "cgroup");
    }
    if let Some((uid, gid)) = rootless {
        without_privileges(&mut spec, uid, gid);
    }
    Ok(spec)
}

/// A user namespace with one id each; what needs the host's root is left out or bound.
fn without_privileges(spec: &mut Value, uid: u32, gid: u32) {
    let map = |host: u32| json!([{ "containerID": 0, "hostID": host, "size": 1 }]);
    let linux = &mut spec["linux"];
    linux["uidMappings"] = map(uid);
    linux["gidMappings"] = map(gid);
    if let Some(namespaces) = linux["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({ "type": "user" }));
    }
    if let Some(linux) = linux.as_object_mut() {
        linux.remove("resources");
    }
    let Some(mounts) = spec["mounts"].as_array_mut() else { return };
    for mount in mounts {
        if mount["destination"] == "/sys" {
            let options = ["rbind", "nosuid", "noexec", "nodev", "ro"];
            *mount = json!({ "destination": "/sys", "type": "none", "source": "/sys", "options": options });
        } else if let Some(options) = mount.get_mut("options").and_then(Value::as_array_mut) {
            options.retain(|option| option != "gid=5");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_spec() {
        for rootless in [None, Some((1000, 100))] {
            let value = default_spec(rootless).unwrap();
            let spec: oci_spec::runtime::Spec = serde_json::from_value(value).unwrap();
            assert_eq!(spec.process().as_ref().unwrap().args().as_ref().unwrap(), &["sh"]);
        }
    }
}
